/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "work.h"

enum {
	TRIANGLE = 4000, /* iterations */
	TRIANGLE_UNITS = 3,
	TAIL = 400,
	TAIL_UNITS = 100000, /* a mean iteration's, for tails without a cap */
	TAIL_START = 4800,   /* of the random numbers: one half costs twice the other from there */
	TOUCHED = 64,        /* threads, at most */
	LINE = 64,           /* bytes of a cache line */
	PATIENCE = 2000,     /* looks between two sched_yield() */
	LOOKS = 16,          /* regions between two looks at the clock */
};
#define LATE 1e-3   /* seconds of sleep */
#define ENOUGH 0.25 /* seconds of regions, at most */

int work_threads = 2;
static char wrong[100];

const char *work_wrong(void)
{
	static char told[sizeof(wrong)];

	memcpy(told, wrong, sizeof(told));
	wrong[0] = '\0';
	return told[0] ? told : NULL;
}

static void check(bool right, const char *what)
{
	if (!right)
		snprintf(wrong, sizeof(wrong), "%s", what);
}

double work_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void work_nap(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)(1e9 * (seconds - floor(seconds)))};

	nanosleep(&t, NULL);
}

static void *need(size_t size)
{
	void *memory = aligned_alloc(LINE, (size + LINE - 1) / LINE * LINE);

	if (!memory) {
		printf("{\"error\": \"no memory\"}\n");
		exit(1);
	}
	memset(memory, 0, size);
	return memory;
}

/* ---- regions */

static struct {
	_Alignas(LINE) long count;
} touched[TOUCHED];

static _Alignas(LINE) atomic_int arrived;

void work_touch(int number)
{
	touched[number].count++;
}

void work_meet(void)
{
	int looks = 0;

	atomic_fetch_add_explicit(&arrived, 1, memory_order_acq_rel);
	while (atomic_load_explicit(&arrived, memory_order_acquire) < work_threads) {
		__builtin_ia32_pause();
		if (++looks % PATIENCE == 0)
			sched_yield();
	}
}

double work_regions(const work_case *c, long count)
{
	double start = work_now(), seconds;
	bool right = true;

	for (long i = 0; i < count; i++)
		c->region();
	seconds = work_now() - start;
	for (int i = 0; i < work_threads; i++) {
		right &= touched[i].count == count;
		touched[i].count = 0;
	}
	check(right, "a region without one of its threads");
	return seconds / (double)count;
}

double work_meetings(const work_case *c, long count)
{
	double start = work_now();
	bool right = true;
	long i = 0;

	do {
		atomic_store_explicit(&arrived, 0, memory_order_relaxed);
		c->region();
		right &= atomic_load_explicit(&arrived, memory_order_relaxed) == work_threads;
		i++;
	} while (i < count && (i % LOOKS != 0 || work_now() - start < ENOUGH));
	check(right, "a region with too many threads");
	return (work_now() - start) / (double)i;
}

double work_late_meetings(const work_case *c, long count)
{
	double seconds = 0;

	for (long i = 0; i < count; i++) {
		work_nap(LATE);
		seconds += work_meetings(c, 1);
	}
	return seconds / (double)count;
}

/* ---- writes */

double work_writes(const work_case *c, long count)
{
	static uint32_t *out;
	static long n;
	double start, seconds;
	bool right = true;

	if (n != count) {
		free(out);
		n = count;
		out = need((size_t)n * sizeof(*out));
	}
	start = work_now();
	c->write(out, n);
	seconds = work_now() - start;
	for (long i = 0; i < n; i++)
		right &= out[i] == ((uint32_t)i + 1) * 2654435761u;
	check(right, "an item that was not written");
	memset(out, 0, (size_t)n * sizeof(*out));
	return seconds / (double)n;
}

/* ---- loops of uneven cost */

static double spin(uint32_t units)
{
	double value = 1;

	for (uint32_t i = 0; i < units; i++)
		value = value * 1.0000001 + 1e-9;
	return value;
}

void work_item(const work_loop *loop, long i)
{
	loop->out[i] = spin(loop->units[i]);
}

static double measure_loop(const work_case *c, const work_loop *loop)
{
	size_t size = (size_t)loop->n * sizeof(*loop->out);
	double start = work_now(), seconds;

	c->loop(loop);
	seconds = work_now() - start;
	check(memcmp(loop->out, loop->expected, size) == 0, "an item that was not done");
	memset(loop->out, 0, size);
	return seconds;
}

static work_loop make_loop(long n, uint32_t (*units_of)(long i))
{
	uint32_t *units = need((size_t)n * sizeof(*units));
	work_loop loop = {.n = n, .units = units};

	loop.out = need((size_t)n * sizeof(*loop.out));
	loop.expected = need((size_t)n * sizeof(*loop.expected));
	for (long i = 0; i < n; i++) {
		units[i] = units_of(i);
		loop.expected[i] = spin(units[i]);
	}
	return loop;
}

static uint32_t triangle_units(long i)
{
	return (uint32_t)(TRIANGLE_UNITS * i + 1);
}

/*
 * Pareto's distribution, exponent 1.1, capped at a tenth of the loop's mean total.  The numbers are
 * those of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014):
 * the same on every machine.
 */
static uint32_t tail_units(long i)
{
	uint64_t z = (uint64_t)(TAIL_START + i + 1) * 0x9e3779b97f4a7c15u;
	double least = TAIL_UNITS * 0.1 / 1.1; /* the mean is 11 times the least */
	double u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	u = (double)(((z ^ (z >> 31)) >> 11) + 1) * 0x1p-53;
	return (uint32_t)fmin(least / pow(u, 1 / 1.1), TAIL * (TAIL_UNITS / 10.0));
}

double work_triangle(const work_case *c, long count)
{
	static work_loop loop;

	(void)count;
	if (!loop.n)
		loop = make_loop(TRIANGLE, triangle_units);
	return measure_loop(c, &loop);
}

double work_tail(const work_case *c, long count)
{
	static work_loop loop;

	(void)count;
	if (!loop.n)
		loop = make_loop(TAIL, tail_units);
	return measure_loop(c, &loop);
}

/* ---- fib */

double work_fibs(const work_case *c, long count)
{
	long here = 0, next = 1, result; /* fib(i), fib(i + 1) */
	double start, seconds;

	for (long i = 0; i < count; i++) {
		long sum = here + next;

		here = next;
		next = sum;
	}
	start = work_now();
	result = c->fib((int)count);
	seconds = work_now() - start;
	check(result == here, "another fib");
	return seconds / (double)(next - 1); /* each call above 1 spawns once */
}

/* ---- sum */

/* Eight sums, so that nothing waits for the addition before it. */
double work_sum(const double *x, long begin, long end)
{
	double sums[8] = {0};
	long i = begin;

	for (; i + 8 <= end; i += 8)
		for (int k = 0; k < 8; k++)
			sums[k] += x[i + k];
	for (; i < end; i++)
		sums[0] += x[i];
	return ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
	       ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

double work_sums(const work_case *c, long count)
{
	static double *x, total; /* of whole numbers: exact, whatever the order */
	static long n;
	double start, seconds, sum;

	if (n != count) {
		free(x);
		n = count;
		total = 0;
		x = need((size_t)n * sizeof(*x));
		for (long i = 0; i < n; i++)
			total += x[i] = (double)(i % 1000);
	}
	start = work_now();
	sum = c->sum(x, n);
	seconds = work_now() - start;
	check(sum == total, "another sum");
	return seconds;
}
