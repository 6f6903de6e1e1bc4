/* SPDX-License-Identifier: MIT */
/*
 * Places where a process may be killed, by name, so that a test can hit each step of a protocol.
 *
 * One load and one branch that is never taken; -DTINI_NO_KILL_POINTS leaves nothing.
 */
#ifndef TINI_BASE_KILLPOINT_H
#define TINI_BASE_KILLPOINT_H

#ifdef TINI_NO_KILL_POINTS
#define TINI_KILL_POINT(name) ((void)0)
#else
#include <stddef.h>

/* Called with the name of each point that is passed; NULL outside the tests.  Set it before there
 * are threads. */
extern void (*tini_kill_hook)(const char *name) __attribute__((visibility("hidden")));

#define TINI_KILL_POINT(name) \
	(__builtin_expect(tini_kill_hook != NULL, 0) ? tini_kill_hook(name) : (void)0)
#endif

#endif
