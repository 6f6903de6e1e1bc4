/* SPDX-License-Identifier: MIT */
/*
 * bench.h - one question, asked of Tine and of its peers in turn.
 *
 * A program describes a case: a side for Tine and one for each peer.  bench_run() warms all of them
 * up, measures them round by round, first in this order and then in the other, and prints a line of
 * the table for each peer.  Programs check the answers of Tine before; Python peers check theirs.
 */
#ifndef TINE_BENCH_H
#define TINE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_PEERS = 8, BENCH_TEXT = 200 };

/* Gives the seconds of one operation, or what bench_fail() gives. */
typedef double bench_measure(void *arg);

typedef struct bench_side {
	const char *name; /* of the peer; Tine's may be NULL */
	bench_measure *measure;
	void *arg;                /* for measure */
	double goal;              /* least peer time / Tine's time; 0: for information */
	char problem[BENCH_TEXT]; /* why there is no time; "": there is one */
	double *times;            /* filled by bench_run(), one a round */
} bench_side;

typedef struct bench_case {
	const char *name;
	size_t n;    /* items or bytes */
	int threads; /* workers */
	int rounds;  /* at least 7 */
	bench_side tine;
	bench_side peers[BENCH_PEERS]; /* up to the first without a name */
	double best; /* goal against the best of the peers, which gets a line; 0: no such line */
	const char *extra; /* further members of the JSON lines, as "\"copied\": 0"; or NULL */
} bench_case;

/* First in main(). */
void bench_begin(void);

/* Last in main(): its exit status, 1 where an answer was wrong. */
int bench_end(void);

/* Measure and print. */
void bench_run(bench_case *c);

/* Seconds. */
double bench_now(void);

/* Sleep. */
void bench_nap(double seconds);

/* Whether a process keeps one core busy all the time (SPIN=1). */
bool bench_spin(void);

/* Say why a measurement failed: return bench_fail("no numpy"); */
double bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Fail the program, now or at its end, unless the answer is right. */
void bench_check(bool right, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Print a line below the table's last one. */
void bench_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* kB of a line as "ShmemHugePages:" of a file as /proc/meminfo; -1: none. */
long bench_proc(const char *path, const char *key);

/* ---- peers in programs of their own, which are asked over pipes */

typedef struct bench_peer bench_peer;

/*
 * What a program is asked: to measure a case, `count` operations at once.
 *
 * Programs that speak bench/peers/serve.h measure it up to `samples` times within a quarter of a
 * second and give the quantile at `share`, 0.5 where it is 0.  For scripts both are 0.
 */
typedef struct bench_question {
	bench_peer *peer;
	const char *name;
	long count;
	int samples;
	double share;
} bench_question;

/* Start a script of bench/peers.  Where that cannot work, its measurements fail and say why. */
bench_peer *bench_python_open(const char *script);

/*
 * Start a program that lies in the folder peers/ beside this one.  It is not built where its library is not installed:
 * `package` is what the line then tells to install.
 */
bench_peer *bench_program_open(const char *program, int threads, const char *package);

/* Ask a bench_question; a bench_measure. */
double bench_peer_ask(void *question);

/* Whether it has ended, as it does where it cannot go on. */
bool bench_peer_gone(bench_peer *peer);

/* End the program and what it started. */
void bench_peer_close(bench_peer *peer);

/* ---- the CPU time of everybody else */

typedef struct bench_usage {
	double at, busy, own, stolen; /* seconds */
} bench_usage;

bench_usage bench_usage_now(void);

/* Mean number of cores that other programs used. */
double bench_usage_others(bench_usage from, bench_usage to);

/* Mean number of cores that were ready to run and that the machine around this one kept back. */
double bench_usage_stolen(bench_usage from, bench_usage to);

/* Wait until others use less than a tenth of a core, for some seconds at most. */
void bench_quiet(void);

#endif
