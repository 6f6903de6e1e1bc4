/* SPDX-License-Identifier: MIT */
/*
 * Pools of threads under load from several sides: items that wait for items, workers that are
 * renewed, closes that are given up, a terminate in the middle.  ThreadSanitizer sees all of it.
 */
#include "kit/kit.h"

#include <pthread.h>
#include <time.h>

#include <tine/pool.h>

#include "base/clock.h"
#include "pool/pool.h"

enum { THREADS = 3, ROUNDS = 15, WIDTH = 4 };

typedef struct order {
	int depth, number;
} order;

static tine_pool *pool;
static _Atomic int wrong;

static void nap_us(long us)
{
	nanosleep(&(struct timespec){0, us * 1000}, NULL);
}

static int leaf_or_tree(const void *arg, void *result);

/* A map, or futures waited for in one of the ways: each item has WIDTH below it. */
static int by_map(const order *below, long *sums)
{
	return tine_map(pool, leaf_or_tree, below, WIDTH, sizeof *below, sums, sizeof *sums,
			.chunk = 1);
}

static int by_futures(const order *below, long *sums, tine_wait_mode mode)
{
	tine_future *futures[WIDTH];
	int rc = 0;

	for (int i = 0; i < WIDTH; i++)
		futures[i] =
			tine_submit(pool, leaf_or_tree, &below[i], sizeof *below, sizeof *sums);
	if (futures[0] && futures[WIDTH - 1])
		rc = tine_wait(futures, WIDTH, mode, NULL, TINE_FOREVER);
	for (int i = 0; i < WIDTH; i++) {
		if (!futures[i])
			return tine_last_code(); /* the pool is ending */
		int code = tine_future_get(futures[i], &sums[i], TINE_FOREVER);
		rc = rc != 0 ? rc : code;
		tine_future_free(futures[i]);
	}
	return rc;
}

static int leaf_or_tree(const void *arg, void *result)
{
	const order *o = arg;
	order below[WIDTH];
	long sums[WIDTH] = {0};

	*(long *)result = 1;
	if (o->depth == 0)
		return 0;
	for (int i = 0; i < WIDTH; i++)
		below[i] = (order){o->depth - 1, o->number + i};
	int rc = o->number % 2 ? by_map(below, sums)
			       : by_futures(below, sums, (tine_wait_mode)(o->number / 2 % 3));
	for (int i = 0; i < WIDTH; i++)
		*(long *)result += sums[i];
	return rc;
}

static void *grow_trees(void *arg)
{
	for (int round = 0; round < ROUNDS; round++) {
		order top[2] = {{2, (int)(intptr_t)arg + round}, {3, round}};
		long sums[2] = {0};

		wrong += tine_map(pool, leaf_or_tree, top, 2, sizeof *top, sums, sizeof *sums,
				  .chunk = 1) != 0;
		wrong += sums[0] != 1 + 4 + 16 || sums[1] != 1 + 4 + 16 + 64;
	}
	return NULL;
}

