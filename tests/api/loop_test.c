/* SPDX-License-Identifier: MIT */
/* Loops, reductions and tasks as a program uses them: over pools, across fork(), out of exit(). */
#include "kit/kit.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tine.h>

enum { COUNT = 10000 };

static void square(size_t begin, size_t end, void *context)
{
	long *out = context;

	for (size_t i = begin; i < end; i++)
		out[i] += (long)(i * i);
}

static void sum_body(size_t begin, size_t end, void *context, void *partial)
{
	const double *x = context;

	for (size_t i = begin; i < end; i++)
		*(double *)partial += x[i];
}

static void sum_combine(void *into, const void *from, void *context)
{
	(void)context;
	*(double *)into += *(const double *)from;
}

static void add_one(void *arg)
{
	++*(_Atomic int *)arg;
}

static int run_loop(tine_schedule schedule, size_t grain)
{
	static _Thread_local long out[COUNT];

	memset(out, 0, sizeof out);
	if (tine_for(0, COUNT, square, out, .schedule = schedule, .grain = grain) != 0)
		return 1;
	for (long i = 0; i < COUNT; i++)
		if (out[i] != i * i)
			return 2;
	return 0;
}

/* ---- over a pool */

static const tine_schedule schedules[] = {TINE_SCHEDULE_AUTO, TINE_SCHEDULE_STATIC,
					  TINE_SCHEDULE_DYNAMIC, TINE_SCHEDULE_GUIDED};

static void loop_over(tine_pool *pool, long *out)
{
	for (size_t grain = 0; grain < 2000; grain = grain * 5 + 1)
		for (int k = 0; k < 4; k++) {
			memset(out, 0, COUNT * sizeof *out);
			assert_int_equal(tine_for(3, COUNT, square, out, .pool = pool,
						  .grain = grain, .schedule = schedules[k]),
					 0);
			for (long i = 0; i < COUNT; i++)
				assert_int_equal(out[i], i < 3 ? 0 : i * i);
		}
}

static void test_loop_over_pools(void **state)
{
	long *out = tine_shared_alloc(.size = COUNT * sizeof *out);

	(void)state;
	assert_non_null(out);
	tine_pool *processes = tine_pool_open(.workers = 3),
		  *threads = tine_pool_open(.workers = 3, .kind = TINE_THREADS),
		  *serial = tine_pool_open(.kind = TINE_SERIAL);
	loop_over(processes, out);
	loop_over(threads, out);
	loop_over(serial, out);
	assert_int_equal(tine_for(0, 0, square, out, .pool = processes), 0);
	long private[4] = {0};
	assert_int_equal(tine_for(0, 4, square, private, .pool = processes), TINE_EINVAL);
	assert_non_null(strstr(tine_last_error(), "tine_shared_alloc"));
	assert_int_equal(tine_for(0, 4, square, private, .pool = serial), 0);
	assert_int_equal(tine_for(0, 4, square, private, .pool = threads), 0);
	assert_int_equal(private[3], 18);
	assert_int_equal(tine_pool_close(threads, 5), 0);
	assert_int_equal(tine_pool_close(processes, 5), 0);
	assert_int_equal(tine_pool_close(serial, 5), 0);
	tine_shared_free(out);
}

static void test_reduce_over_pools(void **state)
{
	double *x = tine_shared_alloc(.size = COUNT * sizeof *x);
	double identity = 0;

	(void)state;
	assert_non_null(x);
	for (int i = 0; i < COUNT; i++)
		x[i] = 1.0 / (i % 977 + 1);
	tine_pool *processes = tine_pool_open(.workers = 3),
		  *threads = tine_pool_open(.workers = 2, .kind = TINE_THREADS);
	for (size_t grain = 0; grain < 2 * COUNT; grain = grain * 3 + 1) {
		double here = -1, there = -2;
		assert_int_equal(tine_reduce(0, COUNT, sum_body, sum_combine, x, &here, sizeof here,
					     .grain = grain, .threads = 2),
				 0);
		assert_int_equal(tine_reduce(0, COUNT, sum_body, sum_combine, x, &there,
					     sizeof there, .grain = grain, .pool = processes,
					     .identity = grain % 2 ? &identity : NULL),
				 0);
		assert_memory_equal(&here, &there, sizeof here);
	}
	double private[2] = {1, 2}, sum = 7;
	assert_int_equal(tine_reduce(0, 2, sum_body, sum_combine, private, &sum, sizeof sum,
				     .pool = processes),
			 TINE_EINVAL);
	assert_true(sum == 7);
	assert_int_equal(tine_reduce(0, 2, sum_body, sum_combine, private, &sum, sizeof sum,
				     .pool = threads),
			 0);
	assert_true(sum == 3);
	assert_int_equal(tine_pool_close(threads, 5), 0);
	assert_int_equal(tine_pool_close(processes, 5), 0);
	tine_shared_free(x);
}

