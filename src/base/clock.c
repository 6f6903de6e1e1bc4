/* SPDX-License-Identifier: MIT */
/* Monotonic time in nanoseconds; every sum saturates at TINI_NEVER. */
#include "base/clock.h"

#include <time.h>

static const int64_t SECOND = 1000000000;

int64_t tini_clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

int64_t tini_clock_from_seconds(double seconds)
{
	/* 9.2e9 seconds is the last round number whose nanoseconds fit; the negation takes NaN
	 * along */
	if (!(seconds >= 0 && seconds < 9.2e9))
		return TINI_NEVER;
	double exact = seconds * 1e9;
	int64_t whole = (int64_t)exact;
	/* rounded up: a wait of less than a nanosecond is still a wait, 0 alone is a try */
	return (double)whole < exact ? whole + 1 : whole;
}

int64_t tini_clock_deadline(double seconds)
{
	int64_t span = tini_clock_from_seconds(seconds);
	int64_t then;

	if (span == TINI_NEVER || __builtin_add_overflow(tini_clock_now(), span, &then))
		return TINI_NEVER;
	return then;
}

void tini_clock_sleep_until(int64_t deadline)
{
	struct timespec until = {.tv_sec = deadline / SECOND, .tv_nsec = deadline % SECOND};

	if (deadline > 0)
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}
