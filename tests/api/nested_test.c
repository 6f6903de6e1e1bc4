/* SPDX-License-Identifier: MIT */
/* Items that wait for other items: of the same pool, at several levels, or of a pool of their own. */
#include "scenario.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a pool may take to remember more jobs at once; it keeps that. */
enum { MORE_RECORDS = 40000 };

/* Received by argument: the handle is valid in the pool's own workers. */
typedef struct order {
	tine_pool *pool;
	int depth, width, number;
} order;

static int add_one(const void *arg, void *result)
{
	*(int *)result = *(const int *)arg + 1;
	return 0;
}

/* ---- maps within maps ---- */

static int tree(const void *arg, void *result)
{
	const order *o = arg;
	order below[8];
	int sums[8];

	*(int *)result = 1;
	if (o->depth == 0)
		return 0;
	for (int i = 0; i < o->width; i++)
		below[i] = (order){o->pool, o->depth - 1, o->width, i};
	int rc = tine_map(o->pool, tree, below, (size_t)o->width, sizeof(*below), sums,
			  .result_size = sizeof(*sums), .chunk = 1);
	for (int i = 0; i < o->width; i++)
		*(int *)result += sums[i];
	return rc;
}

static int nested_maps(void *kind)
{
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .kind = KIND(kind)));

	for (int depth = 1; depth <= 3; depth++) {
		order in[3];
		int out[3], expected = 1;

		for (int d = 0; d < depth; d++)
			expected = 1 + 3 * expected;
		for (int i = 0; i < 3; i++)
			in[i] = (order){pool, depth, 3, i};
		NEED(0, tine_map(pool, tree, in, 3, sizeof(*in), out, .result_size = sizeof(*out),
				 .chunk = 1));
		for (int i = 0; i < 3; i++)
			kit_expect(out[i] == expected);
	}
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- futures within futures ---- */

static int chain(const void *arg, void *result)
{
	const order *o = arg;
	order below = {o->pool, o->depth - 1, 0, o->number + 1};

	if (o->depth == 0) {
		*(int *)result = o->number;
		return 0;
	}
	tine_future *f =
		tine_submit(o->pool, chain, &below, sizeof(below), .result_size = sizeof(int));
	if (!f)
		return tine_last_code();
	int rc = o->number % 2 ? tine_future_get(f, result, TINE_FOREVER)
			       : tine_wait(&f, 1, TINE_ANY, NULL, TINE_FOREVER);
	if (rc == 0)
		rc = tine_future_get(f, result, 10);
	if (rc == TINE_EDEADLOCK)
		tine_future_cancel(f, 0); /* or it would go on with the chain */
	tine_future_free(f);
	return rc;
}

static int run_chain(tine_pool *pool, int depth, int *out)
{
	order in = {pool, depth, 0, 1000};
	tine_future *f =
		NEED_NEW(tine_submit(pool, chain, &in, sizeof(in), .result_size = sizeof(int)));
	int rc = tine_future_get(f, out, 15);

	tine_future_free(f);
	return rc;
}

static int nested_futures(void *kind)
{
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .kind = KIND(kind)));

	for (int depth = 0; depth <= 8; depth++) {
		int out = 0;

		NEED(0, run_chain(pool, depth, &out));
		kit_expect(out == 1000 + depth);
	}
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* One worker has 8 spares: the 9th that waits would wait for ever, and is told so. */
static int no_spare_left(void *arg)
{
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1));
	int out = 5;

	(void)arg;
	for (int round = 0; round < 3; round++) {
		NEED(TINE_EDEADLOCK, run_chain(pool, 9, &out));
		kit_expect(out == 0);
		NEED(TINE_EDEADLOCK, run_chain(pool, 30, &out));
		NEED(0, run_chain(pool, 8, &out)); /* the pool is as good as ever */
		kit_expect(out == 1008);
	}
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* All workers wait at once for items behind them in the queue. */
static int asks_for_one(const void *arg, void *result)
{
	const order *o = arg;
	tine_future *f =
		tine_submit(o->pool, add_one, &o->number, sizeof(int), .result_size = sizeof(int));
	int rc = f ? tine_future_get(f, result, TINE_FOREVER) : tine_last_code();

	tine_future_free(f);
	return rc;
}

static int everybody_waits(void *kind)
{
	enum { N = 200 };
	order in[N];
	int out[N];
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .kind = KIND(kind)));
	size_t before;

	for (int i = 0; i < N; i++)
		in[i] = (order){pool, 0, 0, i};
	before = heap_in_use();
	NEED(0, tine_map(pool, asks_for_one, in, N, sizeof(*in), out, .result_size = sizeof(*out),
			 .chunk = 1));
	for (int i = 0; i < N; i++)
		kit_expect(out[i] == i + 1);
	kit_expect(heap_settles(before + MORE_RECORDS));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- what a waiting item cannot do, and its death ---- */

static int closes_its_pool(const void *arg, void *result)
{
	tine_pool *pool = *(tine_pool *const *)arg;

	*(int *)result = tine_pool_close(pool, TINE_FOREVER);
	return tine_pool_terminate(pool) == TINE_EDEADLOCK ? 0 : 1;
}

