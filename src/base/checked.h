/* SPDX-License-Identifier: MIT */
/* Size arithmetic that says when it does not fit. */
#ifndef TINI_BASE_CHECKED_H
#define TINI_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>

static inline bool tini_mul_fits(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool tini_add_fits(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

/* n rounded up to a multiple of the power of two `to`; SIZE_MAX where that does not fit. */
static inline size_t tini_round_up(size_t n, size_t to)
{
	return n > (size_t)-1 - (to - 1) ? (size_t)-1 : (n + to - 1) & ~(to - 1);
}

static inline size_t tini_min(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t tini_max(size_t a, size_t b) { return a > b ? a : b; }

#endif
