/* SPDX-License-Identifier: MIT */
/* Time: monotonic nanoseconds, and deadlines made from timeouts in seconds. */
#ifndef TINI_BASE_CLOCK_H
#define TINI_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define TINI_NEVER INT64_MAX /* a deadline that does not come */

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t tini_clock_now(void);

/* The moment `seconds` from now; negative or beyond 292 years: TINI_NEVER.  NaN must have been refused before. */
int64_t tini_clock_deadline(double seconds);

/* moment + ns, at most TINI_NEVER; both are not negative. */
static inline int64_t tini_clock_add(int64_t moment, int64_t ns)
{
	return moment > TINI_NEVER - ns ? TINI_NEVER : moment + ns;
}

/* Sleep at most until then; returns early on a signal. */
void tini_clock_sleep_until(int64_t deadline);

/* Seconds as nanoseconds, saturating at TINI_NEVER; negative: TINI_NEVER. */
int64_t tini_clock_from_seconds(double seconds);

#endif
