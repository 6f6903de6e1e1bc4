/* SPDX-License-Identifier: MIT */
/* Text files of /proc and /sys, a line at a time, without allocating: /proc/self/mountinfo has no
 * upper size. */
#ifndef TINI_BASE_LINES_H
#define TINI_BASE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tini_lines {
	int fd;            /* -1: none */
	size_t used, next; /* bytes in text; where the next line begins */
	char text[8192];
} tini_lines;

/* Open the file root + path.  False where it cannot be opened; then there is nothing to close. */
bool tini_lines_open(tini_lines *lines, const char *root, const char *path);

/* The next line, without its newline and cut where it is longer than the buffer; NULL at the end.
 */
char *tini_lines_next(tini_lines *lines);

void tini_lines_close(tini_lines *lines);

/* The number after `key` and blanks or ':' at the start of a line of root + path. */
bool tini_lines_value(const char *root, const char *path, const char *key, uint64_t *out);

/* A number without a sign at *text, which is moved behind it and the blanks after it. */
bool tini_lines_number(const char **text, uint64_t *out);

#endif
