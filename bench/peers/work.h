/* SPDX-License-Identifier: MIT */
/*
 * work.h - what the peers of threads and Tine's own side (tine_side.c) do: the work of each case,
 * how it is timed, and the check of what it did.
 *
 * A side gives only the way in which its runtime brings the work to its threads.  work.c is
 * compiled once, and every side is linked with that object: compilers make no difference there.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A loop whose iterations cost differently: out[i] follows from units[i] multiply-adds in a row. */
typedef struct work_loop {
	long n;
	const uint32_t *units;
	double *out, *expected;
} work_loop;

/* A case of one side: its name, one of the measures below, and what that one calls. */
typedef struct work_case {
	const char *name;
	double (*measure)(const struct work_case *c, long count);
	void (*region)(void);                 /* work_regions, work_meetings, work_late_meetings */
	void (*write)(uint32_t *out, long n); /* work_writes: write each of out[0 .. n-1] */
	void (*loop)(const work_loop *loop);  /* work_triangle, work_tail: do each item */
	long (*fib)(int n);                   /* work_fibs: one spawn for each call but the first */
	double (*sum)(const double *x, long n); /* work_sums */
} work_case;

/* Seconds of a region with nothing to do, of which each thread must work_touch() its number. */
double work_regions(const work_case *c, long count);

/* Seconds of a region whose threads each work_meet(): nobody can do the work of two. */
double work_meetings(const work_case *c, long count);

/* The same, each after 1 ms of sleep. */
double work_late_meetings(const work_case *c, long count);

/* Seconds of one of `count` writes. */
double work_writes(const work_case *c, long count);

/* Seconds of a loop, whose length is given; `count` is not looked at. */
double work_triangle(const work_case *c, long count);
double work_tail(const work_case *c, long count);

/* Seconds of one spawn of fib(count). */
double work_fibs(const work_case *c, long count);

/* Seconds of a sum of `count` doubles. */
double work_sums(const work_case *c, long count);

/* ---- what the threads do */

static inline void work_write(uint32_t *out, long i)
{
	out[i] = ((uint32_t)i + 1) * 2654435761u;
}

void work_touch(int number);
void work_meet(void);
void work_item(const work_loop *loop, long i);
double work_sum(const double *x, long begin, long end);

/* ---- */

extern int work_threads; /* that each side uses */

/* What was wrong since the last call; NULL: nothing. */
const char *work_wrong(void);

/* Seconds; sleep. */
double work_now(void);
void work_nap(double seconds);

#ifdef __cplusplus
}
#endif

#endif
