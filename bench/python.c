/* SPDX-License-Identifier: MIT */
/*
 * Python peers: a script of bench/peers, a question a line, an answer a line.
 *
 *   apply 300                          measure the case "apply", 300 operations
 *   {"samples": [9.1e-05]}             seconds of one operation
 *   {"error": "joblib is not ..."}     no such peer here
 *   {"wrong": "..."}                   a wrong answer
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#include "bench.h"

#define PYTHON "/usr/bin/python3" /* Debian's, which its python3-numpy belongs to */
#define ANSWER_MS 180000

struct bench_python {
	pid_t pid;
	int to, from;
	char problem[BENCH_TEXT]; /* why it cannot be asked any more */
};

static void become(const char *script, int in, int out)
{
	const char *folder = getenv("BENCH_PEERS");
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", folder ? folder : "bench/peers", script);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	signal(SIGPIPE, SIG_DFL);
	execl(PYTHON, PYTHON, "-uB", path, (char *)NULL);
	printf("{\"error\": \"no " PYTHON "\"}\n");
	fflush(stdout);
	_exit(127);
}

bench_python *bench_python_open(const char *script)
{
	bench_python *python = calloc(1, sizeof(*python));
	int question[2], answer[2];

	if (!python || pipe2(question, O_CLOEXEC) || pipe2(answer, O_CLOEXEC)) {
		perror("bench");
		exit(1);
	}
	fflush(stdout);
	python->pid = fork();
	if (python->pid == 0)
		become(script, question[0], answer[1]);
	close(question[0]);
	close(answer[1]);
	python->to = question[1];
	python->from = answer[0];
	if (python->pid < 0)
		snprintf(python->problem, BENCH_TEXT, "cannot fork");
	return python;
}

/* The answer without its newline; false: none came. */
static bool read_answer(bench_python *python, char *line, size_t size)
{
	struct pollfd ready = {python->from, POLLIN, 0};
	size_t length = 0;

	while (length + 1 < size) {
		if (poll(&ready, 1, ANSWER_MS) != 1 || read(python->from, line + length, 1) != 1)
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

double bench_python_ask(void *arg)
{
	bench_question *question = arg;
	bench_python *python = question->python;
	char line[4096], text[BENCH_TEXT];
	const char *samples;

	if (python->problem[0])
		return bench_fail("%s", python->problem);
	dprintf(python->to, "%s %ld\n", question->name, question->count);
	if (!read_answer(python, line, sizeof(line))) {
		snprintf(python->problem, BENCH_TEXT, "the peer died or gave no answer");
		return bench_fail("%s", python->problem);
	}
	if (text_after(line, "\"error\": \"", text, sizeof(text)))
		return bench_fail("%s", text);
	if (text_after(line, "\"wrong\": \"", text, sizeof(text)))
		bench_check(false, "the peer's %s: %s", question->name, text);
	samples = strstr(line, "\"samples\": [");
	return samples ? median_of_samples(strchr(samples, '[') + 1) : bench_fail("%.150s", line);
}

/* A script ends when its questions do; where it hangs, so would we. */
void bench_python_close(bench_python *python)
{
	struct pollfd ready = {python->from, POLLIN, 0};

	close(python->to);
	if (python->pid > 0) {
		if (poll(&ready, 1, 10000) == 0)
			kill(python->pid, SIGKILL);
		waitpid(python->pid, NULL, 0);
	}
	close(python->from);
	free(python);
}
