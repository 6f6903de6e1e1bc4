/* SPDX-License-Identifier: MIT */
/*
 * Faults on demand: a unit test sets a countdown and the n-th call of that kind fails.
 *
 * Always compiled, as it costs one predictable branch beside a system call; nothing outside the tests sets it.
 */
#ifndef TINI_BASE_FAULT_H
#define TINI_BASE_FAULT_H

#include <stdbool.h>

typedef enum tini_fault {
	TINI_FAULT_ALLOC, /* tini_alloc, tini_resize, tini_strdup: NULL */
	TINI_FAULT_SYSTEM, /* every function of os.h that can fail: its error */
	TINI_FAULT_SHARED, /* blocks of the shared heap: NULL */
	TINI_FAULT_END
} tini_fault;

/* Let the n-th call from now fail (1: the next one), once; 0: none. */
void tini_fault_arm(tini_fault which, long n);

/* Calls counted since the last arming: tells a test when n has gone past the last call. */
long tini_fault_calls(tini_fault which);

/* True where this very call is to fail.  Called by the functions that may. */
bool tini_fault_now(tini_fault which);

#endif