static void crash_at_5000(size_t begin, size_t end, void *context)
{
	square(begin, end, context);
	if (begin <= 5000 && 5000 < end)
		abort();
}

static void test_crash_over_a_pool(void **state)
{
	long *out = tine_shared_alloc(.size = COUNT * sizeof *out, .zero = true);

	(void)state;
	tine_pool *pool = tine_pool_open(.workers = 2);
	assert_int_equal(tine_for(0, COUNT, crash_at_5000, out, .pool = pool, .grain = 100,
				  .schedule = TINE_SCHEDULE_DYNAMIC),
			 TINE_EITEMS);
	assert_non_null(strstr(tine_last_error(), "iterations 5000 to 5099"));
	assert_non_null(strstr(tine_last_error(), "SIGABRT"));
	for (long i = 0; i < COUNT; i++)
		assert_int_equal(out[i], i * i); /* all others, and it had done its own */
	assert_int_equal(tine_pool_close(pool, 5), 0);
	tine_shared_free(out);
}

/* ---- in workers */

static int loop_in_item(const void *arg, void *result)
{
	(void)arg;
	*(int *)result = run_loop(TINE_SCHEDULE_DYNAMIC, 7) * 100 + tine_num_threads();
	return 0;
}

/* A worker has its own threads, as many as it may use. */
static void test_loop_in_workers(void **state)
{
	int results[8];

	(void)state;
	assert_int_equal(run_loop(TINE_SCHEDULE_DYNAMIC, 7),
			 0); /* the host has threads at the fork */
	tine_pool *pool = tine_pool_open(.workers = 2, .threads_per_worker = 3);
	assert_int_equal(
		tine_map(pool, loop_in_item, NULL, 8, 0, results, .result_size = sizeof *results),
		0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(results[i], 3);
	assert_int_equal(tine_pool_close(pool, 5), 0);
}

/* ---- fork() */

static int status_of(pid_t child)
{
	int status = -1;

	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int fork_between_loops(void *arg)
{
	(void)arg;
	tine_set_num_threads(4);
	for (int round = 0; round < 20; round++) {
		kit_expect(run_loop(TINE_SCHEDULE_DYNAMIC, 3) == 0);
		pid_t child = fork();
		if (child == 0) {
			for (int i = 0; i < 10; i++)
				kit_expect(run_loop(TINE_SCHEDULE_DYNAMIC, 3) == 0);
			_exit(0);
		}
		kit_expect(status_of(child) == 0);
	}
	return 0;
}

static void test_fork_between_loops(void **state)
{
	(void)state;
	kit_run_clean(fork_between_loops, NULL, 20);
}

static pid_t children[100];

static void fork_in_body(size_t begin, size_t end, void *context)
{
	(void)context;
	for (size_t i = begin; i < end; i++)
		if (i % 50 == 7) {
			pid_t child = fork();
			if (child == 0 && i % 100 == 7)
				_exit(3);
			if (child != 0)
				children[i / 50] = child;
		}
}

/* The child ends with the body where that ran on one of our threads, and otherwise comes back with
 * TINE_ESTATE. */
static int fork_inside(void *arg)
{
	pid_t self = getpid();

	(void)arg;
	tine_set_num_threads(3);
	int rc = tine_for(0, 1000, fork_in_body, NULL, .grain = 1,
			  .schedule = TINE_SCHEDULE_DYNAMIC);
	if (getpid() != self)
		_exit(rc == TINE_ESTATE && run_loop(TINE_SCHEDULE_DYNAMIC, 3) == 0 ? 0 : 9);
	kit_expect(rc == 0);
	for (int i = 0; i < 20; i++) {
		int status = status_of(children[i]);
		kit_expect(status == (i % 2 == 0 ? 3 : 0));
	}
	return 0;
}

static void test_fork_in_body(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++)
		kit_run_clean(fork_inside, NULL, 20);
}

static int fork_with_tasks(void *arg)
{
	_Atomic int sum = 0;
	tine_group group = {{0}};

	(void)arg;
	tine_set_num_threads(4);
	for (int i = 0; i < 100; i++)
		tine_spawn(&group, add_one, &sum);
	pid_t child = fork();
	if (child == 0) {
		int rc = tine_group_wait(&group);
		kit_expect(rc == TINE_ESTATE || rc == 0); /* 0: all were done before the fork */
		sum = 0;
		for (int i = 0; i < 100; i++)
			kit_expect(tine_spawn(&group, add_one, &sum) == 0);
		kit_expect(tine_group_wait(&group) == 0 && sum == 100);
		_exit(0);
	}
	kit_expect(tine_group_wait(&group) == 0 && sum == 100);
	kit_expect(status_of(child) == 0);
	return 0;
}

static void test_fork_with_tasks(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++)
		kit_run_clean(fork_with_tasks, NULL, 20);
}

