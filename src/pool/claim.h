/* SPDX-License-Identifier: MIT */
/*
 * The claim word: one 64-bit word per chunk of a map, one per future.  It is the only truth about
 * the chunk.
 *
 *      63        62 61      48 47       36 35                    0
 *     +------------+----------+-----------+-----------------------+
 *     |  state: 2  | owner:14 | tries: 12 | offset: 36            |
 *     +------------+----------+-----------+-----------------------+
 *
 *     FREE(offset, tries) --CAS by worker w--> CLAIMED(w) --store by w--> DONE(w)
 *        ^                                        |
 *        +--- the supervisor, after waitpid(w) ---+--> DONE(w) where nothing is left of the chunk
 *
 * offset: the first item of the chunk that has not ended yet; tries: how often that item has been
 * begun and lost.  All zero is FREE from the start, so that zeroed memory is a fresh job.  In a
 * future's word, which has one item, the offset counts how often the record has been used: a CAS by
 * a worker that looked at the job before fails.
 */
#ifndef TINI_POOL_CLAIM_H
#define TINI_POOL_CLAIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint64_t tini_claim;
typedef enum tini_claim_state { TINI_FREE, TINI_CLAIMED, TINI_DONE } tini_claim_state;

#define TINI_OWNER_BITS 14
#define TINI_TRIES_BITS 12
#define TINI_OFFSET_BITS 36
#define TINI_OWNER_MAX ((1u << TINI_OWNER_BITS) - 1)
#define TINI_TRIES_MAX ((1u << TINI_TRIES_BITS) - 1)
#define TINI_OFFSET_MAX (((uint64_t)1 << TINI_OFFSET_BITS) - 1)

static inline uint64_t tini_claim_make(tini_claim_state state, unsigned owner, unsigned tries,
				       uint64_t offset)
{
	return (uint64_t)state << 62 | (uint64_t)owner << (TINI_TRIES_BITS + TINI_OFFSET_BITS) |
	       (uint64_t)tries << TINI_OFFSET_BITS | offset;
}
static inline tini_claim_state tini_claim_state_of(uint64_t word)
{
	return (tini_claim_state)(word >> 62);
}
static inline unsigned tini_claim_owner(uint64_t word)
{
	return (unsigned)(word >> (TINI_TRIES_BITS + TINI_OFFSET_BITS)) & TINI_OWNER_MAX;
}
static inline unsigned tini_claim_tries(uint64_t word)
{
	return (unsigned)(word >> TINI_OFFSET_BITS) & TINI_TRIES_MAX;
}
static inline uint64_t tini_claim_offset(uint64_t word)
{
	return word & TINI_OFFSET_MAX;
}

/*
 * Take the chunk for `owner` if its word is still as it was seen, and free.  The acquire pairs with
 * the release of whoever freed it: what an earlier owner wrote is seen.
 */
static inline bool tini_claim_take_seen(tini_claim *word, unsigned owner, uint64_t seen)
{
	return tini_claim_state_of(seen) == TINI_FREE &&
	       atomic_compare_exchange_strong_explicit(word, &seen,
						       tini_claim_make(TINI_CLAIMED, owner,
								       tini_claim_tries(seen),
								       tini_claim_offset(seen)),
						       memory_order_acq_rel, memory_order_relaxed);
}

/* Take it as it is now.  On success *seen is the word as it was: where to begin, which try. */
static inline bool tini_claim_take(tini_claim *word, unsigned owner, uint64_t *seen)
{
	*seen = atomic_load_explicit(word, memory_order_relaxed); /* the CAS decides */
	return tini_claim_take_seen(word, owner, *seen);
}

/* The owner, or the supervisor in its place: nothing is left of the chunk.  Release: results before
 * the mark. */
static inline void tini_claim_finish(tini_claim *word, unsigned owner)
{
	uint64_t offset = tini_claim_offset(atomic_load_explicit(word, memory_order_relaxed));
	atomic_store_explicit(word, tini_claim_make(TINI_DONE, owner, 0, offset),
			      memory_order_release);
}

/* The owner, or the supervisor in its place: offer what is left from `offset` on again. */
static inline void tini_claim_offer(tini_claim *word, unsigned tries, uint64_t offset)
{
	atomic_store_explicit(word, tini_claim_make(TINI_FREE, 0, tries, offset),
			      memory_order_release);
}

static inline bool tini_claim_is(tini_claim *word, tini_claim_state state, unsigned owner)
{
	uint64_t now = atomic_load_explicit(word, memory_order_acquire);
	return tini_claim_state_of(now) == state && tini_claim_owner(now) == owner;
}

/*
 * What an owner was doing with one of its items, in one word that only it writes: the item's index
 * and whether it has ended.  0: none yet.
 */
static inline uint64_t tini_mark_running(uint64_t index)
{
	return (index + 1) << 1;
}
static inline uint64_t tini_mark_ended(uint64_t index)
{
	return (index + 1) << 1 | 1;
}
static inline bool tini_mark_is_running(uint64_t mark)
{
	return mark != 0 && !(mark & 1);
}
static inline uint64_t tini_mark_index(uint64_t mark)
{
	return (mark >> 1) - 1;
}

/* What the supervisor finds of a claimed chunk whose owner is dead. */
typedef struct tini_remains {
	bool lost;       /* an item was running */
	uint64_t item;   /* which */
	unsigned tries;  /* of the lost item; else of the next one */
	uint64_t offset; /* the first item that has neither ended nor been lost; == length: none */
} tini_remains;

/*
 * `first` and `length`: the chunk's items.  A mark from outside them, or from before the offset, is
 * older than the claim.  `tries`: of the marked item.
 */
static inline tini_remains tini_claim_remains(uint64_t word, uint64_t mark, unsigned tries,
					      uint64_t first, uint64_t length)
{
	tini_remains r = {.offset = tini_claim_offset(word), .tries = tini_claim_tries(word)};

	if (mark == 0 || tini_mark_index(mark) < first + r.offset ||
	    tini_mark_index(mark) >= first + length)
		return r;
	r.item = tini_mark_index(mark);
	r.lost = tini_mark_is_running(mark);
	r.tries = r.lost ? tries : 0;
	r.offset = r.item - first + 1;
	return r;
}

#endif
