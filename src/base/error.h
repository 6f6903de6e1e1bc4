/* SPDX-License-Identifier: MIT */
/*
 * Errors: every failing call leaves a code and one line of text in a thread-local record.
 *
 * The record has a fixed size and is written without allocating, so telling a failure cannot fail.
 */
#ifndef TINI_BASE_ERROR_H
#define TINI_BASE_ERROR_H

#include <tine/base.h>

/* Record a failure of this thread.  The text is cut at 500 bytes. */
void tini_error_set(int code, const char *format, ...) TINE_PRINTF(2, 3);

/* As tini_error_set(), with ": " and the system's text for errnum after it. */
void tini_error_set_errno(int code, int errnum, const char *format, ...) TINE_PRINTF(3, 4);

/* Count of failures recorded by this thread so far: tells whether a call in between has failed. */
unsigned long tini_error_count(void);

/* Where this thread keeps that count, for those who look at it often. */
const unsigned long *tini_error_counter(void);

/* A TINE_E code: 0 is none. */
bool tini_error_is_code(int code);

/* The name of a code, "TINE_EINVAL"; NULL for a number that is none. */
const char *tini_error_name(int code);

/* They end in the constant, so that analysers see the failing path. */
#define TINI_FAIL(code, ...) (tini_error_set((code), __VA_ARGS__), (code))
#define TINI_FAIL_ERRNO(code, errnum, ...) (tini_error_set_errno((code), (errnum), __VA_ARGS__), (code))
#define TINI_FAIL_NULL(code, ...) (tini_error_set((code), __VA_ARGS__), NULL)
#define TINI_FAIL_NULL_ERRNO(code, errnum, ...) (tini_error_set_errno((code), (errnum), __VA_ARGS__), NULL)

#endif