static int close_from_inside(void *arg)
{
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2));
	int out = 0;

	(void)arg;
	NEED(0, tine_map(pool, closes_its_pool, &pool, 1, sizeof(pool), &out,
			 .result_size = sizeof(out)));
	kit_expect(out == TINE_EDEADLOCK);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int looks_at_its_pool(const void *arg, void *result)
{
	tine_pool *pool = *(tine_pool *const *)arg;
	tine_pool_figures figures = {.struct_size = sizeof(figures)};

	*(int *)result = tine_pool_workers(pool);
	return tine_pool_stats(pool, &figures) == 0 && figures.workers == *(int *)result ? 0 : 1;
}

static int questions_from_inside(void *kind)
{
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .kind = KIND(kind)));
	int out = 0;

	NEED(0, tine_map(pool, looks_at_its_pool, &pool, 1, sizeof(pool), &out,
			 .result_size = sizeof(out)));
	kit_expect(out == tine_pool_workers(pool));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int sleeps(const void *arg, void *result)
{
	(void)arg;
	(void)result;
	nap(0.02);
	return 0;
}

/* Dies while a map and futures of its own are under way: they are ended, and nothing of them stays. */
static int dies_with_work_under_way(const void *arg, void *result)
{
	const order *o = arg;
	tine_future *f[4];

	(void)result;
	for (int i = 0; i < 4; i++)
		f[i] = tine_submit(o->pool, sleeps, NULL, 0, .result_size = 1000);
	if (o->number % 2)
		tine_future_wait(f[0], TINE_FOREVER);
	raise(SIGKILL);
	return 0;
}

static int death_with_work_under_way(void *arg)
{
	enum { N = 10 };
	order in[N];
	int codes[N];
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2));
	size_t before = heap_in_use();

	(void)arg;
	for (int i = 0; i < N; i++)
		in[i] = (order){pool, 0, 0, i};
	NEED(TINE_EITEMS, tine_map(pool, dies_with_work_under_way, in, N, sizeof(*in), NULL,
				   .statuses = codes, .chunk = 1));
	for (int i = 0; i < N; i++)
		kit_expect(codes[i] == TINE_ECRASHED);
	kit_expect(heap_settles(before + MORE_RECORDS));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- pools within pools ---- */

static int opens_a_pool(const void *arg, void *result)
{
	int in[20], out[20];
	const order *o = arg;
	tine_pool *pool = tine_pool_open(.workers = 2, .kind = (tine_pool_kind)o->width);

	if (!pool)
		return tine_last_code();
	for (int i = 0; i < 20; i++)
		in[i] = i;
	int rc = tine_map(pool, add_one, in, 20, sizeof(*in), out, .result_size = sizeof(*out));
	if (o->number == 3)
		raise(SIGKILL); /* with a pool open */
	*(int *)result = out[19];
	tine_pool_close(pool, TINE_FOREVER);
	return rc;
}

static int nested_pools(void *kind)
{
	enum { N = 6 };
	order in[N];
	int out[N], codes[N];
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2));

	for (int i = 0; i < N; i++)
		in[i] = (order){NULL, 0, (int)KIND(kind), i};
	NEED(TINE_EITEMS, tine_map(pool, opens_a_pool, in, N, sizeof(*in), out,
				   .result_size = sizeof(*out), .statuses = codes, .chunk = 1));
	for (int i = 0; i < N; i++)
		kit_expect(i == 3 ? codes[i] == TINE_ECRASHED && out[i] == 0
				  : codes[i] == 0 && out[i] == 20);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* The pool of the host is a stranger to the workers of another pool, and the other way round. */
static int uses_a_strange_pool(const void *arg, void *result)
{
	tine_pool *pool = *(tine_pool *const *)arg;
	int in = 1, out;

	(void)result;
	if (tine_submit(pool, add_one, &in, sizeof(in), .result_size = sizeof(out)) ||
	    tine_last_code() != TINE_ESTATE)
		return 1;
	return tine_map(pool, add_one, &in, 1, sizeof(in), &out, .result_size = sizeof(out)) ==
			       TINE_ESTATE
		       ? 0
		       : 2;
}

static int strange_pools(void *arg)
{
	tine_pool *one = NEED_NEW(tine_pool_open(.workers = 1)),
		  *other = NEED_NEW(tine_pool_open(.workers = 1));

	(void)arg;
	NEED(0, tine_map(other, uses_a_strange_pool, &one, 1, sizeof(one), NULL, .chunk = 1));
	NEED(0, tine_pool_close(one, TINE_FOREVER));
	NEED(0, tine_pool_close(other, TINE_FOREVER));
	return 0;
}

/* The default pool of a worker is one of its own. */
static int uses_the_default_pool(const void *arg, void *result)
{
	return tine_map(NULL, add_one, arg, 1, sizeof(int), result, .result_size = sizeof(int));
}

static int default_pools(void *arg)
{
	int in[4] = {1, 2, 3, 4}, out[4];

	(void)arg;
	NEED(0, tine_map(NULL, uses_the_default_pool, in, 4, sizeof(*in), out,
			 .result_size = sizeof(*out)));
	for (int i = 0; i < 4; i++)
		kit_expect(out[i] == in[i] + 1);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO_EACH(nested_maps),
		SCENARIO_EACH(nested_futures),
		SCENARIO(no_spare_left),
		SCENARIO_EACH(everybody_waits),
		SCENARIO(close_from_inside),
		SCENARIO_EACH(questions_from_inside),
		SCENARIO(death_with_work_under_way),
		SCENARIO_EACH(nested_pools),
		SCENARIO(strange_pools),
		SCENARIO(default_pools),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
