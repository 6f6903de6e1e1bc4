/* SPDX-License-Identifier: MIT */
#include "kit/kit.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "trace/line.h"

static void test_clock(void **state)
{
	static const struct {
		double seconds;
		const char *text;
	} rows[] = {
		{0, "0:00"},           {-0.0, "0:00"},          {0.999, "0:00"},
		{42, "0:42"},          {59.99, "0:59"},         {60, "1:00"},
		{3599.9, "59:59"},     {3600, "1:00:00"},       {3723, "1:02:03"},
		{360000, "100:00:00"}, {9999 * 3600.0, "-:--"}, {-1, "-:--"},
		{NAN, "-:--"},         {INFINITY, "-:--"},      {DBL_MAX, "-:--"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[TINI_NUMBER_SIZE];
		tini_format_clock(text, rows[i].seconds);
		assert_string_equal(text, rows[i].text);
	}
}

static void test_number(void **state)
{
	static const struct {
		double number;
		const char *text;
	} rows[] = {
		{0, "0.00"},          {0.25, "0.25"},    {7, "7.00"},
		{9.994, "9.99"},      {9.996, "10.0"},   {42, "42.0"},
		{99.96, "100"},       {999, "999"},      {999.4, "999"},
		{999.6, "1.00k"},     {1000, "1.00k"},   {12345, "12.3k"},
		{999499, "999k"},     {999500, "1.00M"}, {3.4e8, "340M"},
		{2.5e9, "2.50G"},     {1e12, "1.00T"},   {1e15, "1.00P"},
		{1.8446e19, "18.4E"}, {1e21, ">999E"},   {DBL_MAX, ">999E"},
		{INFINITY, ">999E"},  {-1, "-"},         {NAN, "-"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[TINI_NUMBER_SIZE];
		tini_format_number(text, rows[i].number);
		assert_string_equal(text, rows[i].text);
	}
}

static void test_percent(void **state)
{
	(void)state;
	assert_int_equal(tini_line_percent(0, 0), 0);
	assert_int_equal(tini_line_percent(7, 0), 0);
	assert_int_equal(tini_line_percent(0, 3), 0);
	assert_int_equal(tini_line_percent(1, 3), 33);
	assert_int_equal(tini_line_percent(3, 3), 100);
	assert_int_equal(tini_line_percent(4, 3), 100);
	assert_int_equal(tini_line_percent(999, 1000), 99);
	assert_int_equal(tini_line_percent(SIZE_MAX - 1, SIZE_MAX), 99); /* the same double */
	assert_int_equal(tini_line_percent(SIZE_MAX, SIZE_MAX), 100);
}

static void expect_terminal(tini_line_state line, int columns, const char *expected)
{
	char text[TINI_LINE_SIZE];
	int used = tini_line_terminal(text, &line, columns);

	assert_string_equal(text, expected);
	assert_int_equal(used, strlen(text));
	assert_true(used <= columns || columns < 0);
}

static void test_terminal(void **state)
{
	tini_line_state line = {.title = "tiles", .done = 420000, .total = 1000000, .seconds = 42};

	(void)state;
	expect_terminal(
		line, 79,
		"tiles 42% [###############.......................] 420k/1.00M 10.0k/s 0:58 left");
	expect_terminal(line, 60, "tiles 42% [#######............] 420k/1.00M 10.0k/s 0:58 left");
	expect_terminal(line, 48, "tiles 42% 420k/1.00M 10.0k/s 0:58 left");
	expect_terminal(line, 30, "tiles 42% 420k/1.00M 0:58 left");
	expect_terminal(line, 29, "tiles 42% 0:58 left");
	expect_terminal(line, 12, "tile 42%");
	expect_terminal(line, 5, "t 42%");
	expect_terminal(line, 4, "42%");
	expect_terminal(line, 3, "42%");
	line.ended = true;
	line.done = line.total;
	expect_terminal(line, 200,
			"tiles 100% [########################################] 1.00M/1.00M 23.8k/s "
			"in 0:42");
}

static void test_total_unknown(void **state)
{
	tini_line_state line = {.title = "", .done = 77, .seconds = 7};

	(void)state;
	expect_terminal(line, 79, "77 11.0/s 0:07");
	line.title = "reading";
	expect_terminal(line, 79, "reading 77 11.0/s 0:07");
	line.ended = true;
	expect_terminal(line, 79, "reading 77 11.0/s in 0:07");
	expect_terminal(line, 9, "rea 77");
}

static void test_beyond_the_total(void **state)
{
	tini_line_state line = {.title = "x", .done = SIZE_MAX, .total = 10, .seconds = 1};

	(void)state;
	expect_terminal(line, 52, "x 100% [################] 18.4E/10 18.4E/s 0:00 left");
	line.done = 0;
	expect_terminal(line, 29, "x 0% 0/10 0.00/s -:-- left");
}

/* At every width the line has at most so many columns. */
static void test_every_width(void **state)
{
	static const char *titles[] = {"", "t", "a longer title than many", "Höhen", "山と川"};
	char text[TINI_LINE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
		for (int columns = -3; columns < 300; columns++) {
			tini_line_state line = {
				.title = titles[i], .done = SIZE_MAX / 2, .seconds = 1e-9};
			line.total = columns % 2 ? SIZE_MAX : 0;
			assert_true(tini_line_terminal(text, &line, columns) <=
				    (columns > 0 ? columns : 0));
			assert_true(strlen(text) < sizeof(text));
		}
	}
}

static void test_cut(void **state)
{
	int used;

	(void)state;
	assert_int_equal(tini_line_cut("abc", 2, &used), 2);
	assert_int_equal(used, 2);
	assert_int_equal(tini_line_cut("Höhe", 2, &used), 3); /* never within a character */
	assert_int_equal(used, 2);
	assert_int_equal(tini_line_cut("山", 1, &used), 0);
	assert_int_equal(tini_line_cut("山", 2, &used), 3);
	assert_int_equal(tini_line_cut("", 9, &used), 0);
	assert_int_equal(used, 0);
	assert_int_equal(tini_line_cut("abc", -1, &used), 0);
	assert_int_equal(tini_line_cut("\x80\x80\x80\x80\x80\x80", 1, &used), 4); /* no UTF-8 */
}

static void expect_plain(tini_line_state line, const char *expected)
{
	char text[TINI_LINE_SIZE];

	assert_int_equal(tini_line_plain(text, &line), strlen(expected));
	assert_string_equal(text, expected);
}

static void test_plain(void **state)
{
	tini_line_state line = {.title = "tiles", .done = 420000, .total = 1000000, .seconds = 42};
	char title[3000];

	(void)state;
	expect_plain(line, "tiles: 42%, 420000 of 1000000, 10.0k/s, 0:58 left\n");
	line.ended = true;
	expect_plain(line, "tiles: 42%, 420000 of 1000000, 10.0k/s, in 0:42\n");
	line.total = 0;
	line.title = "";
	expect_plain(line, "420000, 10.0k/s, in 0:42\n");
	memset(title, 'x', sizeof(title) - 1);
	title[sizeof(title) - 1] = '\0';
	line.title = title;
	char text[TINI_LINE_SIZE];
	size_t bytes = tini_line_plain(text, &line);
	assert_int_equal(bytes, strlen(text));
	assert_int_equal(text[bytes - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock),         cmocka_unit_test(test_number),
		cmocka_unit_test(test_percent),       cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_total_unknown), cmocka_unit_test(test_beyond_the_total),
		cmocka_unit_test(test_every_width),   cmocka_unit_test(test_cut),
		cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
