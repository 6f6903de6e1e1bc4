/* SPDX-License-Identifier: MIT */
/*
 * sides.h - cases of which every side, Tine's too, is a program in bench/peers.
 *
 * All sides are the same program but for the runtime (bench/peers/work.h), and one is at work at a
 * time.
 */
#ifndef BENCH_SIDES_H
#define BENCH_SIDES_H

#include "bench.h"

typedef enum sides_runtime { TINE, LIBGOMP, LIBOMP, TBB, GLIB, LIBUV, STARPU } sides_runtime;

typedef struct sides_peer {
	const char *name; /* as the table tells it */
	sides_runtime runtime;
	const char *question; /* NULL: Tine's */
	double goal;
	int threads; /* 0: the case's */
} sides_peer;

typedef struct sides_case {
	const char *name;
	const char *question; /* of a program's cases */
	size_t n;             /* items, for the JSON line */
	long count;           /* that the program is asked for */
	int samples;          /* of one measurement */
	double share;         /* their quantile; 0: 0.5 */
	int threads;          /* 0: 2 */
	int rounds;
	double best; /* as in bench_case */
	sides_peer peers[BENCH_PEERS];
} sides_case;

/* Start what is needed, measure and print. */
void sides_run(const sides_case *c);

/* End all programs. */
void sides_close(void);

/* A main() that asks n cases. */
int sides_main(const sides_case *cases, size_t n);

#endif
