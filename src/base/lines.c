/* SPDX-License-Identifier: MIT */
/* A line reader over one fixed buffer: what is left of a line moves to the front, then the rest is
 * read behind it. */
#include "base/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/os.h"

bool tini_lines_open(tini_lines *lines, const char *root, const char *path)
{
	char whole[PATH_MAX];
	int length = snprintf(whole, sizeof(whole), "%s%s", root, path);

	lines->used = lines->next = 0;
	lines->fd = -1;
	if (length >= 0 && (size_t)length < sizeof(whole) && !tini_fault_now(TINI_FAULT_SYSTEM))
		lines->fd = open(whole, O_RDONLY | O_CLOEXEC);
	return lines->fd >= 0;
}

/* Bytes added behind `used`; 0 at the end, on an error, and when the buffer is full. */
static size_t fill(tini_lines *lines)
{
	size_t room = sizeof(lines->text) - 1 - lines->used;
	ssize_t n;

	do
		n = room ? read(lines->fd, lines->text + lines->used, room) : 0;
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return 0;
	lines->used += (size_t)n;
	return (size_t)n;
}

static void to_front(tini_lines *lines)
{
	lines->used -= lines->next;
	memmove(lines->text, lines->text + lines->next, lines->used);
	lines->next = 0;
}

/* Drop the rest of a line that did not fit; its head stays at the front of the buffer, which goes
 * on behind it. */
static void skip_rest(tini_lines *lines)
{
	const size_t keep = sizeof(lines->text) / 2;
	char *end = NULL;

	while (!end) {
		lines->used = keep;
		if (!fill(lines))
			break;
		end = memchr(lines->text + keep, '\n', lines->used - keep);
	}
	lines->text[keep - 1] = '\0';
	lines->next = end ? (size_t)(end - lines->text) + 1 : lines->used;
}

char *tini_lines_next(tini_lines *lines)
{
	char *end;

	to_front(lines);
	while (!(end = memchr(lines->text, '\n', lines->used)) && fill(lines))
		;
	if (end) {
		*end = '\0';
		lines->next = (size_t)(end - lines->text) + 1;
	} else if (lines->used == sizeof(lines->text) - 1) {
		skip_rest(lines);
	} else {
		if (!lines->used)
			return NULL;
		lines->text[lines->used] = '\0';
		lines->next = lines->used;
	}
	return lines->text;
}

void tini_lines_close(tini_lines *lines)
{
	tini_os_close(lines->fd);
	lines->fd = -1;
}

bool tini_lines_number(const char **text, uint64_t *out)
{
	char *end;

	if (**text < '0' || **text > '9') /* strtoull would take blanks and a minus */
		return false;
	errno = 0;
	unsigned long long n = strtoull(*text, &end, 10);
	if (errno || (*end && !strchr(" \t\n", *end)))
		return false;
	*text = end + strspn(end, " \t\n");
	*out = n;
	return true;
}

static bool value_of(const char *line, const char *key, uint64_t *out)
{
	size_t length = strlen(key);

	if (strncmp(line, key, length))
		return false;
	const char *rest = line + length;
	size_t gap = strspn(rest, ": \t");
	rest += gap;
	return gap && tini_lines_number(&rest, out);
}

bool tini_lines_value(const char *root, const char *path, const char *key, uint64_t *out)
{
	tini_lines lines;
	const char *line;
	bool found = false;

	if (!tini_lines_open(&lines, root, path))
		return false;
	while (!found && (line = tini_lines_next(&lines)))
		found = value_of(line, key, out);
	tini_lines_close(&lines);
	return found;
}
