/* SPDX-License-Identifier: MIT */
/*
 * What does a pool cost before and after its work, and does it matter what the shared heap holds?
 */
#include <stdint.h>

#include <tine.h>

#include "bench.h"

enum { WORKERS = 2, TIMES = 10 };
#define GIB ((size_t)1 << 30)

static int answer(const void *arg, void *result)
{
	(void)arg;
	*(int *)result = 42;
	return 0;
}

static void check_pool(void)
{
	tine_pool *pool = tine_pool_open(.workers = WORKERS);
	int results[4] = {0};
	int code = tine_map(pool, answer, NULL, 4, 0, results, .result_size = sizeof(*results));

	bench_check(pool && code == 0 && results[3] == 42, "pool: %s", tine_last_error());
	bench_check(tine_pool_close(pool, 10) == 0, "close: %s", tine_last_error());
}

static double open_and_close(void *unused)
{
	double start = bench_now();

	(void)unused;
	for (int i = 0; i < TIMES; i++) {
		tine_pool *pool = tine_pool_open(.workers = WORKERS);

		bench_check(pool && tine_pool_close(pool, 10) == 0, "pool: %s", tine_last_error());
	}
	return (bench_now() - start) / TIMES;
}

static double with_data(void *unused)
{
	volatile uint64_t *data = tine_shared_alloc(.size = GIB);
	double seconds;

	if (!data)
		return bench_fail("1 GiB: %s", tine_last_error());
	for (size_t i = 0; i < GIB / sizeof(*data); i += 4096 / sizeof(*data))
		data[i] = i;
	seconds = open_and_close(unused);
	tine_shared_free((void *)data);
	return seconds;
}

int main(void)
{
	bench_peer *python;
	bench_question q = {.name = "open_close", .count = 3};
	bench_case c = {
		.name = "pool open and close",
		.n = 1,
		.threads = WORKERS,
		.rounds = 15,
		.tine = {.measure = open_and_close},
		.peers = {{"multiprocessing.Pool", bench_peer_ask, &q, .goal = 5}},
	};
	bench_case full = {
		.name = "pool open and close, 1 GiB in heap",
		.n = GIB,
		.threads = WORKERS,
		.rounds = 11,
		.tine = {.measure = with_data},
		.peers = {{"Tine without data", open_and_close, .goal = 0.8}},
	};

	bench_begin();
	check_pool();
	python = bench_python_open("mp_peer.py");
	q.peer = python;
	bench_run(&c);
	bench_peer_close(python);
	bench_run(&full);
	return bench_end();
}
