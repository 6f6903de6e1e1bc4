/* SPDX-License-Identifier: MIT */
#include "kit/kit.h"

#include <tine/loop.h>

static void expect(size_t count, size_t parts, size_t index, size_t begin, size_t end)
{
	tine_range range = tine_distribute(count, parts, index);

	assert_int_equal(range.begin, begin);
	assert_int_equal(range.end, end);
}

/* numpy.array_split(range(10), 4): 3, 3, 2, 2 */
static void test_like_numpy(void **state)
{
	(void)state;
	expect(10, 4, 0, 0, 3);
	expect(10, 4, 1, 3, 6);
	expect(10, 4, 2, 6, 8);
	expect(10, 4, 3, 8, 10);
	expect(100, 1, 0, 0, 100);
	expect(2, 3, 2, 2, 2); /* more parts than indices: the last ones are empty */
}

static void test_empty(void **state)
{
	(void)state;
	expect(10, 0, 0, 0, 0);
	expect(10, 4, 4, 0, 0);
	expect(10, 4, SIZE_MAX, 0, 0);
	expect(0, 4, 3, 0, 0);
	expect(0, 0, 0, 0, 0);
}

static void test_largest(void **state)
{
	(void)state;
	expect(SIZE_MAX, 1, 0, 0, SIZE_MAX);
	expect(SIZE_MAX, SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 1, SIZE_MAX);
	expect(SIZE_MAX, 2, 1, SIZE_MAX / 2 + 1, SIZE_MAX);
	expect(SIZE_MAX - 1, SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 1, SIZE_MAX - 1);
}

/* Side by side, from 0 to count, lengths that differ by at most one and never grow. */
static void test_every_split(void **state)
{
	(void)state;
	for (size_t count = 0; count < 60; count++) {
		for (size_t parts = 1; parts < 70; parts++) {
			size_t next = 0, before = count / parts + 1;
			for (size_t i = 0; i < parts; i++) {
				tine_range range = tine_distribute(count, parts, i);
				size_t length = range.end - range.begin;
				assert_int_equal(range.begin, next);
				assert_true(length <= before && length >= count / parts);
				before = length;
				next = range.end;
			}
			assert_int_equal(next, count);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_numpy),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_every_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
