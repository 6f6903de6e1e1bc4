/* SPDX-License-Identifier: MIT */
/*
 * The killer: a process that is older than any pool, so that it has no handle.
 *
 * It signals only what it knows by pid and start time: the process is held by a pidfd first, then its start time is
 * compared with what the worker told, then the signal goes through the pidfd.  A number that has become another's is
 * thus never hit.  Workers that have not come as far as telling are found among the children of the supervisor, which
 * is known in the same way.
 */
#include "chaos.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOPPED_MAX = 8 };

/* ---- who is who ---- */

typedef struct process_stat {
	char state;
	pid_t parent;
	uint64_t start;
} process_stat;

static bool read_stat(pid_t pid, process_stat *out)
{
	char path[48], text[512];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	size_t n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = 0;
	const char *end = strrchr(text, ')');
	unsigned long long start = 0;
	int parent = 0;
	if (!end || sscanf(end + 1,
			   " %c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
			   "%*s %llu",
			   &out->state, &parent, &start) != 3)
		return false;
	out->parent = parent;
	out->start = start;
	return true;
}

static void tell(told *who, pid_t pid)
{
	process_stat stat;

	atomic_store(&who->pid, 0);
	if (!read_stat(pid, &stat))
		return;
	atomic_store(&who->start, stat.start);
	atomic_store(&who->pid, pid);
}

int killer_tell(void *context)
{
	int n = tine_task_worker();

	(void)context;
	if (n < 0 || n >= TOLD_MAX)
		return 1;
	if (atomic_load(&chaos->supervisor.pid) != getppid())
		tell(&chaos->supervisor, getppid());
	tell(&chaos->worker[n], getpid());
	atomic_fetch_add(&chaos->births, 1);
	return 0;
}

void killer_arm(void)
{
	atomic_fetch_add(&chaos->load, 1);
	atomic_store(&chaos->armed, 1);
}

void killer_worked(void)
{
	static int told;
	int load = atomic_load_explicit(&chaos->load, memory_order_relaxed);

	if (told == load)
		return;
	told = load;
	atomic_fetch_add(&chaos->worked, 1);
}

void killer_left(void *context)
{
	(void)context;
	atomic_fetch_add(&chaos->left, 1);
}

static bool is_there(told *who)
{
	pid_t pid = atomic_load(&who->pid);
	process_stat stat;

	return pid > 0 && read_stat(pid, &stat) && stat.start == atomic_load(&who->start) &&
	       stat.state != 'Z' && stat.state != 'X';
}

