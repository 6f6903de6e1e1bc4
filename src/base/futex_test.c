/* SPDX-License-Identifier: MIT */
#include "kit/kit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/clock.h"
#include "base/futex.h"

static _Atomic uint32_t word;

static void test_value_differs(void **state)
{
	(void)state;
	atomic_store(&word, 1);
	assert_int_equal(tini_futex->wait(&word, 0, TINI_NEVER), 0);
}

static void test_timeout(void **state)
{
	int64_t begin = tini_clock_now();

	(void)state;
	atomic_store(&word, 0);
	assert_int_equal(tini_futex->wait(&word, 0, begin + 20000000), -ETIMEDOUT);
	assert_true(tini_clock_now() >= begin + 20000000);
	assert_int_equal(tini_futex->wait(&word, 0, begin), -ETIMEDOUT);
	assert_int_equal(tini_futex->wait(&word, 0, 0), -ETIMEDOUT);
	assert_int_equal(tini_futex->wait(&word, 0, INT64_MIN), -ETIMEDOUT);
}

static void *wait_for_one(void *arg)
{
	(void)arg;
	while (!atomic_load(&word))
		tini_futex->wait(&word, 0, TINI_NEVER);
	return NULL;
}

static void test_wake(void **state)
{
	pthread_t thread;

	(void)state;
	atomic_store(&word, 0);
	assert_int_equal(tini_futex->wake(&word, 1), 0); /* nobody sleeps */
	assert_int_equal(pthread_create(&thread, NULL, wait_for_one, NULL), 0);
	tini_clock_sleep_until(tini_clock_deadline(0.02));
	atomic_store(&word, 1);
	tini_futex->wake(&word, 1);
	pthread_join(thread, NULL);
}

static void ignore(int signal)
{
	(void)signal;
}

static void *interrupt(void *arg)
{
	tini_clock_sleep_until(tini_clock_deadline(0.05));
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void test_signal(void **state)
{
	struct sigaction action = {.sa_handler = ignore};
	pthread_t self = pthread_self(), thread;

	(void)state;
	sigaction(SIGUSR1, &action, NULL);
	atomic_store(&word, 0);
	assert_int_equal(pthread_create(&thread, NULL, interrupt, &self), 0);
	assert_int_equal(tini_futex->wait(&word, 0, tini_clock_deadline(10)), -EINTR);
	pthread_join(thread, NULL);
}

static int fake_wait(_Atomic uint32_t *at, uint32_t expected, int64_t deadline)
{
	(void)at, (void)deadline;
	return (int)expected;
}

static void test_replaced(void **state)
{
	static const tini_futex_ops fake = {fake_wait, NULL};

	(void)state;
	tini_futex = &fake;
	assert_int_equal(tini_futex->wait(&word, 42, 0), 42);
	tini_futex = &tini_futex_kernel;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value_differs), cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_wake),          cmocka_unit_test(test_signal),
		cmocka_unit_test(test_replaced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
