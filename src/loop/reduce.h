/* SPDX-License-Identifier: MIT */
/*
 * The tree of a reduction: block b of the range is leaf b, and a node of n leaves has as its left
 * child the greatest power of two below n of them.  Its shape depends on n alone; who computes which
 * node does not matter.
 */
#ifndef TINI_LOOP_REDUCE_H
#define TINI_LOOP_REDUCE_H

#include <tine/loop.h>

#include <stdatomic.h>
#include <stdint.h>

enum { TINI_BLOCKS = 256, TINI_PARTIAL = 64 };

typedef struct tini_reduction {
	tine_reduce_body *body;
	tine_combine *combine;
	void *context;
	const void *identity; /* NULL: zeros */
	size_t begin, end, grain, size;
	size_t alone;          /* nodes of at most so many leaves are computed by one thread */
	_Atomic int failed;    /* 0, or the code */
	_Atomic int64_t spent; /* ns in blocks, all threads together */
} tini_reduction;

/* Leaves of the left child of a node of `leaves` leaves, at least 2. */
static inline size_t tini_left_leaves(size_t leaves)
{
	return (size_t)1 << (63 - __builtin_clzll(leaves - 1));
}

/* Set *into to what leaves [first, first + leaves) give, on this thread. */
void tini_reduce_alone(tini_reduction *reduction, size_t first, size_t leaves, void *into);

/* Indices of a block, for a grain that may be 0. */
static inline size_t tini_block_size(size_t count, size_t grain)
{
	if (grain == 0)
		grain = (count - 1) / TINI_BLOCKS + 1;
	return grain < count ? grain : count;
}

#endif
