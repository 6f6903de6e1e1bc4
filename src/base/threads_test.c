/* SPDX-License-Identifier: MIT */
#include "kit/kit.h"

#include <pthread.h>
#include <stdlib.h>

#include <tine/base.h>

#include "base/threads.h"

static void test_default(void **state)
{
	(void)state;
	setenv("TINE_NUM_THREADS", "3", 1);
	assert_int_equal(tine_set_num_threads(0), 0);
	assert_int_equal(tine_num_threads(), 3);
	setenv("TINE_NUM_THREADS", "5", 1);
	assert_int_equal(tine_num_threads(), 3); /* found once */
	assert_int_equal(tine_set_num_threads(0), 0);
	assert_int_equal(tine_num_threads(), 5); /* until asked anew */
}

static void test_set(void **state)
{
	(void)state;
	assert_int_equal(tine_set_num_threads(2), 0);
	assert_int_equal(tine_num_threads(), 2);
	assert_int_equal(tine_set_num_threads(-1), TINE_EINVAL);
	assert_int_equal(tine_num_threads(), 2);
	assert_int_equal(tine_set_num_threads(0), 0);
}

static void *number_of_other(void *arg)
{
	*(int *)arg = tine_num_threads();
	return NULL;
}

static void test_stack(void **state)
{
	pthread_t thread;
	int other = 0;

	(void)state;
	tine_set_num_threads(2);
	assert_int_equal(tine_threads_pop(), TINE_ESTATE);
	assert_int_equal(tine_threads_push(-1), TINE_EINVAL);
	assert_int_equal(tine_threads_push(4), 0);
	assert_int_equal(tine_threads_push(1), 0);
	assert_int_equal(tine_num_threads(), 1);
	assert_int_equal(pthread_create(&thread, NULL, number_of_other, &other), 0);
	pthread_join(thread, NULL);
	assert_int_equal(other, 2);
	assert_int_equal(tine_threads_push(0), 0); /* the process's number again */
	assert_int_equal(tine_num_threads(), 2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(tine_threads_pop(), 0);
	assert_int_equal(tine_threads_pop(), TINE_ESTATE);
	tine_set_num_threads(0);
}

static void test_stack_is_bounded(void **state)
{
	int depth = 0;

	(void)state;
	while (!tine_threads_push(1))
		depth++;
	assert_int_equal(depth, 64);
	assert_int_equal(tine_last_code(), TINE_ESTATE);
	while (depth--)
		assert_int_equal(tine_threads_pop(), 0);
}

static void *limited_thread(void *arg)
{
	bool *ok = arg;

	tini_threads_limit_here(3);
	*ok = tine_num_threads() == 3 && !tine_set_num_threads(7) && tine_num_threads() == 3;
	*ok = *ok && tine_threads_pop() == TINE_ESTATE && tine_num_threads() == 3;
	*ok = *ok && !tine_threads_push(5) && tine_num_threads() == 5;
	*ok = *ok && !tine_threads_push(0) && tine_num_threads() == 3;
	*ok = *ok && !tine_threads_pop() && !tine_threads_pop() && tine_num_threads() == 3;
	tini_threads_limit_here(0);
	*ok = *ok && tine_num_threads() == 7;
	return NULL;
}

/* It is the thread's alone, and neither pop nor the process's number takes it away. */
static void test_limit_here(void **state)
{
	pthread_t thread;
	bool ok = false;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, limited_thread, &ok), 0);
	pthread_join(thread, NULL);
	assert_true(ok);
	assert_int_equal(tine_num_threads(), 7);
	assert_int_equal(tine_set_num_threads(0), 0);
}

/* the last one: nothing takes the limit back */
static void test_limit(void **state)
{
	(void)state;
	tine_threads_push(9);
	tini_threads_limit(2);
	assert_int_equal(tine_num_threads(), 2);
	assert_int_equal(tine_set_num_threads(4), 0);
	assert_int_equal(tine_num_threads(), 4);
	assert_int_equal(tine_set_num_threads(0), 0);
	assert_int_equal(tine_num_threads(), 2); /* not the environment's */
	tini_threads_limit(0);
	assert_int_equal(tine_num_threads(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),    cmocka_unit_test(test_set),
		cmocka_unit_test(test_stack),      cmocka_unit_test(test_stack_is_bounded),
		cmocka_unit_test(test_limit_here), cmocka_unit_test(test_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
