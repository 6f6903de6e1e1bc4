/* SPDX-License-Identifier: MIT */
/* The runner must find what it is there to find. */
#include "kit/kit.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int returns(void *arg)
{
	return *(int *)arg;
}

static int crashes(void *arg)
{
	signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would exit */
	raise(SIGSEGV);
	return *(int *)arg;
}

static int hangs(void *arg)
{
	for (;;)
		pause();
	return *(int *)arg;
}

/* An orphan in a session of its own, with a parent that is gone. */
static int leaves_an_orphan(void *arg)
{
	if (fork() == 0) {
		if (fork() == 0) {
			setsid();
			hangs(arg);
		}
		_exit(0);
	}
	return 0;
}

static int expects(void *arg)
{
	kit_expect(arg == NULL);
	return 0;
}

static void test_outcomes(void **state)
{
	int three = 3;
	kit_outcome outcome = kit_run(returns, &three, 10);

	(void)state;
	assert_int_equal(outcome.code, 3);
	assert_int_equal(outcome.left, 0);
	assert_false(outcome.failed || outcome.timed_out);
	outcome = kit_run(crashes, &three, 10);
	assert_int_equal(outcome.code, -1);
	assert_int_equal(outcome.signal, SIGSEGV);
	assert_int_equal(kit_run(expects, &three, 10).code, KIT_FAILED);
}

static void test_time_limit(void **state)
{
	kit_outcome outcome = kit_run(hangs, NULL, 0.1);

	(void)state;
	assert_true(outcome.timed_out);
	assert_int_equal(outcome.signal, SIGKILL);
	assert_true(outcome.seconds < 5);
}

static void test_orphan_is_found_and_ended(void **state)
{
	(void)state;
	kit_grace = 0.1;
	assert_int_equal(kit_run(leaves_an_orphan, NULL, 10).left, 1);
	kit_grace = 2;
	assert_int_equal(kit_children(), 0);
}

static void test_counters(void **state)
{
	int before = kit_descriptors(), ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(kit_descriptors(), before + 2);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(kit_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_time_limit),
		cmocka_unit_test(test_orphan_is_found_and_ended),
		cmocka_unit_test(test_counters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
