/* SPDX-License-Identifier: MIT */
/*
 * The test kit: cmocka with its headers in the order that it needs, faults on demand, and a runner for tests that play
 * with processes.
 *
 * Works with the shared library alone, but for kit_each_fault(): only unit tests have that.
 */
#ifndef TINE_TESTS_KIT_H
#define TINE_TESTS_KIT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <sys/types.h>

/* The directory of a fixture below tests/fixtures; a static text, valid until the next call. */
const char *kit_fixture(const char *name);

/* Descriptors that this process has open. */
int kit_descriptors(void);

/* Children of this process, zombies included. */
int kit_children(void);

typedef struct kit_outcome {
	int code;         /* what fn returned or gave to exit(), modulo 256; -1 where a signal ended it */
	int signal;       /* the signal that ended it; 0: none */
	bool timed_out;   /* it ran over its time and was killed (its group too) */
	double seconds;   /* how long it ran */
	int left;         /* processes that it left behind: still alive kit_grace seconds after its end */
	char names[256];  /* "name(pid) ..." of those */
	bool failed;      /* the runner itself could not work */
} kit_outcome;

/* Seconds that processes left behind get to notice that their host is gone; 2 at first. */
extern double kit_grace;

/*
 * Run exit(fn(arg)) in a process of its own, in its own process group, and kill it after `timeout` seconds.
 *
 * Every process that descends from it is found, in whatever group or session it is: a runner in between is the
 * subreaper of them all.  What is left is counted and killed.  The process itself is no subreaper and has one thread.
 * Inside fn an assert_*() of cmocka would run the tests after it a second time: use kit_expect().
 */
kit_outcome kit_run(int (*fn)(void *arg), void *arg, double timeout);

/* kit_run(), and fail the test unless fn returned 0 and left nothing behind. */
void kit_run_clean(int (*fn)(void *arg), void *arg, double timeout);

/* Inside fn: tell the place and leave with KIT_FAILED at once. */
enum { KIT_FAILED = 99 };
#define kit_expect(condition) ((condition) ? (void)0 : kit_leave(#condition, __FILE__, __LINE__))
_Noreturn void kit_leave(const char *condition, const char *file, int line);

/*
 * Run fn with its first call of that kind failing (which: a tini_fault of base/fault.h), then with its second, and so
 * on until fn makes no more of them; fn starts anew each time and frees what it made.
 *
 * fn returns 0, or the TINE_E code of the call that failed (tine_last_code() where that gave NULL); then the failure
 * must have been told.  The number of open descriptors must not change, and the last run must return 0.
 */
void kit_each_fault(int which, int (*fn)(void *context), void *context);

#endif
