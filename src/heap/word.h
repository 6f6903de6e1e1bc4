/* SPDX-License-Identifier: MIT */
/*
 * The 64-bit words in which the heap keeps its truth: one per unit of a table, one per 24 blocks of
 * a slab.
 *
 * All that is known about a unit is in its one word, so that each change is one atomic step and a
 * process that dies between two steps leaves a state that has a name here and that another process
 * can go on from.
 *
 *          |63 54|53  40|39   24|23 |22 17|16   3|2   0|
 *   slab   |     |closer|  tag  |hot|class|owner |state|
 *          |63         42|41 |40  39|38 17|16   3|2   0|
 *   run    |             |lazy|orphan given|units|actor |state|
 *
 *   FREE        the pages are holes: they read as zeros
 *   TENTATIVE   being claimed by the actor; or, where a HEAD before it covers it, the body of a run
 *   HEAD        the first unit of a live run of so many units
 *   EMPTYING    the actor gives the run back: its pages go, its body still belongs to it
 *   RELEASING   the pages are gone, units of the body become free from the last to the first
 *   RELEASED    a unit of such a body
 *   SLAB        a page of blocks of one class, owned by an actor, or by 0: abandoned
 *   CLOSING     the closer looks whether the slab is empty and shuts its words one by one
 *
 *   FREE -> TENTATIVE... -> HEAD -> EMPTYING -> RELEASING -> FREE
 *   FREE -> TENTATIVE -> SLAB <-> CLOSING -> EMPTYING -> RELEASING -> FREE
 */
#ifndef TINI_HEAP_WORD_H
#define TINI_HEAP_WORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint64_t tini_word; /* shared by processes */
_Static_assert(sizeof(tini_word) == 8 && ATOMIC_LLONG_LOCK_FREE == 2,
	       "words need lock-free 64-bit atomics");

enum {
	TINI_FREE,
	TINI_TENTATIVE,
	TINI_HEAD,
	TINI_EMPTYING,
	TINI_RELEASING,
	TINI_RELEASED,
	TINI_SLAB,
	TINI_CLOSING,
	TINI_ACTOR_LIMIT = 1 << 14,  /* numbers of actors are below it and above 0 */
	TINI_LENGTH_LIMIT = 1 << 22, /* units of a run are below it */
};

#define TINI_GIVEN ((uint64_t)1 << 39)  /* handed over: no actor's death orphans it */
#define TINI_ORPHAN ((uint64_t)1 << 40) /* its actor is dead */
#define TINI_LAZY ((uint64_t)1 << 41)   /* its pages come on first touch */
#define TINI_HOT ((uint64_t)1 << 23)    /* the current slab of a thread of its owner */

static inline unsigned tini_state(uint64_t w)
{
	return w & 7;
}
static inline unsigned tini_actor_of(uint64_t w)
{
	return w >> 3 & (TINI_ACTOR_LIMIT - 1);
}

/* ---- runs */

static inline uint32_t tini_length(uint64_t w)
{
	return (uint32_t)(w >> 17) & (TINI_LENGTH_LIMIT - 1);
}

static inline uint64_t tini_unit(unsigned state, unsigned actor, uint32_t length)
{
	return state | (uint64_t)actor << 3 | (uint64_t)length << 17;
}

/* Units to go on by from a unit: over a run whose whole body belongs to it, else one. */
static inline uint32_t tini_stride(uint64_t w)
{
	unsigned state = tini_state(w);

	return state == TINI_HEAD || state == TINI_EMPTYING ? tini_length(w) : 1;
}

/* ---- slabs */

static inline unsigned tini_class_of(uint64_t w)
{
	return w >> 17 & 63;
}
static inline uint16_t tini_tag_of(uint64_t w)
{
	return (uint16_t)(w >> 24);
}
static inline unsigned tini_closer_of(uint64_t w)
{
	return w >> 40 & (TINI_ACTOR_LIMIT - 1);
}
static inline bool tini_is_slab(uint64_t w)
{
	return tini_state(w) >= TINI_SLAB;
}

static inline uint64_t tini_slab_word(unsigned owner, unsigned kind, uint16_t tag)
{
	return TINI_SLAB | (uint64_t)owner << 3 | (uint64_t)kind << 17 | (uint64_t)tag << 24;
}

static inline uint64_t tini_with_owner(uint64_t w, unsigned owner)
{
	return (w & ~((uint64_t)(TINI_ACTOR_LIMIT - 1) << 3)) | (uint64_t)owner << 3;
}

static inline uint64_t tini_closing_word(uint64_t slab, unsigned closer)
{
	return (slab & ~(uint64_t)7) | TINI_CLOSING | (uint64_t)closer << 40;
}

static inline uint64_t tini_reopened_word(uint64_t closing)
{
	return (closing & (((uint64_t)1 << 40) - 8)) | TINI_SLAB;
}

/*
 * ---- blocks of a slab: two bits each, and the tag of the slab's incarnation above them
 *
 *   |63    48|47 46| ... |3 2|1 0|
 *   |  tag   | b23 | ... |b1 |b0 |
 *
 * The tag is even while the slab lives and odd in a word that has been shut.  Whoever changes a
 * block does it by a compare-and-swap of the whole word, so that one who remembers a page that has
 * since become something else fails.
 */
enum { TINI_BLOCK_FREE, TINI_BLOCK_USED, TINI_BLOCK_GIVEN, TINI_BLOCK_ORPHAN };
enum { TINI_WORD_BLOCKS = 24 };

#define TINI_BLOCKS_MASK (((uint64_t)1 << 48) - 1)
#define TINI_EVEN_BITS ((uint64_t)0x555555555555)

static inline uint16_t tini_word_tag(uint64_t w)
{
	return (uint16_t)(w >> 48);
}
static inline uint64_t tini_word_empty(uint16_t tag)
{
	return (uint64_t)tag << 48;
}

/* The low bits of the blocks that are not free. */
static inline uint64_t tini_word_taken(uint64_t w)
{
	return (w | w >> 1) & TINI_EVEN_BITS;
}

/* The low bits of the blocks in a state. */
static inline uint64_t tini_word_in_state(uint64_t w, unsigned state)
{
	uint64_t low = state & 1 ? w : ~w, high = state & 2 ? w >> 1 : ~(w >> 1);

	return low & high & TINI_EVEN_BITS;
}

#endif
