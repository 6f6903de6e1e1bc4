/* SPDX-License-Identifier: MIT */
/* Cancellation: one flag in the shared heap, which only ever goes up. */
#include <stdatomic.h>

#include <tine/heap.h>

#include "heap/heap.h"

struct tine_cancel {
	_Atomic bool requested;
};

tine_cancel *tine_cancel_new(void)
{
	return tini_heap_alloc(64); /* a cache line of its own: workers look at it for each item */
}

void tine_cancel_request(tine_cancel *cancel)
{
	if (cancel)
		atomic_store(&cancel->requested, true);
}

bool tine_cancel_requested(const tine_cancel *cancel)
{
	return cancel && atomic_load(&cancel->requested);
}

void tine_cancel_free(tine_cancel *cancel)
{
	tini_heap_free(cancel);
}
