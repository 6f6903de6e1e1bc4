/* SPDX-License-Identifier: MIT */
/* Reductions: the same bits with any number of threads, by an obvious reference. */
#include "kit/kit.h"

#include <stdlib.h>
#include <string.h>

#include <tine/heap.h>
#include <tine/loop.h>

#include "base/fault.h"
#include "loop/reduce.h"

enum { COUNT = 30000 };
static double *numbers;

static void sum_body(size_t begin, size_t end, void *context, void *partial)
{
	const double *x = context;
	double *sum = partial;

	for (size_t i = begin; i < end; i++)
		*sum += x[i];
}

static void sum_combine(void *into, const void *from, void *context)
{
	(void)context;
	*(double *)into += *(const double *)from;
}

/* The definition: a list of blocks, then neighbours by powers of two. */
static double reference_node(const double *blocks, size_t count)
{
	if (count == 1)
		return blocks[0];
	size_t left = 1;
	while (left * 2 < count)
		left *= 2;
	return reference_node(blocks, left) + reference_node(blocks + left, count - left);
}

static double reference(size_t begin, size_t end, size_t grain)
{
	static double blocks[COUNT];
	size_t n = 0, count = end - begin;

	if (count == 0)
		return 0;
	if (grain == 0)
		grain = (count + 255) / 256;
	for (size_t at = begin; at < end; at += grain, n++) {
		blocks[n] = 0;
		for (size_t i = at; i < end && i < at + grain; i++)
			blocks[n] += numbers[i];
	}
	return reference_node(blocks, n);
}

static void test_same_bits(void **state)
{
	static const size_t counts[] = {0, 1, 2, 255, 256, 257, 1000, 4097, COUNT};
	static const size_t grains[] = {0, 1, 2, 7, 1024, COUNT + 1};
	static const int threads[] = {1, 2, 3, 8};

	(void)state;
	for (int c = 0; c < 9; c++)
		for (int g = 0; g < 6; g++) {
			double right = reference(0, counts[c], grains[g]);
			for (int t = 0; t < 4; t++)
				for (int round = 0; round < 5; round++) {
					double sum = -1;
					assert_int_equal(tine_reduce(0, counts[c], sum_body,
								     sum_combine, numbers, &sum,
								     sizeof sum, .grain = grains[g],
								     .threads = threads[t]),
							 0);
					assert_memory_equal(&sum, &right, sizeof sum);
				}
		}
}

/* Not commutative: the text of all indices in order; partial results beyond the small ones. */
typedef struct text {
	int length;
	char letters[500];
} text;

static void write_body(size_t begin, size_t end, void *context, void *partial)
{
	text *t = partial;

	(void)context;
	for (size_t i = begin; i < end; i++)
		t->letters[t->length++] = (char)('a' + i % 26);
}

static void write_combine(void *into, const void *from, void *context)
{
	text *t = into;
	const text *u = from;

	(void)context;
	memcpy(t->letters + t->length, u->letters + 1, (size_t)u->length - 1);
	t->length += u->length - 1;
}

static void expect_text(const text *t, size_t count)
{
	assert_int_equal(t->length, (int)count + 1);
	assert_int_equal(t->letters[0], '>');
	for (size_t i = 0; i < count; i++)
		assert_int_equal(t->letters[i + 1], 'a' + i % 26);
}

static const text start = {1, ">"}; /* each partial result begins as this */

static void test_left_to_right(void **state)
{
	(void)state;
	for (size_t count = 0; count < 480; count += 13)
		for (size_t grain = 0; grain < 20; grain += 3)
			for (int threads = 1; threads < 4; threads++) {
				text all;
				assert_int_equal(tine_reduce(0, count, write_body, write_combine,
							     NULL, &all, sizeof all,
							     .identity = &start, .grain = grain,
							     .threads = threads),
						 0);
				expect_text(&all, count);
			}
}

static int reduce_text(void)
{
	text all = {7, "kept"};
	int rc = tine_reduce(0, 400, write_body, write_combine, NULL, &all, sizeof all,
			     .identity = &start);

	if (rc == 0)
		expect_text(&all, 400);
	else
		assert_int_equal(all.length, 7);
	return rc;
}

static void test_out_of_memory(void **state)
{
	int failed = 0;

	(void)state;
	for (long n = 1;; n++) {
		tini_fault_arm(TINI_FAULT_ALLOC, n);
		int rc = reduce_text();
		bool all = tini_fault_calls(TINI_FAULT_ALLOC) < n;
		tini_fault_arm(TINI_FAULT_ALLOC, 0);
		if (rc == 0) {
			assert_true(all);
			break;
		}
		assert_int_equal(rc, TINE_ENOMEM);
		assert_int_equal(tine_last_code(), TINE_ENOMEM);
		failed++;
	}
	assert_true(failed > 1);
}

static void test_refused(void **state)
{
	double sum = 5;

	(void)state;
	assert_int_equal(tine_reduce(0, 9, NULL, sum_combine, NULL, &sum, sizeof sum), TINE_EINVAL);
	assert_int_equal(tine_reduce(0, 9, sum_body, NULL, NULL, &sum, sizeof sum), TINE_EINVAL);
	assert_int_equal(tine_reduce(0, 9, sum_body, sum_combine, NULL, NULL, sizeof sum),
			 TINE_EINVAL);
	assert_int_equal(tine_reduce(0, 9, sum_body, sum_combine, NULL, &sum, 0), TINE_EINVAL);
	assert_int_equal(
		tine_reduce(0, 9, sum_body, sum_combine, NULL, &sum, sizeof sum, .threads = -2),
		TINE_EINVAL);
	assert_true(sum == 5);
	assert_int_equal(tine_reduce(9, 3, sum_body, sum_combine, NULL, &sum, sizeof sum), 0);
	assert_true(sum == 0);
	double one = 1;
	assert_int_equal(
		tine_reduce(9, 9, sum_body, sum_combine, NULL, &sum, sizeof sum, .identity = &one),
		0);
	assert_true(sum == 1);
}

static int set_up(void **state)
{
	(void)state;
	tine_set_num_threads(4);
	numbers = tine_shared_alloc(.size = COUNT * sizeof *numbers);
	for (size_t i = 0; numbers && i < COUNT; i++)
		numbers[i] = 1.0 / (double)(i * 7919 % 10007 + 1);
	return numbers ? 0 : 1;
}

static int tear_down(void **state)
{
	(void)state;
	tine_shared_free(numbers);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_bits),
		cmocka_unit_test(test_left_to_right),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