static void with_threads(void *(*run)(void *arg))
{
	pthread_t threads[THREADS];

	for (intptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void test_trees(void **state)
{
	(void)state;
	for (int workers = 1; workers <= 4; workers++) {
		for (size_t lives = 0; lives <= 5; lives += 5) {
			wrong = 0;
			pool = tine_pool_open(.workers = workers, .kind = TINE_THREADS,
					      .tasks_per_worker = lives);
			assert_non_null(pool);
			with_threads(grow_trees);
			assert_int_equal(wrong, 0);
			assert_int_equal(tine_pool_close(pool, TINE_FOREVER), 0);
		}
	}
}

/* ---- closing */

static _Atomic long done;

static int counts(const void *arg, void *result)
{
	(void)arg;
	(void)result;
	nap_us(200);
	done++;
	return 0;
}

static _Atomic bool held;

static int holds(const void *arg, void *result)
{
	while (held)
		nap_us(100);
	return counts(arg, result);
}

static _Atomic long given;

static void *submits_and_forgets(void *arg)
{
	(void)arg;
	while (held) {
		tine_future *future = tine_submit(pool, counts, NULL, 0, 0);

		if (future)
			given++;
		else /* a close is under way that will be given up */
			wrong += tine_last_code() != TINE_ESTATE;
		tine_future_free(future);
		nap_us(300);
	}
	return NULL;
}

/* Closes that run out beside submits: each leaves the pool open, and no item is lost. */
static void test_close_again_and_again(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	wrong = 0;
	done = 0;
	given = 1;
	held = true;
	pool = tine_pool_open(.workers = 2, .kind = TINE_THREADS);
	assert_non_null(pool);
	tine_future *last = tine_submit(pool, holds, NULL, 0, 0);
	for (intptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, submits_and_forgets, (void *)i);
	for (int i = 0; i < 20; i++) {
		long before = given;

		assert_int_equal(tine_pool_close(pool, 0.0005), TINE_ETIMEDOUT);
		while (given == before)
			nap_us(100);
	}
	held = false;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(tine_pool_close(pool, 20), 0);
	assert_int_equal(done, given);
	assert_int_equal(tine_future_get(last, NULL, 0), 0);
	tine_future_free(last);
	assert_int_equal(wrong, 0);
}

static void *grow_until_it_ends(void *arg)
{
	order top = {3, (int)(intptr_t)arg};
	long sum;
	int rc = 0;

	while (rc == 0)
		rc = tine_map(pool, leaf_or_tree, &top, 1, sizeof top, &sum, sizeof sum);
	wrong += rc != TINE_ECANCELLED && rc != TINE_ESTATE && rc != TINE_EITEMS;
	return NULL;
}

static void test_terminate_under_trees(void **state)
{
	(void)state;
	for (int round = 0; round < 8; round++) {
		pthread_t threads[THREADS];
		tine_future *kept;

		wrong = 0;
		pool = tine_pool_open(.workers = 2, .kind = TINE_THREADS);
		assert_non_null(pool);
		kept = tine_submit(pool, counts, NULL, 0, 0); /* keeps the memory for the threads */
		for (intptr_t i = 0; i < THREADS; i++)
			pthread_create(&threads[i], NULL, grow_until_it_ends, (void *)i);
		nap_us(3000 + 1500 * round);
		tine_pool *ending = pool;
		assert_int_equal(tine_pool_terminate(ending), 0);
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(wrong, 0);
		assert_int_not_equal(tine_future_status(kept), TINE_EPENDING);
		tine_future_free(kept);
	}
}

/* ---- sleeping and waking */

static int nothing(const void *arg, void *result)
{
	(void)arg;
	(void)result;
	return 0;
}

/* One submit at a time, to workers that are about to sleep: a wake-up that were lost would cost the
 * watchdog's 50 ms each time. */
static void test_no_lost_wakes(void **state)
{
	enum { SUBMITS = 3000 };
	int slow = 0;

	(void)state;
	pool = tine_pool_open(.workers = 2, .kind = TINE_THREADS);
	assert_non_null(pool);
	for (int i = 0; i < SUBMITS; i++) {
		int64_t begun = tini_clock_now();
		tine_future *future = tine_submit(pool, nothing, NULL, 0, 0);

		assert_int_equal(tine_future_get(future, NULL, 10), 0);
		tine_future_free(future);
		slow += tini_clock_now() - begun >= TINI_WATCHDOG_NS;
		if (i % 3 == 0)
			nap_us(i % 40); /* until they sleep, or nearly */
	}
	assert_true(slow <= 5); /* a busy machine may hold one up */
	assert_int_equal(tine_pool_close(pool, 20), 0);
}

/* The map of a call that has returned goes back without a further call. */
static void test_maps_go_back(void **state)
{
	tine_heap_figures before = {.struct_size = sizeof before}, after = before;

	(void)state;
	pool = tine_pool_open(.workers = 4, .kind = TINE_THREADS);
	assert_non_null(pool);
	assert_int_equal(tine_map(pool, nothing, NULL, 1000, 0, NULL), 0);
	nap_us(20000);
	assert_int_equal(tine_heap_stats(&before), 0);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(tine_map(pool, nothing, NULL, 1000, 0, NULL), 0);
		for (int k = 0; k < 200; k++) {
			assert_int_equal(tine_heap_stats(&after), 0);
			if (after.in_use <= before.in_use)
				break;
			nap_us(1000);
		}
		assert_true(after.in_use <= before.in_use);
	}
	assert_int_equal(tine_pool_close(pool, 20), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trees),
		cmocka_unit_test(test_close_again_and_again),
		cmocka_unit_test(test_terminate_under_trees),
		cmocka_unit_test(test_no_lost_wakes),
		cmocka_unit_test(test_maps_go_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
