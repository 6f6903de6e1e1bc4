/* SPDX-License-Identifier: MIT */
/* What progress says: one line of text out of counts and seconds.  Nothing here reads a clock or
 * writes anywhere. */
#ifndef TINI_TRACE_LINE_H
#define TINI_TRACE_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* Room for any number, duration or line below, with its NUL. */
enum { TINI_NUMBER_SIZE = 32, TINI_LINE_SIZE = 1024 };

typedef struct tini_line_state {
	const char *title;  /* not NULL; "" is none; one line without control characters */
	size_t done, total; /* total 0: unknown */
	double seconds;     /* since the beginning */
	bool ended;         /* tells how long it took in the place of how long it will */
} tini_line_state;

/* A duration: "0:42", "1:02:03"; "-:--" where it is unknown: NaN, negative, or above 9999 hours. */
void tini_format_clock(char text[TINI_NUMBER_SIZE], double seconds);

/* A number in three digits: "0.25", "7.00", "42.0", "999", "1.20k", "340M"; "-" where there is
 * none: NaN or negative. */
void tini_format_number(char text[TINI_NUMBER_SIZE], double number);

/* Percent that are done, rounded down: 100 only where all is done, or more than all; 0 where the
 * total is unknown. */
int tini_line_percent(size_t done, size_t total);

/*
 * The line for a terminal, of at most `columns` columns: parts are left out where it is too narrow,
 * the bar first, the percent last.  Returns the columns used.
 */
int tini_line_terminal(char text[TINI_LINE_SIZE], const tini_line_state *state, int columns);

/* The line for files and pipes, with exact counts and a newline.  Returns its bytes. */
size_t tini_line_plain(char text[TINI_LINE_SIZE], const tini_line_state *state);

/* How many bytes at the beginning of a text fill at most so many columns; *used: how many columns
 * they fill. */
size_t tini_line_cut(const char *text, int columns, int *used);

#endif
