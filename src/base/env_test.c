/* SPDX-License-Identifier: MIT */
#include "kit/kit.h"

#include <stdlib.h>

#include "base/env.h"

static void test_table(void **state)
{
	(void)state;
	for (int i = 0; i < TINI_ENV_END; i++) {
		assert_non_null(tini_env_table[i].name);
		assert_non_null(tini_env_table[i].meaning);
	}
}

static void test_get(void **state)
{
	(void)state;
	unsetenv("TINE_HEAP_SIZE");
	assert_null(tini_env_get(TINI_ENV_HEAP_SIZE));
	setenv("TINE_HEAP_SIZE", "", 1);
	assert_null(tini_env_get(TINI_ENV_HEAP_SIZE));
	setenv("TINE_HEAP_SIZE", "1G", 1);
	assert_string_equal(tini_env_get(TINI_ENV_HEAP_SIZE), "1G");
}

static void test_count(void **state)
{
	const char *wrong[] = {"",   " ",   "0",   "-3",         "+3",
			       "4x", "4 2", "1.5", "2147483648", "99999999999999999999999",
			       ",4"};

	(void)state;
	assert_int_equal(tini_env_count(NULL), 0);
	assert_int_equal(tini_env_count("4"), 4);
	assert_int_equal(tini_env_count("4,2"), 4);
	assert_int_equal(tini_env_count(" 12 "), 12);
	assert_int_equal(tini_env_count("8 , 2"), 8);
	assert_int_equal(tini_env_count("2147483647"), 2147483647);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(tini_env_count(wrong[i]), 0);
}

static void test_bytes(void **state)
{
	const char *wrong[] = {"",    "M",    "-1M",       "1X",
			       "1MB", "1.5G", "99999999T", "18446744073709551616"};

	(void)state;
	assert_true(tini_env_bytes(NULL) == 0);
	assert_true(tini_env_bytes("4096") == 4096);
	assert_true(tini_env_bytes("3k") == 3 << 10);
	assert_true(tini_env_bytes("512M") == (size_t)512 << 20);
	assert_true(tini_env_bytes("64G ") == (size_t)64 << 30);
	assert_true(tini_env_bytes("1T") == (size_t)1 << 40);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_true(tini_env_bytes(wrong[i]) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
