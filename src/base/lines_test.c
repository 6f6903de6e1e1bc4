/* SPDX-License-Identifier: MIT */
/* The line reader, against files whose lines are as long as its buffer, give or take some. */
#include "kit/kit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/lines.h"
#include "base/os.h"

static char root[64];

/* A nameless file of a line of `length` bytes and "end"; root + "" is its path. */
static int make(size_t length, const char *end)
{
	int fd = tini_os_memfd("lines");
	static char text[40000];

	memset(text, 'x', sizeof(text));
	assert_int_equal(write(fd, text, length), (ssize_t)length);
	assert_int_equal(write(fd, end, strlen(end)), (ssize_t)strlen(end));
	snprintf(root, sizeof(root), "/proc/self/fd/%d", fd);
	return fd;
}

static void check(size_t length)
{
	tini_lines lines;
	int fd = make(length, "\nsecond\n\nlast");

	assert_true(tini_lines_open(&lines, root, ""));
	const char *line = tini_lines_next(&lines);
	assert_true(strspn(line, "x") == strlen(line));
	assert_true(strlen(line) == length || (length > 8000 && strlen(line) > 1000));
	assert_string_equal(tini_lines_next(&lines), "second");
	assert_string_equal(tini_lines_next(&lines), "");
	assert_string_equal(tini_lines_next(&lines), "last");
	assert_null(tini_lines_next(&lines));
	assert_null(tini_lines_next(&lines));
	tini_lines_close(&lines);
	tini_os_close(fd);
}

static void test_lengths(void **state)
{
	const size_t lengths[] = {0, 1, 4095, 4096, 12286, 16384, 40000};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		check(lengths[i]);
	for (size_t length = 8170; length < 8200; length++)
		check(length);
}

static void test_no_newline_at_the_end(void **state)
{
	tini_lines lines;

	(void)state;
	for (size_t length = 8170; length < 8200; length++) {
		int fd = make(length, "");
		assert_true(tini_lines_open(&lines, root, ""));
		assert_non_null(tini_lines_next(&lines));
		assert_null(tini_lines_next(&lines));
		tini_lines_close(&lines);
		tini_os_close(fd);
	}
}

static void test_values(void **state)
{
	uint64_t value = 0;
	int fd = make(0, "ab 1\nabc:  22 kB\nabcd x\nabcde\n");

	(void)state;
	assert_true(tini_lines_value(root, "", "ab", &value) && value == 1);
	assert_true(tini_lines_value(root, "", "abc", &value) && value == 22);
	assert_false(tini_lines_value(root, "", "abcd", &value));
	assert_false(tini_lines_value(root, "", "abcde", &value));
	assert_false(tini_lines_value(root, "", "a", &value));
	assert_false(tini_lines_value("/no", "/such", "a", &value));
	tini_os_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_no_newline_at_the_end),
		cmocka_unit_test(test_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