/* A pidfd of exactly that process, or -1. */
static int hold(told *who)
{
	pid_t pid = atomic_load(&who->pid);
	int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	if (fd >= 0 && !is_there(who)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool send_to(int pidfd, int signal)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0;
}

static bool signal_told(told *who, int signal)
{
	int fd = hold(who);
	bool sent = fd >= 0 && send_to(fd, signal);

	if (fd >= 0)
		close(fd);
	return sent;
}

/* A child of the supervisor, told or not: its parent is checked while it is held, the supervisor after that. */
static int hold_a_child(void)
{
	char path[64], text[1024];
	pid_t parent = atomic_load(&chaos->supervisor.pid), pids[64];
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	FILE *file = parent > 0 ? fopen(path, "re") : NULL;
	if (!file)
		return -1;
	text[fread(text, 1, sizeof(text) - 1, file)] = 0;
	fclose(file);
	for (char *rest = text, *end; n < 64; rest = end) {
		pids[n] = (pid_t)strtol(rest, &end, 10);
		if (end == rest)
			break;
		n++;
	}
	if (n == 0)
		return -1;
	pid_t pid = pids[chaos_random() % (uint64_t)n];
	process_stat stat;
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd >= 0 && read_stat(pid, &stat) && stat.parent == parent && stat.state != 'Z' &&
	    is_there(&chaos->supervisor))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- the killer's life ---- */

static struct {
	int fd;
	double due;
} stopped[STOPPED_MAX];

/* Let those that were stopped go on, or end them.  `all`: now. */
static void release_stopped(bool all)
{
	double now = chaos_now();

	for (int i = 0; i < STOPPED_MAX; i++) {
		if (stopped[i].fd < 0 || (!all && now < stopped[i].due))
			continue;
		bool kill_it = chaos_random() % 2;
		send_to(stopped[i].fd, kill_it ? SIGKILL : SIGCONT);
		atomic_fetch_add(&chaos->sum.signals, kill_it);
		close(stopped[i].fd);
		stopped[i].fd = -1;
	}
}

static void stop_for_a_while(int fd)
{
	double length = chaos_random() % 200 == 0 ? 0.1 : 1e-6 * (double)(chaos_random() % 4000);

	for (int i = 0; i < STOPPED_MAX; i++)
		if (stopped[i].fd < 0) {
			atomic_fetch_add(&chaos->sum.signals, send_to(fd, SIGSTOP));
			stopped[i].fd = fd;
			stopped[i].due = chaos_now() + length;
			return;
		}
	close(fd);
}

/*
 * A worker, any.  But at most two in a row without a worker that began an item of this load in between, or the pool
 * would say rightly that its workers die before they can begin.
 */
static int choose_victim(void)
{
	static int in_a_row, worked;
	int now_worked = atomic_load(&chaos->worked);

	if (now_worked != worked)
		in_a_row = 0;
	worked = now_worked;
	if (in_a_row >= 2)
		return -1;
	in_a_row++;
	return chaos_random() % 16 == 0
		       ? hold_a_child()
		       : hold(&chaos->worker[chaos_random() %
					     (uint64_t)atomic_load(&chaos->workers)]);
}

static void strike(void)
{
	int draw = (int)(chaos_random() % 10), fd = choose_victim();

	if (fd < 0)
		return;
	if (draw >= 8) {
		stop_for_a_while(fd);
		return;
	}
	atomic_fetch_add(&chaos->sum.signals, send_to(fd, draw < 4 ? SIGKILL : SIGSEGV));
	close(fd);
}

static void obey(void)
{
	if (atomic_exchange(&chaos->kill_supervisor, 0)) {
		atomic_store(&chaos->supervisor_died, chaos_now());
		if (signal_told(&chaos->supervisor, SIGKILL))
			atomic_fetch_add(&chaos->sum.signals, 1);
	}
	if (atomic_load(&chaos->armed))
		strike();
	else if (atomic_load(&chaos->idle_signals) > 0 &&
		 atomic_fetch_sub(&chaos->idle_signals, 1) > 0)
		strike();
}

pid_t killer_start(uint64_t seed)
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "chaos-killer");
	prctl(PR_SET_TIMERSLACK, 1000);
	setpriority(PRIO_PROCESS, 0,
		    -10); /* where that is permitted: it must come between the others */
	if (getppid() != parent)
		_exit(1);
	chaos_seed(seed);
	for (int i = 0; i < STOPPED_MAX; i++)
		stopped[i].fd = -1;
	for (double due = chaos_now(); !atomic_load(&chaos->end);) {
		due += 1e-6 * (double)(200 + chaos_random() % 2800);
		if (due < chaos_now() - 0.01)
			due = chaos_now() - 0.01; /* behind time: a busy machine */
		if (due > chaos_now())
			chaos_nap(due - chaos_now());
		release_stopped(!atomic_load(&chaos->armed));
		obey();
	}
	release_stopped(true);
	_exit(0);
}

void killer_stop(pid_t killer)
{
	atomic_store(&chaos->end, 1);
	waitpid(killer, NULL, 0);
	atomic_store(&chaos->end, 0);
}

/* ---- for the other parts ---- */

int killer_still_there(int *pids)
{
	int n = 0;

	if (is_there(&chaos->supervisor))
		pids[n++] = atomic_load(&chaos->supervisor.pid);
	for (int i = 0; i < TOLD_MAX; i++)
		if (is_there(&chaos->worker[i]))
			pids[n++] = atomic_load(&chaos->worker[i].pid);
	return n;
}

void killer_end_all(void)
{
	signal_told(&chaos->supervisor, SIGKILL);
	for (int i = 0; i < TOLD_MAX; i++)
		signal_told(&chaos->worker[i], SIGKILL);
}

void killer_stop_one(bool go_on)
{
	signal_told(&chaos->worker[0], go_on ? SIGCONT : SIGSTOP);
}

void killer_wait_gone(const char *after)
{
	int pids[TOLD_MAX + 1], left = 0;
	double end = chaos_now() + 2;

	while ((left = killer_still_there(pids)) > 0 && chaos_now() < end)
		chaos_nap(0.001);
	for (int i = 0; i < left; i++)
		CHAOS_COUNT(orphans, "pid %d lives 2 s after %s", pids[i], after);
	killer_end_all();
}
