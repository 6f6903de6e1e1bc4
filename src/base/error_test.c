/* SPDX-License-Identifier: MIT */
/* The error table and the thread's record. */
#include "kit/kit.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/error.h"

static void test_before_any(void **state)
{
	(void)state;
	assert_string_equal(tine_last_error(), "");
	assert_int_equal(tine_last_code(), 0);
	assert_int_equal(tini_error_count(), 0);
}

static void test_table(void **state)
{
	(void)state;
	assert_string_equal(tine_strerror(0), "success");
	assert_string_equal(tine_strerror(TINE_ENOMEM), "out of memory");
	assert_string_equal(tine_strerror(TINE_ENOFP64), "the device has no double precision");
	assert_string_equal(tini_error_name(TINE_EINVAL), "TINE_EINVAL");
	for (int code = -1; code > TINE_E_LAST; code--) {
		assert_true(tini_error_is_code(code));
		assert_true(strlen(tine_strerror(code)) > 3);
	}
	assert_string_equal(tine_strerror(42), "a code of the task's own");
	const int wrong[] = {TINE_E_LAST, TINE_E_LAST - 1, INT32_MIN};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_string_equal(tine_strerror(wrong[i]), "unknown error code");
		assert_null(tini_error_name(wrong[i]));
		assert_false(tini_error_is_code(wrong[i]));
	}
	assert_false(tini_error_is_code(0));
}

static void test_record(void **state)
{
	unsigned long before = tini_error_count();

	(void)state;
	assert_int_equal(TINI_FAIL(TINE_ESTATE, "item %d", 17), TINE_ESTATE);
	assert_string_equal(tine_last_error(), "item 17");
	assert_int_equal(tine_last_code(), TINE_ESTATE);
	assert_null(TINI_FAIL_NULL_ERRNO(TINE_ESYSTEM, ENOENT, "open %s", "x"));
	assert_string_equal(tine_last_error(), "open x: No such file or directory");
	tini_error_set_errno(TINE_ESYSTEM, 98765, "odd");
	assert_string_equal(tine_last_error(), "odd: error number 98765");
	assert_int_equal(tini_error_count(), before + 3);
}

static void test_long_text(void **state)
{
	char text[2000];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	tini_error_set(TINE_EINVAL, "%s", text);
	assert_int_equal(strlen(tine_last_error()), 500);
	tini_error_set_errno(TINE_EINVAL, EPERM, "%s", text);
	assert_int_equal(strlen(tine_last_error()), 500);
}

static void test_text_of_its_own(void **state)
{
	(void)state;
	tini_error_set(TINE_EINVAL, "inner");
	tini_error_set(TINE_EITEMS, "outer (%s)", tine_last_error());
	assert_string_equal(tine_last_error(), "outer (inner)");
}

static void *other_thread(void *arg)
{
	(void)arg;
	bool clean = tini_error_count() == 0 && !*tine_last_error();
	tini_error_set(TINE_ENOMEM, "mine");
	return clean ? arg : NULL;
}

static void test_threads_are_apart(void **state)
{
	pthread_t thread;
	void *clean;
	int marker;

	(void)state;
	tini_error_set(TINE_EINVAL, "here");
	assert_int_equal(pthread_create(&thread, NULL, other_thread, &marker), 0);
	pthread_join(thread, &clean);
	assert_non_null(clean);
	assert_string_equal(tine_last_error(), "here");
}

static void test_version(void **state)
{
	(void)state;
	assert_string_equal(tine_version(), "0.1.0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_any),      cmocka_unit_test(test_table),
		cmocka_unit_test(test_record),          cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_text_of_its_own), cmocka_unit_test(test_threads_are_apart),
		cmocka_unit_test(test_version),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