/* ---- exit() */

static void exit_at_500(size_t begin, size_t end, void *context)
{
	(void)context;
	if (begin <= 500 && 500 < end)
		exit(42);
	sched_yield();
}

static int exit_in_body(void *arg)
{
	tine_set_num_threads(4);
	tine_for(0, 1000, exit_at_500, NULL, .grain = 1, .schedule = TINE_SCHEDULE_DYNAMIC);
	(void)arg;
	return 1;
}

static void test_exit_in_body(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		kit_outcome outcome = kit_run(exit_in_body, NULL, 20);
		assert_false(outcome.timed_out);
		assert_int_equal(outcome.code, 42);
		assert_int_equal(outcome.left, 0);
	}
}

/* ---- shortage */

static int with_little_memory(void *arg)
{
	struct rlimit limit = {(rlim_t)40 << 20, (rlim_t)40 << 20};

	(void)arg;
	tine_set_num_threads(64); /* 64 stacks of 8 MiB do not fit */
	kit_expect(setrlimit(RLIMIT_AS, &limit) == 0);
	for (int i = 0; i < 20; i++)
		kit_expect(run_loop(schedules[i % 4], (size_t)i) == 0);
	return 0;
}

static void test_threads_that_cannot_start(void **state)
{
	(void)state;
	kit_run_clean(with_little_memory, NULL, 20);
}

static int on_one_cpu(void *arg)
{
	cpu_set_t one;

	(void)arg;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	kit_expect(sched_setaffinity(0, sizeof one, &one) == 0);
	tine_set_num_threads(0); /* found anew */
	kit_expect(tine_num_threads() == 1);
	kit_expect(run_loop(TINE_SCHEDULE_DYNAMIC, 3) == 0);
	tine_set_num_threads(4); /* all on that one */
	for (int i = 0; i < 50; i++)
		kit_expect(run_loop(TINE_SCHEDULE_DYNAMIC, 3) == 0);
	return 0;
}

static void test_one_cpu(void **state)
{
	(void)state;
	kit_run_clean(on_one_cpu, NULL, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loop_over_pools),
		cmocka_unit_test(test_reduce_over_pools),
		cmocka_unit_test(test_crash_over_a_pool),
		cmocka_unit_test(test_loop_in_workers),
		cmocka_unit_test(test_fork_between_loops),
		cmocka_unit_test(test_fork_in_body),
		cmocka_unit_test(test_fork_with_tasks),
		cmocka_unit_test(test_exit_in_body),
		cmocka_unit_test(test_threads_that_cannot_start),
		cmocka_unit_test(test_one_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
