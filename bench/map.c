/* SPDX-License-Identifier: MIT */
/*
 * What does the map of a function that does nothing cost for each item?
 *
 * The item copies its argument of 8 bytes to its result, so that the answer can be checked; the
 * peers do the same with integers.
 */
#include <stdlib.h>
#include <string.h>

#include <tine.h>

#include "bench.h"

enum { WORKERS = 2, ITEMS = 1000000 };

typedef struct plan {
	tine_pool *pool;
	size_t chunk;
	uint64_t *in, *out;
} plan;

static int identity(const void *arg, void *result)
{
	*(uint64_t *)result = *(const uint64_t *)arg;
	return 0;
}

static double measure_tine(void *arg)
{
	plan *p = arg;
	double start = bench_now(), seconds;
	int code = tine_map(p->pool, identity, p->in, ITEMS, sizeof(*p->in), p->out,
			    .result_size = sizeof(*p->out), .chunk = p->chunk);

	seconds = bench_now() - start;
	bench_check(code == 0, "map: %s", tine_last_error());
	bench_check(memcmp(p->in, p->out, ITEMS * sizeof(*p->in)) == 0, "map: another result");
	memset(p->out, 0, ITEMS * sizeof(*p->out));
	return seconds / ITEMS;
}

static void fill(uint64_t *in)
{
	for (size_t i = 0; i < ITEMS; i++)
		in[i] = i * 2654435761u + 1;
}

static void run_one(plan *p, bench_peer *python, bench_peer *loky)
{
	bench_question pool = {.peer = python, .name = "map_one", .count = 100000};
	bench_question executor = {.peer = python, .name = "executor_map_one", .count = 5000};
	bench_question loky_pool = {.peer = loky, .name = "map_one", .count = 5000};
	bench_peer *second = bench_python_open("mp_peer.py");
	bench_case c = {
		.name = "map of no-ops, chunk 1, per item",
		.n = ITEMS,
		.threads = WORKERS,
		.rounds = 7,
		.tine = {.measure = measure_tine, .arg = p},
		.peers = {{"multiprocessing.Pool", bench_peer_ask, &pool, .goal = 100},
			  {.name = "ProcessPoolExecutor",
			   .measure = bench_peer_ask,
			   .arg = &executor},
			  {.name = "loky", .measure = bench_peer_ask, .arg = &loky_pool}},
	};

	executor.peer = second;
	bench_run(&c);
	bench_peer_close(second);
}

static void run_automatic(plan *p, bench_peer *python, bench_peer *loky)
{
	bench_peer *second = bench_python_open("mp_peer.py");
	bench_question pool = {.peer = python, .name = "map_default", .count = ITEMS};
	bench_question executor = {
		.peer = second, .name = "executor_map_chunks", .count = ITEMS / 5};
	bench_question joblib = {.peer = loky, .name = "map_default", .count = ITEMS / 20};
	bench_case c = {
		.name = "map of no-ops, automatic, per item",
		.n = ITEMS,
		.threads = WORKERS,
		.rounds = 15,
		.tine = {.measure = measure_tine, .arg = p},
		.peers = {{"multiprocessing.Pool", bench_peer_ask, &pool, .goal = 15},
			  {.name = "ProcessPoolExecutor, n/8",
			   .measure = bench_peer_ask,
			   .arg = &executor},
			  {.name = "joblib, automatic", .measure = bench_peer_ask, .arg = &joblib}},
	};

	bench_run(&c);
	bench_peer_close(second);
}

static void run_private(plan *p, bench_peer *python)
{
	bench_question pool = {.peer = python, .name = "map_default", .count = ITEMS};
	bench_case c = {
		.name = "map of no-ops, private arrays",
		.n = ITEMS,
		.threads = WORKERS,
		.rounds = 9,
		.tine = {.measure = measure_tine, .arg = p},
		.peers = {{.name = "multiprocessing.Pool",
			   .measure = bench_peer_ask,
			   .arg = &pool}},
	};

	bench_run(&c);
}

static void run_all(plan *shared, plan *private)
{
	bench_peer *python = bench_python_open("mp_peer.py");
	bench_peer *loky = bench_python_open("joblib_peer.py");
	plan one = *shared;

	one.chunk = 1;
	run_one(&one, python, loky);
	run_automatic(shared, python, loky);
	run_private(private, python);
	bench_peer_close(loky);
	bench_peer_close(python);
}

int main(void)
{
	size_t size = ITEMS * sizeof(uint64_t);
	plan shared = {0}, private = {0};

	bench_begin();
	shared.in = tine_shared_alloc(.size = size);
	shared.out = tine_shared_alloc(.size = size, .zero = true);
	private.in = malloc(size);
	private.out = calloc(1, size);
	shared.pool = private.pool = tine_pool_open(.workers = WORKERS);
	if (shared.in && shared.out && private.in && private.out && shared.pool) {
		fill(shared.in);
		fill(private.in);
		run_all(&shared, &private);
	} else {
		bench_check(false, "map: %s", tine_last_error());
	}
	bench_check(tine_pool_close(shared.pool, 10) == 0, "close: %s", tine_last_error());
	tine_shared_free(shared.in);
	tine_shared_free(shared.out);
	free(private.in);
	free(private.out);
	return bench_end();
}
