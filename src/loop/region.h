/* SPDX-License-Identifier: MIT */
/*
 * A loop that several threads run: the range is cut into one share for each, and who has finished
 * its own takes half of what another has left.
 *
 *     share[k]:  low:32 | high:32      iterations [low, high) from the region's begin are left
 *
 * The thread of share k takes from its low end, others from its high end, both by compare-and-swap
 * of the whole word: the word says exactly what is left, so it does not matter if it has changed
 * back in between.
 */
#ifndef TINI_LOOP_REGION_H
#define TINI_LOOP_REGION_H

#include <tine/loop.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	TINI_SHARES_MAX = 512,
	TINI_TARGET_NS = 20000, /* of a call of the body, where it can be chosen */
};

typedef struct tini_share {
	_Alignas(64) _Atomic uint64_t range;
	_Atomic uint32_t taken; /* 1: some thread has it */
	_Atomic uint32_t first; /* low at the start; a hint, for STATIC */
} tini_share;

/* The lines are what a helper needs at its start, what it touches at its end, and the shares. */
typedef struct tini_region {
	/* written by its caller before anyone else knows of it */
	_Alignas(64) tine_body *body;
	void *context;
	size_t begin;
	uint32_t grain; /* the least of a call; DYNAMIC: exactly */
	uint32_t take;  /* AUTO: iterations of a first call */
	uint32_t limit; /* threads that may be in it */
	uint16_t shares;
	uint8_t schedule;    /* tine_schedule */
	bool in_order;       /* share 0 is everybody's: calls are long, and begin in order */
	uint32_t generation; /* the process it belongs to */
	_Atomic uint32_t
		inside; /* threads that have come or were invited, the caller among them, but
				    those that left while there was something left */
	_Alignas(64)
		tine_group group;    /* counts invitations, entries in deques and threads inside but
					  the caller */
	_Atomic int64_t spent, done; /* ns in the body and in taking, iterations; not STATIC */
	tini_share share[TINI_SHARES_MAX];
} tini_region;

struct tini_worker;

typedef struct tini_region_plan {
	tine_body *body;
	void *context;
	size_t begin;
	uint32_t count;   /* iterations, at least 1 */
	uint32_t grain;   /* as in tine_for_args, at most count */
	uint32_t take;    /* AUTO: iterations of a first call; 0: 1 */
	uint32_t threads; /* at least 2 */
	tine_schedule schedule;
	bool wake;           /* worth waking a sleeper */
	bool in_order;       /* calls are so long that one share for all costs nothing */
	int64_t spent, done; /* out, but for STATIC: ns in the body, iterations that took them */
} tini_region_plan;

/*
 * Run the plan's iterations on the caller, whose worker has room for one more region, and whoever
 * comes.  Returns 0, or TINE_ESTATE, told: this is the child of a fork() in the body.
 */
int tini_region_run(struct tini_worker *worker, tini_region_plan *plan);

/* What accepts an invitation. */
struct tini_task tini_region_task(tini_region *region);

#endif
