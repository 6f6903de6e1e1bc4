/* SPDX-License-Identifier: MIT */
/* Option structs of callers of other versions. */
#include "kit/kit.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/options.h"

typedef struct older {
	size_t struct_size;
	long a;
} older;
typedef struct ours {
	size_t struct_size;
	long a, b;
} ours;
typedef struct newer {
	size_t struct_size;
	long a, b, c;
} newer;

static int copy(ours *to, const void *from)
{
	memset(to, 0x5a, sizeof(*to));
	return tini_options_copy(to, sizeof(*to), from, "tine_do");
}

static void test_same(void **state)
{
	ours to, from = {sizeof(from), 1, 2};

	(void)state;
	assert_int_equal(copy(&to, &from), 0);
	assert_memory_equal(&to, &from, sizeof(to));
}

static void test_older(void **state)
{
	older from = {sizeof(from), 1};
	size_t bare = sizeof(bare);
	ours to;

	(void)state;
	assert_int_equal(copy(&to, &from), 0);
	assert_int_equal(to.struct_size, sizeof(to));
	assert_int_equal(to.a, 1);
	assert_int_equal(to.b, 0);
	assert_int_equal(copy(&to, &bare), 0);
	assert_int_equal(to.a, 0);
}

static void test_newer(void **state)
{
	newer from = {sizeof(from), 1, 2, 0};
	ours to;

	(void)state;
	assert_int_equal(copy(&to, &from), 0);
	assert_int_equal(to.b, 2);
	from.c = 1;
	assert_int_equal(copy(&to, &from), TINE_EVERSION);
	assert_int_equal(tine_last_code(), TINE_EVERSION);
	assert_non_null(strstr(tine_last_error(), "tine_do"));
}

static void test_wrong(void **state)
{
	const size_t wrong[] = {0, 1, sizeof(size_t) - 1, 4097, SIZE_MAX};
	ours to, from = {0, 1, 2};

	(void)state;
	assert_int_equal(copy(&to, NULL), TINE_EINVAL);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		from.struct_size = wrong[i];
		assert_int_equal(copy(&to, &from), TINE_EINVAL);
	}
}

static void test_timeouts(void **state)
{
	(void)state;
	assert_int_equal(tini_timeout_check(0, "f"), 0);
	assert_int_equal(tini_timeout_check(-5, "f"), 0);
	assert_int_equal(tini_timeout_check(INFINITY, "f"), 0);
	assert_int_equal(tini_timeout_check(NAN, "f"), TINE_EINVAL);
}

static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(tini_limit_check(0, "f", "timeout"), 0);
	assert_int_equal(tini_limit_check(2.5, "f", "timeout"), 0);
	assert_int_equal(tini_limit_check(INFINITY, "f", "timeout"), 0);
	assert_int_equal(tini_limit_check(TINE_FOREVER, "f", "timeout"), 0);
	assert_int_equal(tini_limit_check(-2, "f", "timeout"), TINE_EINVAL);
	assert_int_equal(tini_limit_check(NAN, "f", "deadline"), TINE_EINVAL);
	assert_string_equal(tine_last_error(), "f: .deadline is not a number");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),     cmocka_unit_test(test_older),
		cmocka_unit_test(test_newer),    cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_timeouts), cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
