/* SPDX-License-Identifier: MIT */
#include "kit/kit.h"

#include "base/fault.h"

static void test_nth_fails_once(void **state)
{
	(void)state;
	tini_fault_arm(TINI_FAULT_ALLOC, 3);
	assert_false(tini_fault_now(TINI_FAULT_ALLOC));
	assert_false(tini_fault_now(TINI_FAULT_SYSTEM)); /* each kind counts by itself */
	assert_false(tini_fault_now(TINI_FAULT_ALLOC));
	assert_true(tini_fault_now(TINI_FAULT_ALLOC));
	assert_false(tini_fault_now(TINI_FAULT_ALLOC));
	assert_int_equal(tini_fault_calls(TINI_FAULT_ALLOC), 4);
}

static void test_disarmed(void **state)
{
	(void)state;
	tini_fault_arm(TINI_FAULT_ALLOC, 1);
	tini_fault_arm(TINI_FAULT_ALLOC, 0);
	assert_int_equal(tini_fault_calls(TINI_FAULT_ALLOC), 0);
	for (int i = 0; i < 3; i++)
		assert_false(tini_fault_now(TINI_FAULT_ALLOC));
	tini_fault_arm(TINI_FAULT_ALLOC, 1);
	assert_true(tini_fault_now(TINI_FAULT_ALLOC));
	tini_fault_arm(TINI_FAULT_ALLOC, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nth_fails_once),
		cmocka_unit_test(test_disarmed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
