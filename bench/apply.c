/* SPDX-License-Identifier: MIT */
/*
 * How long is it from handing in one call to its result?
 */
#include <stdlib.h>

#include <tine.h>

#include "bench.h"
#include "peers/pipe_pool.h"

enum { WORKERS = 2 };
#define IDLE 300e-6

typedef struct plan {
	tine_pool *pool;
	pipe_pool *pipes;
	long count;  /* calls of one measurement */
	double idle; /* seconds before each, which do not count */
} plan;

static int identity(const void *arg, void *result)
{
	*(long *)result = *(const long *)arg;
	return 0;
}

static long identity_of(long argument)
{
	return argument;
}

static long apply(tine_pool *pool, long argument)
{
	tine_future *future = tine_submit(pool, identity, &argument, sizeof(argument),
					  .result_size = sizeof(argument));
	long result = -1;
	int code = future ? tine_future_get(future, &result, TINE_FOREVER) : tine_last_code();

	tine_future_free(future);
	bench_check(code == 0, "apply: %s", tine_last_error());
	return result;
}

static double mean_of(const plan *p, long (*call)(const plan *p, long argument))
{
	double total = 0;
	bool right = true;

	for (long i = 0; i < p->count; i++) {
		double start;

		bench_nap(p->idle);
		start = bench_now();
		right &= call(p, i) == i;
		total += bench_now() - start;
	}
	bench_check(right, "apply: another result");
	return total / (double)p->count;
}

static long call_tine(const plan *p, long argument)
{
	return apply(p->pool, argument);
}

static long call_pipes(const plan *p, long argument)
{
	return pipe_pool_apply(p->pipes, identity_of, argument);
}

static double measure_tine(void *arg)
{
	return mean_of(arg, call_tine);
}

static double measure_pipes(void *arg)
{
	return mean_of(arg, call_pipes);
}

static void run(const char *name, plan *p, const char *question, long python_count, double goal)
{
	bench_peer *python = bench_python_open("mp_peer.py");
	bench_question q = {.peer = python, .name = question, .count = python_count};
	bench_case c = {
		.name = name,
		.n = 1,
		.threads = WORKERS,
		.rounds = 25,
		.tine = {.measure = measure_tine, .arg = p},
		.peers = {{"multiprocessing.Pool", bench_peer_ask, &q, .goal = goal},
			  {"C fork+pipe pool", measure_pipes, p, .goal = 0.9}},
	};

	bench_run(&c);
	bench_peer_close(python);
}

int main(void)
{
	plan hot = {.count = 2000}, idle = {.count = 100, .idle = IDLE};

	bench_begin();
	/* Before Tine, so that no descriptor of either is in the other's workers. */
	hot.pipes = idle.pipes = pipe_pool_open(WORKERS);
	hot.pool = idle.pool = tine_pool_open(.workers = WORKERS);
	if (!hot.pool || !hot.pipes) {
		bench_check(false, "no pool: %s", tine_last_error());
		return bench_end();
	}
	run("apply round trip", &hot, "apply", 300, bench_spin() ? 5 : 15);
	run("apply after 300 us idle", &idle, "apply_idle", 100, 0);
	bench_check(tine_pool_close(hot.pool, 10) == 0, "close: %s", tine_last_error());
	pipe_pool_close(hot.pipes);
	return bench_end();
}
