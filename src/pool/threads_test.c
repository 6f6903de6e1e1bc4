/* SPDX-License-Identifier: MIT */
/* Several host threads use one pool at once: maps, futures, waits, cancels, and a terminate in the
 * middle. */
#include "kit/kit.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include <tine/pool.h>

#include "heap/heap.h"

enum { THREADS = 4, ROUNDS = 30, ITEMS = 500 };

static tine_pool *pool;
static _Atomic int wrong;

static int square(const void *arg, void *result)
{
	long x = *(const long *)arg;

	*(long *)result = x * x;
	return 0;
}

static int nap(const void *arg, void *result)
{
	(void)result;
	nanosleep(&(struct timespec){0, *(const long *)arg}, NULL);
	return 0;
}

static void map_once(long seed)
{
	long in[ITEMS], out[ITEMS];

	for (long i = 0; i < ITEMS; i++)
		in[i] = seed + i;
	wrong += tine_map(pool, square, in, ITEMS, sizeof *in, out, sizeof *out) != 0;
	for (long i = 0; i < ITEMS; i++)
		wrong += out[i] != in[i] * in[i];
}

static void submit_some(long seed)
{
	tine_future *futures[20];
	size_t index;

	for (long i = 0; i < 20; i++) {
		long x = seed + i;

		futures[i] = tine_submit(pool, square, &x, sizeof x, sizeof x);
	}
	wrong += tine_wait(futures, 20, TINE_ALL, &index, 20) != 0;
	for (long i = 0; i < 20; i++) {
		long result = 0;

		wrong += tine_future_get(futures[i], &result, 20) != 0 ||
			 result != (seed + i) * (seed + i);
		tine_future_free(futures[i]);
	}
}

static void cancel_one(void)
{
	long ns = 2000000;
	tine_future *future = tine_submit(pool, nap, &ns, sizeof ns, 0);

	wrong += tine_future_cancel(future, TINE_FOREVER) != 0;
	int code = tine_future_get(future, NULL, 20);
	wrong += code != 0 && code != TINE_ECANCELLED;
	tine_future_free(future);
}

static void *use(void *arg)
{
	long seed = 1000 * (long)(intptr_t)arg;

	for (int round = 0; round < ROUNDS; round++) {
		map_once(seed + round);
		submit_some(seed + round);
		if (round % 5 == 0)
			cancel_one();
	}
	return NULL;
}

static void run_threads(tine_pool_kind kind)
{
	pthread_t threads[THREADS];

	wrong = 0;
	pool = tine_pool_open(.workers = 2, .kind = kind);
	assert_non_null(pool);
	for (intptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(wrong, 0);
	assert_int_equal(tine_pool_close(pool, 20), 0);
}

static void test_serial(void **state)
{
	(void)state;
	run_threads(TINE_SERIAL);
}

static void test_processes(void **state)
{
	(void)state;
	run_threads(TINE_PROCESSES);
}

static void test_thread_workers(void **state)
{
	(void)state;
	run_threads(TINE_THREADS);
}

static void *map_until_it_ends(void *arg)
{
	long ns[200];

	for (int i = 0; i < 200; i++)
		ns[i] = 1000000;
	*(int *)arg = tine_map(pool, nap, ns, 200, sizeof *ns, NULL, 0);
	return NULL;
}

/* The thread inside tine_map() is told, and keeps the memory that it still reads. */
static void terminate_beside_map(tine_pool_kind kind)
{
	for (int round = 0; round < 5; round++) {
		pthread_t threads[2];
		int codes[2];

		pool = tine_pool_open(.workers = 2, .kind = kind);
		assert_non_null(pool);
		for (int i = 0; i < 2; i++)
			assert_int_equal(
				pthread_create(&threads[i], NULL, map_until_it_ends, &codes[i]), 0);
		nanosleep(&(struct timespec){0, 5000000 + 3000000 * round}, NULL);
		assert_int_equal(tine_pool_terminate(pool), 0);
		for (int i = 0; i < 2; i++) {
			pthread_join(threads[i], NULL);
			assert_int_equal(codes[i], TINE_ECANCELLED);
		}
	}
	tine_heap_figures figures = {.struct_size = sizeof figures};
	assert_int_equal(tine_heap_stats(&figures), 0);
	assert_int_equal(figures.in_use, 0);
}

static void test_terminate_beside_map(void **state)
{
	(void)state;
	terminate_beside_map(TINE_PROCESSES);
	terminate_beside_map(TINE_THREADS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serial), cmocka_unit_test(test_processes),
		cmocka_unit_test(test_thread_workers), cmocka_unit_test(test_terminate_beside_map)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
