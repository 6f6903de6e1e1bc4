/* SPDX-License-Identifier: MIT */
/*
 * What does a call cost while many are in flight?
 */
#include <tine.h>

#include "bench.h"

enum { WORKERS = 2, FLIGHT = 1000 };

static int identity(const void *arg, void *result)
{
	*(long *)result = *(const long *)arg;
	return 0;
}

/* All handed in, then all fetched; seconds of one. */
static double measure_tine(void *arg)
{
	static tine_future *futures[FLIGHT];
	int right = 0;
	double start = bench_now();

	for (long i = 0; i < FLIGHT; i++)
		futures[i] = tine_submit(arg, identity, &i, sizeof(i), .result_size = sizeof(i));
	for (long i = 0; i < FLIGHT; i++) {
		long result = -1;

		right += futures[i] && tine_future_get(futures[i], &result, 10) == 0 && result == i;
		tine_future_free(futures[i]);
	}
	bench_check(right == FLIGHT, "submit: %d of %d are right: %s", right, FLIGHT,
		    tine_last_error());
	return (bench_now() - start) / FLIGHT;
}

int main(void)
{
	bench_peer *python;
	bench_question q = {.name = "submit", .count = FLIGHT};
	bench_case c = {
		.name = "submit, 1000 in flight, per call",
		.n = FLIGHT,
		.threads = WORKERS,
		.rounds = 25,
		.tine = {.measure = measure_tine},
		.peers = {{.name = "multiprocessing.Pool", .measure = bench_peer_ask, .arg = &q}},
	};
	tine_pool *pool;

	bench_begin();
	q.peer = python = bench_python_open("mp_peer.py");
	c.tine.arg = pool = tine_pool_open(.workers = WORKERS);
	if (pool)
		bench_run(&c);
	bench_check(pool && tine_pool_close(pool, 10) == 0, "pool: %s", tine_last_error());
	bench_peer_close(python);
	return bench_end();
}
