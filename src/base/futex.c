/* SPDX-License-Identifier: MIT */
/* The kernel's futex.  WAIT_BITSET is the variant that takes an absolute CLOCK_MONOTONIC deadline.
 */
#include "base/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static int kernel_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline)
{
	int64_t moment = deadline < 0 ? 0 : deadline;
	struct timespec until = {.tv_sec = moment / 1000000000, .tv_nsec = moment % 1000000000};
	struct timespec *limit = deadline == TINI_NEVER ? NULL : &until;

	if (!syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, limit, NULL,
		     FUTEX_BITSET_MATCH_ANY))
		return 0;
	return errno == EAGAIN ? 0 : -errno;
}

static int kernel_wake(_Atomic uint32_t *word, int n)
{
	long woken = syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);

	return woken < 0 ? 0 : (int)woken;
}

const tini_futex_ops tini_futex_kernel = {.wait = kernel_wait, .wake = kernel_wake};
const tini_futex_ops *tini_futex = &tini_futex_kernel;
