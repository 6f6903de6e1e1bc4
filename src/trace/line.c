/* SPDX-License-Identifier: MIT */
#include "trace/line.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PART_SIZE = 2 * TINI_NUMBER_SIZE }; /* two numbers and a word */

void tini_format_clock(char text[TINI_NUMBER_SIZE], double seconds)
{
	if (!(seconds >= 0 && seconds < 9999.0 * 3600)) {
		snprintf(text, TINI_NUMBER_SIZE, "-:--");
		return;
	}
	long all = (long)seconds, minutes = all / 60 % 60, rest = all % 60;
	if (all >= 3600)
		snprintf(text, TINI_NUMBER_SIZE, "%ld:%02ld:%02ld", all / 3600, minutes, rest);
	else
		snprintf(text, TINI_NUMBER_SIZE, "%ld:%02ld", minutes, rest);
}

void tini_format_number(char text[TINI_NUMBER_SIZE], double number)
{
	static const char units[] = "\0kMGTPE";
	const char *unit = units;

	if (!(number >= 0)) {
		snprintf(text, TINI_NUMBER_SIZE, "-");
		return;
	}
	/* 999.5 would be rounded to four digits */
	for (; number >= 999.5 && unit[1]; unit++)
		number /= 1000;
	int decimals = number < 9.995 ? 2 : number < 99.95 ? 1 : 0;
	if (number >= 999.5)
		snprintf(text, TINI_NUMBER_SIZE, ">999E");
	else
		snprintf(text, TINI_NUMBER_SIZE, "%.*f%.1s", decimals, number, unit);
}

/* Counts are exact as long as they are short. */
static void format_count(char text[TINI_NUMBER_SIZE], size_t count)
{
	if (count < 10000)
		snprintf(text, TINI_NUMBER_SIZE, "%zu", count);
	else
		tini_format_number(text, (double)count);
}

int tini_line_percent(size_t done, size_t total)
{
	if (total == 0)
		return 0;
	if (done >= total)
		return 100;
	int percent = (int)((double)done / (double)total * 100);
	return percent < 99 ? percent : 99; /* close below the total the division may give 1 */
}

static double rate_of(const tini_line_state *state)
{
	return state->seconds > 0 ? (double)state->done / state->seconds : 0;
}

/* Seconds to go if it goes on as it went; NaN where nobody can tell. */
static double seconds_left(const tini_line_state *state)
{
	if (state->done >= state->total)
		return 0;
	if (state->done == 0)
		return NAN;
	return (double)(state->total - state->done) / (double)state->done * state->seconds;
}

/* "0:42 left" while it lasts, "0:42" where there is no end in sight, "in 0:42" at the end. */
static void format_time(char text[PART_SIZE], const tini_line_state *state)
{
	char clock[TINI_NUMBER_SIZE];
	bool left = !state->ended && state->total > 0;

	tini_format_clock(clock, left ? seconds_left(state) : state->seconds);
	snprintf(text, PART_SIZE, "%s%s%s", state->ended ? "in " : "", clock, left ? " left" : "");
}

/* Beyond U+1000 two columns are reckoned, which is right or too much: a line that is too long would
 * wrap. */
static int columns_of(unsigned char first)
{
	return (first & 0xc0) == 0x80 ? 0 : first >= 0xe1 ? 2 : 1;
}

size_t tini_line_cut(const char *text, int columns, int *used)
{
	size_t bytes = 0, most = columns > 0 ? 4 * (size_t)columns : 0; /* no UTF-8, no sense */

	*used = 0;
	while (text[bytes] && bytes < most) {
		int more = columns_of((unsigned char)text[bytes]);
		if (*used + more > columns)
			break;
		*used += more;
		bytes++;
	}
	return bytes;
}

/* A line that grows: `bytes` of text fill `columns` of the `limit` on the terminal. */
typedef struct builder {
	char *text;
	size_t bytes;
	int columns, limit;
} builder;

/* Columns of a part and of the blank before it. */
static int columns_with_blank(const builder *line, const char *part)
{
	return (int)strlen(part) + (line->columns > 0);
}

/* Append ASCII, after a blank where something is before it.  The caller has looked that it fits. */
static void append(builder *line, const char *part)
{
	int columns = columns_with_blank(line, part);

	line->bytes += (size_t)snprintf(line->text + line->bytes, TINI_LINE_SIZE - line->bytes,
					"%s%s", line->columns > 0 ? " " : "", part);
	line->columns += columns;
}

