/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve.h"

enum { SAMPLES = 4096 };
#define WARM 0.002   /* seconds of warming up, at least */
#define ENOUGH 0.25  /* seconds of measuring, at most, but for the last sample */
#define LOOK 0.002   /* seconds of one look at the idle threads */
#define IDLE 0.1     /* cores */
#define PATIENCE 2.0 /* seconds */

void serve_begin(int count, char **words)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	work_threads = count > 1 ? atoi(words[1]) : 2;
}

static double cpu_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Idle threads spin before they sleep, libomp's for 0.2 s. */
static bool wait_until_idle(void)
{
	double start = work_now(), used, begin;

	do {
		begin = work_now();
		used = cpu_time();
		work_nap(LOOK);
		used = cpu_time() - used;
		if (used < IDLE * (work_now() - begin))
			return true;
	} while (work_now() - start < PATIENCE);
	return false;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double measure(const work_case *c, long count, int most, double share)
{
	static double samples[SAMPLES];
	double start = work_now(), place;
	int n = 0, i;

	do {
		c->measure(c, count);
	} while (work_now() - start < WARM);
	start = work_now();
	do {
		samples[n++] = c->measure(c, count);
	} while (n < most && n < SAMPLES && work_now() - start < ENOUGH);
	qsort(samples, (size_t)n, sizeof(*samples), compare);
	place = share * (n - 1);
	i = (int)place;
	return i + 1 < n ? samples[i] + (place - i) * (samples[i + 1] - samples[i]) : samples[i];
}

static const work_case *find(const serve_program *program, const char *name)
{
	const work_case *c = program->cases;

	while (c->name && strcmp(c->name, name) != 0)
		c++;
	return c->name ? c : NULL;
}

static void answer(const serve_program *program, const work_case *c, long count, int samples,
		   double share)
{
	const char *wrong;
	double seconds;
	bool idle;

	if (program->wake)
		program->wake();
	seconds = measure(c, count, samples, share);
	if (program->rest)
		program->rest();
	idle = wait_until_idle();
	wrong = work_wrong();
	if (!idle)
		printf("{\"error\": \"its idle threads never sleep\"}\n");
	else if (wrong)
		printf("{\"wrong\": \"%s\"}\n", wrong);
	else
		printf("{\"samples\": [%.9g]}\n", seconds);
}

void serve(const serve_program *program)
{
	char line[256], name[64];
	const work_case *c;
	double share;
	int samples;
	long count;

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%63s %ld %d %lf", name, &count, &samples, &share) != 4)
			printf("{\"error\": \"not a question\"}\n");
		else if ((c = find(program, name)) == NULL)
			printf("{\"error\": \"no case %s\"}\n", name);
		else
			answer(program, c, count, samples, share);
	}
}
