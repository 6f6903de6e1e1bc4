/* SPDX-License-Identifier: MIT */
/* Private memory that fails on demand, and the arithmetic in front of it. */
#include "kit/kit.h"

#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/memory.h"

static void test_alloc(void **state)
{
	const char zeros[24] = {0};
	char *p = tini_alloc(3, 8);

	(void)state;
	assert_memory_equal(p, zeros, 24);
	memcpy(p, "grow", 5);
	p = tini_resize(p, 1000, 8);
	assert_string_equal(p, "grow");
	tini_free(p);
	p = tini_strdup("");
	assert_string_equal(p, "");
	tini_free(p);
	tini_free(NULL);
}

static void test_nothing_is_something(void **state)
{
	void *p = tini_alloc(0, 8);

	(void)state;
	assert_non_null(p);
	p = tini_resize(p, 8, 0);
	assert_non_null(p);
	tini_free(p);
}

static void test_too_much(void **state)
{
	volatile size_t huge = SIZE_MAX / 2;
	char *p = tini_strdup("kept");

	(void)state;
	assert_null(tini_alloc(huge, 4));
	assert_int_equal(tine_last_code(), TINE_ENOMEM);
	assert_null(tini_resize(p, huge, 4));
	assert_string_equal(p, "kept");
	tini_free(p);
}

static int three_allocations(void *context)
{
	void *a = tini_alloc(1, 1), *b = tini_strdup("b"), *c = tini_resize(NULL, 2, 2);

	(void)context;
	tini_free(a);
	tini_free(b);
	tini_free(c);
	return a && b && c ? 0 : TINE_ENOMEM;
}

static void test_each_fails(void **state)
{
	(void)state;
	kit_each_fault(TINI_FAULT_ALLOC, three_allocations, NULL);
}

static void test_checked(void **state)
{
	size_t n;

	(void)state;
	assert_true(tini_mul_fits(SIZE_MAX, 1, &n) && n == SIZE_MAX);
	assert_false(tini_mul_fits(SIZE_MAX / 2 + 1, 2, &n));
	assert_false(tini_add_fits(SIZE_MAX, 1, &n));
	assert_true(tini_round_up(0, 4096) == 0);
	assert_true(tini_round_up(4097, 4096) == 8192);
	assert_true(tini_round_up(SIZE_MAX - 4094, 4096) == SIZE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc),    cmocka_unit_test(test_nothing_is_something),
		cmocka_unit_test(test_too_much), cmocka_unit_test(test_each_fails),
		cmocka_unit_test(test_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