/* At most a third of the line, so that a long title leaves room for what changes. */
static void append_title(builder *line, const char *title)
{
	line->bytes = tini_line_cut(title, line->limit / 3, &line->columns);
	memcpy(line->text, title, line->bytes);
}

/* A bar of that many columns, its brackets included; none where that is too few to see much. */
static void append_bar(builder *line, const tini_line_state *state, int columns)
{
	enum { LEAST = 10, MOST = 42 };
	char bar[MOST + 1];

	columns = columns < MOST ? columns : MOST;
	if (columns < LEAST)
		return;
	size_t inside = (size_t)columns - 2, filled = inside;
	if (state->done < state->total)
		filled = (size_t)((double)state->done / (double)state->total * (double)inside);
	bar[0] = '[';
	memset(bar + 1, '#', filled);
	memset(bar + 1 + filled, '.', inside - filled);
	bar[1 + inside] = ']';
	bar[2 + inside] = '\0';
	append(line, bar);
}

enum { COUNT, RATE, TIME, PARTS };

static void format_parts(char parts[PARTS][PART_SIZE], const tini_line_state *state)
{
	char number[TINI_NUMBER_SIZE], total[TINI_NUMBER_SIZE];

	format_count(number, state->done);
	format_count(total, state->total);
	snprintf(parts[COUNT], sizeof(parts[COUNT]), state->total > 0 ? "%s/%s" : "%s", number,
		 total);
	tini_format_number(number, rate_of(state));
	snprintf(parts[RATE], sizeof(parts[RATE]), "%s/s", number);
	format_time(parts[TIME], state);
}

/* The percent, if need be in the place of the title. */
static void append_percent(builder *line, const tini_line_state *state)
{
	char percent[TINI_NUMBER_SIZE];

	snprintf(percent, sizeof(percent), "%d%%", tini_line_percent(state->done, state->total));
	if (line->columns + columns_with_blank(line, percent) > line->limit) {
		line->bytes = 0;
		line->columns = 0;
	}
	if ((int)strlen(percent) <= line->limit)
		append(line, percent);
}

/* Choose the parts for which there is room, the dearest first, and tell the columns left. */
static int choose(const builder *line, char parts[PARTS][PART_SIZE], bool known, bool chosen[PARTS])
{
	static const int orders[2][PARTS] = {{COUNT, RATE, TIME}, {TIME, COUNT, RATE}};
	int room = line->limit - line->columns + (line->columns == 0); /* the first has no blank */

	for (int i = 0; i < PARTS; i++) {
		int part = orders[known][i], columns = 1 + (int)strlen(parts[part]);
		if (columns > room)
			break;
		chosen[part] = true;
		room -= columns;
	}
	return room;
}

int tini_line_terminal(char text[TINI_LINE_SIZE], const tini_line_state *state, int columns)
{
	enum { MOST = TINI_LINE_SIZE / 4 }; /* a character has at most 4 bytes */
	char parts[PARTS][PART_SIZE];
	bool chosen[PARTS] = {false};
	builder line = {.text = text, .limit = columns < MOST ? columns : MOST};

	append_title(&line, state->title);
	if (state->total > 0)
		append_percent(&line, state);
	format_parts(parts, state);
	int room = choose(&line, parts, state->total > 0, chosen);
	if (state->total > 0)
		append_bar(&line, state, room - 1);
	for (int i = 0; i < PARTS; i++)
		if (chosen[i])
			append(&line, parts[i]);
	text[line.bytes] = '\0';
	return line.columns;
}

size_t tini_line_plain(char text[TINI_LINE_SIZE], const tini_line_state *state)
{
	enum { TITLE_COLUMNS = 200 };
	char rate[TINI_NUMBER_SIZE], time[PART_SIZE], percent[TINI_NUMBER_SIZE] = "";
	char total[PART_SIZE] = "";
	int columns, title = (int)tini_line_cut(state->title, TITLE_COLUMNS, &columns);

	tini_format_number(rate, rate_of(state));
	format_time(time, state);
	if (state->total > 0) {
		snprintf(percent, sizeof(percent), "%d%%, ",
			 tini_line_percent(state->done, state->total));
		snprintf(total, sizeof(total), " of %zu", state->total);
	}
	int bytes = snprintf(text, TINI_LINE_SIZE, "%.*s%s%s%zu%s, %s/s, %s\n", title, state->title,
			     title > 0 ? ": " : "", percent, state->done, total, rate, time);
	return bytes > 0 ? (size_t)bytes : 0;
}
