/* SPDX-License-Identifier: MIT */
/*
 * The error table and the thread's record of its last failure.
 *
 * A text is built in a local buffer first: an argument may point into the record itself, as when a
 * story is told again with more around it.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 501 };

static _Thread_local struct {
	int code;
	unsigned long count;
	char text[TEXT_SIZE];
} record;

static const struct {
	const char *name, *text;
} table[] = {{"TINE_OK", "success"},
#define X(name, text) {"TINE_" #name, text},
	     TINE_ERRORS(X)
#undef X
};

static bool is_row(int code)
{
	return code <= 0 && code > TINE_E_LAST;
}

static void keep(int code, const char *text)
{
	memcpy(record.text, text, TEXT_SIZE);
	record.code = code;
	record.count++;
}

void tini_error_set(int code, const char *format, ...)
{
	char text[TEXT_SIZE];
	va_list list;

	va_start(list, format);
	if (vsnprintf(text, sizeof(text), format, list) < 0)
		text[0] = '\0';
	va_end(list);
	keep(code, text);
}

/* Where a limit is in the way its name is told, so that it can be raised. */
static const char *limit_of(int errnum)
{
	return errnum == EMFILE ? " (ulimit -n)" : "";
}

void tini_error_set_errno(int code, int errnum, const char *format, ...)
{
	char text[TEXT_SIZE];
	const char *what = strerrordesc_np(errnum);
	va_list list;

	va_start(list, format);
	if (vsnprintf(text, sizeof(text), format, list) < 0)
		text[0] = '\0';
	va_end(list);
	size_t used = strlen(text);
	if (what)
		snprintf(text + used, sizeof(text) - used, ": %s%s", what, limit_of(errnum));
	else
		snprintf(text + used, sizeof(text) - used, ": error number %d", errnum);
	keep(code, text);
}

unsigned long tini_error_count(void)
{
	return record.count;
}

const unsigned long *tini_error_counter(void)
{
	return &record.count;
}

bool tini_error_is_code(int code)
{
	return code < 0 && is_row(code);
}

const char *tini_error_name(int code)
{
	return is_row(code) ? table[-code].name : NULL;
}

const char *tine_strerror(int code)
{
	if (code > 0)
		return "a code of the task's own";
	return is_row(code) ? table[-code].text : "unknown error code";
}

const char *tine_last_error(void)
{
	return record.text;
}

int tine_last_code(void)
{
	return record.code;
}
