/* SPDX-License-Identifier: MIT */
/*
 * Peers in programs of their own: a question a line, an answer a line.
 *
 *   apply 300                          measure the case "apply", 300 operations
 *   tasks 100000 5 0.9                 the same 5 times, and give the quantile at 0.9
 *   {"samples": [9.1e-05]}             seconds of one operation
 *   {"error": "joblib is not ..."}     no such peer here
 *   {"wrong": "..."}                   a wrong answer
 *
 * Runtimes of threads cannot share a process: the idle threads of one would disturb the others.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#include "bench.h"

#define PYTHON "/usr/bin/python3" /* Debian's, which its python3-numpy belongs to */
#define ANSWER_MS 180000

struct bench_peer {
	pid_t pid;
	int to, from;
	char problem[BENCH_TEXT]; /* why it cannot be asked any more */
};

/* In the child, whose stdin and stdout are the pipes: returns, with the reason, where it cannot. */
typedef void become(const void *what, char *problem);

static void become_script(const void *what, char *problem)
{
	const char *folder = getenv("BENCH_PEERS");
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", folder ? folder : "bench/peers", (const char *)what);
	execl(PYTHON, PYTHON, "-uB", path, (char *)NULL);
	snprintf(problem, BENCH_TEXT, "no " PYTHON);
}

typedef struct program {
	const char *name;
	int threads;
	const char *package;
} program;

static void become_program(const void *what, char *problem)
{
	const program *p = what;
	char path[512], threads[16];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* or one that hangs would outlive us */
	path[length > 0 ? length : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash)
		snprintf(slash + 1, sizeof(path) - (size_t)(slash + 1 - path), "peers/%s", p->name);
	snprintf(threads, sizeof(threads), "%d", p->threads);
	execl(path, p->name, threads, (char *)NULL);
	snprintf(problem, BENCH_TEXT, "no %s: install %s, then make bench", p->name, p->package);
}

static void run(become *become, const void *what)
{
	char problem[BENCH_TEXT];
	int c;

	signal(SIGPIPE, SIG_DFL);
	become(what, problem);
	while ((c = getchar()) != EOF) {
		if (c == '\n')
			printf("{\"error\": \"%s\"}\n", problem);
		fflush(stdout);
	}
	_exit(127);
}

static bench_peer *start(become *become, const void *what)
{
	bench_peer *peer = calloc(1, sizeof(*peer));
	int question[2], answer[2];

	if (!peer || pipe2(question, O_CLOEXEC) || pipe2(answer, O_CLOEXEC)) {
		perror("bench");
		exit(1);
	}
	fflush(stdout);
	peer->pid = fork();
	if (peer->pid == 0) {
		dup2(question[0], STDIN_FILENO);
		dup2(answer[1], STDOUT_FILENO);
		run(become, what);
	}
	close(question[0]);
	close(answer[1]);
	peer->to = question[1];
	peer->from = answer[0];
	if (peer->pid < 0)
		snprintf(peer->problem, BENCH_TEXT, "cannot fork");
	return peer;
}

bench_peer *bench_python_open(const char *script)
{
	return start(become_script, script);
}

bench_peer *bench_program_open(const char *name, int threads, const char *package)
{
	const program p = {name, threads, package};

	return start(become_program, &p);
}

/* The answer without its newline; false: none came. */
static bool read_answer(bench_peer *peer, char *line, size_t size)
{
	struct pollfd ready = {peer->from, POLLIN, 0};
	size_t length = 0;

	while (length + 1 < size) {
		if (poll(&ready, 1, ANSWER_MS) != 1 || read(peer->from, line + length, 1) != 1)
			return false;
		if (line[length] == '\n')
			break;
		length++;
	}
	line[length] = '\0';
	return true;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_of_samples(const char *text)
{
	double samples[64];
	size_t n = 0;
	char *end;

	for (; n < 64; text = end + strspn(end, ", ")) {
		samples[n] = strtod(text, &end);
		if (end == text)
			break;
		n++;
	}
	if (n == 0)
		return bench_fail("the peer gave no number");
	qsort(samples, n, sizeof(*samples), compare);
	return (samples[n / 2] + samples[(n - 1) / 2]) / 2;
}

/* What stands between the quotes after key. */
static bool text_after(const char *line, const char *key, char *out, size_t size)
{
	const char *at = strstr(line, key);

	if (!at)
		return false;
	snprintf(out, size, "%s", at + strlen(key));
	out[strcspn(out, "\"")] = '\0';
	return true;
}

double bench_peer_ask(void *arg)
{
	bench_question *question = arg;
	bench_peer *peer = question->peer;
	char line[4096], text[BENCH_TEXT];
	const char *samples;

	if (peer->problem[0])
		return bench_fail("%s", peer->problem);
	if (question->samples)
		dprintf(peer->to, "%s %ld %d %g\n", question->name, question->count,
			question->samples, question->share > 0 ? question->share : 0.5);
	else
		dprintf(peer->to, "%s %ld\n", question->name, question->count);
	if (!read_answer(peer, line, sizeof(line))) {
		snprintf(peer->problem, BENCH_TEXT, "the peer died or gave no answer");
		if (peer->pid > 0)
			kill(peer->pid, SIGKILL); /* it may be at work for ever */
		return bench_fail("%s", peer->problem);
	}
	if (text_after(line, "\"error\": \"", text, sizeof(text)))
		return bench_fail("%s", text);
	if (text_after(line, "\"wrong\": \"", text, sizeof(text)))
		bench_check(false, "the peer's %s: %s", question->name, text);
	samples = strstr(line, "\"samples\": [");
	return samples ? median_of_samples(strchr(samples, '[') + 1) : bench_fail("%.150s", line);
}

bool bench_peer_gone(bench_peer *peer)
{
	struct pollfd end = {peer->from, 0, 0};

	return poll(&end, 1, 0) == 1;
}

/* A program ends when its questions do; where it hangs, so would we. */
void bench_peer_close(bench_peer *peer)
{
	struct pollfd ready = {peer->from, POLLIN, 0};

	close(peer->to);
	if (peer->pid > 0) {
		if (poll(&ready, 1, 10000) == 0)
			kill(peer->pid, SIGKILL);
		waitpid(peer->pid, NULL, 0);
	}
	close(peer->from);
	free(peer);
}
