/* SPDX-License-Identifier: MIT */
#include "kit/kit.h"

#include <float.h>
#include <math.h>

#include "base/clock.h"

static void test_seconds(void **state)
{
	(void)state;
	assert_int_equal(tini_clock_from_seconds(0), 0);
	assert_int_equal(tini_clock_from_seconds(-0.0), 0);
	assert_int_equal(tini_clock_from_seconds(1.5), 1500000000);
	assert_int_equal(tini_clock_from_seconds(1e-12), 1); /* a wait, not a try */
	assert_int_equal(tini_clock_from_seconds(DBL_MIN), 1);
	assert_true(tini_clock_from_seconds(9.1e9) < TINI_NEVER);
}

static void test_never(void **state)
{
	const double never[] = {-1, -1e-300, 9.3e9, 1e300, DBL_MAX, INFINITY, -INFINITY, NAN};

	(void)state;
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		assert_true(tini_clock_from_seconds(never[i]) == TINI_NEVER);
		assert_true(tini_clock_deadline(never[i]) == TINI_NEVER);
	}
}

static void test_deadline(void **state)
{
	int64_t before = tini_clock_now();
	int64_t then = tini_clock_deadline(10);

	(void)state;
	assert_true(then >= before + 10000000000 && then <= tini_clock_now() + 10000000000);
	assert_true(tini_clock_deadline(9.19e9) >
		    before); /* saturates where the sum does not fit */
}

static void test_sleep(void **state)
{
	int64_t begin = tini_clock_now();

	(void)state;
	tini_clock_sleep_until(INT64_MIN);
	tini_clock_sleep_until(0);
	tini_clock_sleep_until(begin);
	tini_clock_sleep_until(begin + 20000000);
	assert_true(tini_clock_now() >= begin + 20000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_sleep),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
