/* SPDX-License-Identifier: MIT */
/*
 * The sleep and wake protocol.  The submitter sets the ready bit, then looks at the asleep bits;
 * the worker sets its asleep bit, then looks at the ready bits: with both steps sequentially
 * consistent one of them sees the other.  A wake given to a worker that dies or is stopped is lost,
 * as is one whose waker is, between the bit and the bell; the waiters' and the supervisor's
 * watchdogs give them again. Modelled in tests/model/sleep.pml.
 */
#include "pool/ready.h"

#include "base/futex.h"
#include "base/killpoint.h"
#include "pool/job.h"

enum { LOOKS_MAX = 1024 }; /* jobs looked at for the deepest one */

static uint64_t bit(uint64_t n)
{
	return (uint64_t)1 << (n % 64);
}

static tini_segment *segment_of(tine_pool *pool, uint32_t index)
{
	return atomic_load_explicit(&pool->segment[index / 64],
				    memory_order_acquire); /* pairs with its publication */
}

void tini_ready_set(tine_pool *pool, uint32_t index)
{
	atomic_fetch_or(&segment_of(pool, index)->ready, bit(index));
	TINI_KILL_POINT("ready-set");
	atomic_fetch_or(&pool->ready_segments[index / 4096], bit(index / 64));
}

void tini_ready_clear(tine_pool *pool, uint32_t index)
{
	tini_segment *segment = segment_of(pool, index);
	uint64_t before = atomic_fetch_and(&segment->ready, ~bit(index));

	if (before & ~bit(index))
		return;
	atomic_fetch_and(&pool->ready_segments[index / 4096], ~bit(index / 64));
	TINI_KILL_POINT("ready-cleared");
	if (atomic_load(&segment->ready) == 0)
		return;
	atomic_fetch_or(&pool->ready_segments[index / 4096],
			bit(index / 64)); /* somebody set one in between, */
	tini_wake_one(pool);              /* and a worker may have gone to sleep meanwhile */
}

static int64_t find_between(tine_pool *pool, uint32_t from, uint32_t to)
{
	for (uint32_t n = from / 64; n < (to + 63) / 64; n++) {
		uint64_t marked = atomic_load(&pool->ready_segments[n / 64]) >> (n % 64);

		if (marked == 0) {
			n |= 63;
			continue;
		}
		n += (uint32_t)__builtin_ctzll(marked);
		if (n >= (to + 63) / 64)
			break;
		uint64_t bits = atomic_load(&segment_of(pool, n * 64)->ready);
		if (n == from / 64)
			bits &= ~(uint64_t)0 << (from % 64);
		if (bits)
			return (int64_t)n * 64 + __builtin_ctzll(bits);
	}
	return -1;
}

/* Where items wait for items, the order decides how many workers are parked at once. */
static int64_t find_deepest(tine_pool *pool, bool spare, uint32_t from, uint32_t to,
			    uint32_t *depth)
{
	int64_t best = -1, found;

	for (uint32_t at = from, looks = 0;
	     at < to && looks < LOOKS_MAX && (found = find_between(pool, at, to)) >= 0;
	     at = (uint32_t)found + 1, looks++) {
		tini_job *job = tini_job_at(pool, (uint32_t)found);
		uint32_t here =
			atomic_load_explicit(&job->depth, memory_order_relaxed); /* a hint */

		if (here + !spare <= *depth)
			continue;
		*depth = here + !spare;
		best = found;
	}
	return best;
}

int64_t tini_ready_find(tine_pool *pool, bool spare)
{
	uint32_t ring = atomic_load(&pool->ring), depth = 0;
	/* Hints: they pair with nothing. */
	uint32_t head = atomic_load_explicit(&pool->head, memory_order_relaxed) % ring;
	bool nested = atomic_load_explicit(&pool->nested, memory_order_relaxed) != 0;
	int64_t found = nested ? find_deepest(pool, spare, head, ring, &depth)
			       : find_between(pool, head, ring);
	int64_t wrapped = -1;

	if (nested)
		wrapped = find_deepest(pool, spare, 0, head, &depth);
	else if (found < 0)
		wrapped = find_between(pool, 0, head);
	if (wrapped >= 0)
		found = wrapped;
	if (!nested && found >= 0 && (uint32_t)found != head)
		atomic_store_explicit(&pool->head, (uint32_t)found, memory_order_relaxed);
	return found;
}

void tini_wake_slot(tini_slot *slot)
{
	atomic_fetch_add(&slot->bell, 1);
	tini_futex->wake(&slot->bell, 1);
}

bool tini_wake_one(tine_pool *pool)
{
	for (int word = 0; word <= pool->slots / 64; word++) {
		uint64_t bits = atomic_load(&pool->asleep[word]);

		for (; bits; bits &= bits - 1) {
			uint64_t lowest = bits & -bits;

			if (!(atomic_fetch_and(&pool->asleep[word], ~lowest) & lowest))
				continue; /* another waker was first */
			TINI_KILL_POINT("wake-taken");
			tini_wake_slot(&pool->slot[word * 64 + __builtin_ctzll(lowest)]);
			return true;
		}
	}
	return false;
}

void tini_wake_lost(tine_pool *pool)
{
	for (int i = 0; i < pool->slots; i++)
		if (atomic_load(&pool->slot[i].pid) > 0 &&
		    !(atomic_load(&pool->asleep[i / 64]) & bit((uint64_t)i)))
			tini_wake_slot(&pool->slot[i]);
}

void tini_wake_all(tine_pool *pool)
{
	for (int i = 0; i < pool->slots; i++)
		tini_wake_slot(&pool->slot[i]);
}

void tini_sleep_forget(tine_pool *pool, unsigned slot)
{
	atomic_fetch_and(&pool->asleep[slot / 64], ~bit(slot));
}

void tini_sleep(tine_pool *pool, unsigned slot, bool (*stop)(void *context), void *context)
{
	uint32_t bell = atomic_load(&pool->slot[slot].bell);

	atomic_fetch_or(&pool->asleep[slot / 64], bit(slot));
	TINI_KILL_POINT("asleep");
	if (tini_ready_find(pool, pool->slot[slot].spare) < 0 && !stop(context))
		tini_futex->wait(&pool->slot[slot].bell, bell, TINI_NEVER);
	tini_sleep_forget(pool, slot);
}
