/* SPDX-License-Identifier: MIT */
/* Scenarios as in tests/api, and the processes of a pool, known by pid and start time. */
#ifndef TINE_TESTS_PROCESS_SCENARIO_H
#define TINE_TESTS_PROCESS_SCENARIO_H

#include <api/scenario.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct known {
	pid_t pid;
	uint64_t start; /* field 22 of /proc/PID/stat */
} known;

enum { FAMILY = 64 };
typedef struct family { /* in memory that every process sees */
	known supervisor, worker[FAMILY];
	_Atomic int workers; /* told so far */
	_Atomic int items;   /* begun so far, where tasks tell */
} family;

static inline known know(pid_t pid)
{
	char path[48], text[512] = "";
	known k = {pid, 0};
	unsigned long long start = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "re");
	if (file) {
		text[fread(text, 1, sizeof(text) - 1, file)] = 0;
		fclose(file);
	}
	const char *end = strrchr(text, ')');
	if (end && end[2] != 'Z' && end[2] != 'X')
		sscanf(end + 1,
		       " %*c %*d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
		       "%*s %llu",
		       &start);
	k.start = start;
	return k;
}

static inline bool lives(known k)
{
	return k.pid > 0 && k.start != 0 && know(k.pid).start == k.start;
}

static inline void signal_known(known k, int signal)
{
	if (lives(k)) /* a child of the supervisor that the pool has not let go: the number is its own */
		kill(k.pid, signal);
}

static inline family *new_family(void)
{
	void *p = mmap(NULL, sizeof(family), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		       0);

	kit_expect(p != MAP_FAILED);
	return p;
}

/* The family that .init of every pool here tells. */
static family *the_family;

static inline int tells_family(void *context)
{
	int n = tine_task_worker();

	(void)context;
	if (!the_family || n < 0 || n >= FAMILY)
		return 0;
	the_family->supervisor = know(getppid());
	the_family->worker[n] = know(getpid());
	atomic_fetch_add(&the_family->workers, 1);
	return 0;
}

static inline bool all_gone(double seconds)
{
	for (double end = now() + seconds; now() < end; nap(0.001)) {
		bool left = lives(the_family->supervisor);

		for (int i = 0; i < FAMILY && !left; i++)
			left = lives(the_family->worker[i]);
		if (!left)
			return true;
	}
	return false;
}

static inline int add_one(const void *arg, void *result)
{
	*(int *)result = *(const int *)arg + 1;
	return 0;
}

/* The pool does what pools do. */
static inline void works(tine_pool *pool)
{
	int in[50], out[50] = {0};

	for (int i = 0; i < 50; i++)
		in[i] = i;
	NEED(0, tine_map(pool, add_one, in, 50, sizeof(*in), out, .result_size = sizeof(*out),
			 .chunk = 3));
	for (int i = 0; i < 50; i++)
		kit_expect(out[i] == i + 1);
}

#endif
