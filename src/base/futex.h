/* SPDX-License-Identifier: MIT */
/*
 * Futex, behind a table so that a test can put a fake one in its place and drive schedules.
 *
 * Words are shared between processes: never the private variant.
 */
#ifndef TINI_BASE_FUTEX_H
#define TINI_BASE_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct tini_futex_ops {
	/* Sleep while *word == expected, at most until `deadline` (tini_clock_now() time; TINI_NEVER: no end).  Returns 0
	 * when woken or when the word differs, else -ETIMEDOUT or -EINTR.  May return early for no reason. */
	int (*wait)(_Atomic uint32_t *word, uint32_t expected, int64_t deadline);
	/* Wake at most n sleepers; returns how many. */
	int (*wake)(_Atomic uint32_t *word, int n);
} tini_futex_ops;

extern const tini_futex_ops tini_futex_kernel;
extern const tini_futex_ops *tini_futex; /* tini_futex_kernel, unless a test changed it */

#endif
