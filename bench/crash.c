/* SPDX-License-Identifier: MIT */
/*
 * How soon is a crash told, and what does it cost the items beside it?
 */
#include <signal.h>
#include <unistd.h>

#include <tine.h>

#include "bench.h"

enum { WORKERS = 2, ITEMS = 200, BAD = 100 };
#define ITEM_SECONDS 20e-6

typedef struct plan {
	tine_pool *pool;
	int bad; /* the item that crashes; -1: none */
} plan;

static int work(const void *arg, void *result)
{
	double end = bench_now() + ITEM_SECONDS;

	while (bench_now() < end)
		;
	if (*(const int *)arg)
		raise(SIGSEGV);
	*(int *)result = 1;
	return 0;
}

/* Seconds until its failure is there. */
static double crash_alone(void *arg)
{
	plan *p = arg;
	int bad = 1;
	double start = bench_now(), seconds;
	tine_future *future =
		tine_submit(p->pool, work, &bad, sizeof(bad), .result_size = sizeof(int));
	int code = future ? tine_future_wait(future, 10) : tine_last_code();

	seconds = bench_now() - start;
	bench_check(code == 0 && tine_future_status(future) == TINE_ECRASHED, "crash: %s",
		    tine_last_error());
	tine_future_free(future);
	return seconds - ITEM_SECONDS;
}

/* Seconds of a map of items of 20 us. */
static double map(void *arg)
{
	plan *p = arg;
	int in[ITEMS] = {0}, out[ITEMS], statuses[ITEMS], right = 0;
	double start, seconds;

	if (p->bad >= 0)
		in[p->bad] = 1;
	start = bench_now();
	tine_map(p->pool, work, in, ITEMS, sizeof(*in), out, .result_size = sizeof(*out),
		 .statuses = statuses, .chunk = 1);
	seconds = bench_now() - start;
	for (int i = 0; i < ITEMS; i++)
		right += i == p->bad ? statuses[i] == TINE_ECRASHED && out[i] == 0
				     : statuses[i] == 0 && out[i] == 1;
	bench_check(right == ITEMS, "crash in a map: %d of %d items are right", right, ITEMS);
	return seconds;
}

int main(void)
{
	plan p = {.bad = BAD}, good = {.bad = -1};
	bench_question q = {.name = "crashes", .count = 3};
	bench_case alone = {
		.name = "crash told",
		.n = 1,
		.threads = WORKERS,
		.rounds = 21,
		.tine = {.measure = crash_alone, .arg = &p},
		.peers = {{.name = "ProcessPoolExecutor, then lost",
			   .measure = bench_peer_ask,
			   .arg = &q}},
	};
	bench_case in_map = {
		.name = "map of 200 x 20 us, one crashes",
		.n = ITEMS,
		.threads = WORKERS,
		.rounds = 41,
		.tine = {.measure = map, .arg = &p},
		.peers = {{.name = "Tine, none crashes", .measure = map, .arg = &good}},
	};

	bench_begin();
	q.peer = bench_python_open("mp_peer.py");
	p.pool = good.pool = tine_pool_open(.workers = WORKERS);
	if (p.pool) {
		bench_run(&alone);
		bench_run(&in_map);
	}
	bench_check(p.pool && tine_pool_close(p.pool, 10) == 0, "pool: %s", tine_last_error());
	bench_peer_close(q.peer);
	return bench_end();
}
