/* SPDX-License-Identifier: MIT */
/*
 * serve.h - a program that answers the questions of bench/peer.c, as serve.py does for scripts.
 *
 * A line "CASE COUNT SAMPLES SHARE" comes in, a line of JSON goes out.  The case is warmed up, then
 * measured up to SAMPLES times within a quarter of a second; the answer is the quantile at SHARE.
 * It is given when the threads of the program sleep, so that they do not disturb the next side.
 */
#ifndef BENCH_SERVE_H
#define BENCH_SERVE_H

#include "work.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct serve_program {
	const work_case *cases; /* up to one without a name */
	void (*wake)(void);     /* before each question; NULL: nothing */
	void (*rest)(void);     /* after it, where the threads would never sleep; NULL: nothing */
} serve_program;

/* Sets work_threads from the command line; first in main(). */
void serve_begin(int count, char **words);

/* Answer until the input ends. */
void serve(const serve_program *program);

#ifdef __cplusplus
}
#endif

#endif
