/* SPDX-License-Identifier: MIT */
/*
 * The runner of kit_run() is a process between the test and the function's process.  It is a subreaper, so that every
 * orphan becomes its child and none can hide; it reports through a pipe and ends when nothing is left.
 */
#include "kit/kit.h"
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

double kit_grace = 2;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

const char *kit_fixture(const char *name)
{
	static char path[4096];
	const char *root = getenv("TINE_FIXTURES");

	snprintf(path, sizeof(path), "%s/%s", root ? root : "tests/fixtures", name);
	return path;
}

int kit_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	if (!folder)
		return -1;
	for (struct dirent *entry; (entry = readdir(folder));)
		n += entry->d_name[0] != '.';
	closedir(folder);
	return n - 1; /* the folder's own */
}

/* Fields of /proc/PID/stat. */
typedef struct process {
	pid_t pid, parent;
	char state, name[32];
} process;

static bool read_process(const char *pid, process *out)
{
	char path[64], text[512];

	snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	size_t length = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[length] = 0;

	const char *name = strchr(text, '(');
	char *end = strrchr(text, ')');
	if (!name || !end)
		return false;
	*end = 0;
	snprintf(out->name, sizeof(out->name), "%s", name + 1);
	out->pid = atoi(text);
	return sscanf(end + 1, " %c %d", &out->state, &out->parent) == 2;
}

/* The children of `parent`, at most `size` of them, zombies included; returns how many there are. */
static int children_of(pid_t parent, process *list, int size)
{
	DIR *folder = opendir("/proc");
	int n = 0;
	process one;

	if (!folder)
		return -1;
	for (struct dirent *entry; (entry = readdir(folder));) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || !read_process(entry->d_name, &one) ||
		    one.parent != parent)
			continue;
		if (n < size)
			list[n] = one;
		n++;
	}
	closedir(folder);
	return n;
}

int kit_children(void)
{
	return children_of(getpid(), NULL, 0);
}

_Noreturn void kit_leave(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
	fflush(NULL);
	_exit(KIT_FAILED);
}

/* Reap whatever has ended; true when it was `wanted`, with its status. */
static bool reap(pid_t wanted, int *status)
{
	bool found = false;
	int one;

	for (pid_t pid; (pid = waitpid(-1, &one, WNOHANG)) > 0;) {
		if (pid == wanted) {
			*status = one;
			found = true;
		}
	}
	return found;
}

/* Kill everything below us, generation by generation: the orphans of each round are our children in the next. */
static void kill_all(void)
{
	process list[64];
	double end = now() + 10;
	int ignored;

	while (now() < end) {
		int n = children_of(getpid(), list, 64);
		if (n == 0)
			return;
		for (int i = 0; i < n && i < 64; i++)
			kill(list[i].pid, SIGKILL);
		reap(0, &ignored);
		nap();
	}
}

static void count_left(kit_outcome *outcome)
{
	process list[64];
	double end = now() + kit_grace;
	int ignored;

	do {
		reap(0, &ignored);
		outcome->left = children_of(getpid(), list, 64);
		if (outcome->left == 0)
			return;
		nap();
	} while (now() < end);
	for (int i = 0; i < outcome->left && i < 64; i++) {
		size_t used = strlen(outcome->names);
		snprintf(outcome->names + used, sizeof(outcome->names) - used, "%s(%d) ", list[i].name, list[i].pid);
	}
}

static void watch(pid_t child, double timeout, kit_outcome *outcome)
{
	double start = now();
	int status = 0;

	while (!reap(child, &status)) {
		if (!outcome->timed_out && now() - start > timeout) {
			outcome->timed_out = true;
			kill(child, SIGKILL);
			kill(-child, SIGKILL);
		}
		nap();
	}
	outcome->seconds = now() - start;
	outcome->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	outcome->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	count_left(outcome);
	kill_all();
}

static _Noreturn void run_in_runner(int report, int (*fn)(void *), void *arg, double timeout)
{
	kit_outcome outcome = {.code = -1};

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t child = fork();
	if (child == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(report);
		exit(fn(arg));
	}
	if (child < 0)
		outcome.failed = true;
	else
		watch(child, timeout, &outcome);
	ssize_t written = write(report, &outcome, sizeof(outcome));
	_exit(written == sizeof(outcome) ? 0 : 1);
}

kit_outcome kit_run(int (*fn)(void *arg), void *arg, double timeout)
{
	kit_outcome outcome = {.failed = true};
	int ends[2];

	if (pipe(ends))
		return outcome;
	fflush(NULL);
	pid_t runner = fork();
	if (runner == 0) {
		close(ends[0]);
		run_in_runner(ends[1], fn, arg, timeout);
	}
	close(ends[1]);
	if (runner > 0) {
		if (read(ends[0], &outcome, sizeof(outcome)) != sizeof(outcome))
			outcome.failed = true;
		while (waitpid(runner, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(ends[0]);
	return outcome;
}

void kit_run_clean(int (*fn)(void *arg), void *arg, double timeout)
{
	kit_outcome outcome = kit_run(fn, arg, timeout);

	if (outcome.failed || outcome.timed_out || outcome.code != 0 || outcome.left != 0)
		fail_msg("%scode %d, signal %d, %.1f s, %d processes left: %s",
			 outcome.failed ? "no runner; " : outcome.timed_out ? "timed out; " : "", outcome.code,
			 outcome.signal, outcome.seconds, outcome.left, outcome.names);
}
