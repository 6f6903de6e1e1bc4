/* SPDX-License-Identifier: MIT */
/* Faults on demand.  Calls are counted only while armed, so that an unarmed check is one load and
 * one branch. */
#include "base/fault.h"

#include <stdatomic.h>

static struct {
	_Atomic long armed; /* which call fails, from 1; 0: none */
	_Atomic long calls; /* since the arming */
} faults[TINI_FAULT_END];

void tini_fault_arm(tini_fault which, long n)
{
	atomic_store(&faults[which].armed, 0);
	atomic_store(&faults[which].calls, 0);
	atomic_store(&faults[which].armed, n);
}

long tini_fault_calls(tini_fault which)
{
	return atomic_load(&faults[which].calls);
}

bool tini_fault_now(tini_fault which)
{
	/* relaxed: pairs with nothing, a test arms before it makes the call */
	long armed = atomic_load_explicit(&faults[which].armed, memory_order_relaxed);

	return armed && atomic_fetch_add(&faults[which].calls, 1) + 1 == armed;
}
