/* SPDX-License-Identifier: MIT */
/*
 * Counting the tasks of a group that have not returned.
 *
 *     word[0]  steps:32 | open:32      by the group's owner: the thread on whose stack it lies
 *     word[1]  2 * (what all others have added - what they have ended) | somebody sleeps on it
 *     word[2]  the process that spawned last: 1 + its generation
 *
 * The owner counts with plain stores, so that spawning and running a task oneself takes no atomic
 * step.  Tasks are open while both counts together are not zero, modulo 2^32.  word[0] grows with
 * each store: who reads it twice alike has read word[1] at a moment at which word[0] had this
 * value.
 */
#ifndef TINI_LOOP_GROUP_H
#define TINI_LOOP_GROUP_H

#include "base/futex.h"
#include "loop/team.h"

enum { TINI_GROUP_SLEEPER = 1, TINI_GROUP_ONE = 2 };
#define TINI_GROUP_STEP (UINT64_C(1) << 32) /* what overflows falls off the top */

static inline _Atomic uint64_t *tini_group_word(const tine_group *group, int word)
{
	return (_Atomic uint64_t *)&group->word[word]; /* the same object, whatever its qualifier */
}

/* The group lies on this thread's stack, or in its worker where it is a region's. */
static inline bool tini_group_is_mine(const tini_worker *worker, const tine_group *group)
{
	uintptr_t at = (uintptr_t)group;

	return at - worker->stack_low < worker->stack_size ||
	       at - (uintptr_t)worker < sizeof *worker;
}

static inline void tini_group_add(const tini_worker *worker, tine_group *group)
{
	_Atomic uint64_t *own = tini_group_word(group, 0);

	if (tini_group_is_mine(worker, group)) /* nobody else writes it */
		atomic_store_explicit(
			own, atomic_load_explicit(own, memory_order_relaxed) + TINI_GROUP_STEP + 1,
			memory_order_relaxed);
	else /* before the task can be seen: the release of bottom orders it */
		atomic_fetch_add_explicit(tini_group_word(group, 1), TINI_GROUP_ONE,
					  memory_order_relaxed);
}

/* By others than its owner.  Whoever waits may go on at once: the group is not looked at again, and a
 * wake-up for an address that has become something else is harmless. */
void tini_group_end_afar(tine_group *group, uint32_t count);

/* `count` of its tasks have returned. */
static inline void tini_group_end(const tini_worker *worker, tine_group *group, uint32_t count)
{
	_Atomic uint64_t *own = tini_group_word(group, 0);

	if (tini_group_is_mine(worker, group))
		/* Release: pairs with a stranger's wait. */
		atomic_store_explicit(own,
				      atomic_load_explicit(own, memory_order_relaxed) +
					      TINI_GROUP_STEP - count,
				      memory_order_release);
	else
		tini_group_end_afar(group, count);
}

static inline bool tini_group_is_open(const tine_group *group)
{
	_Atomic uint64_t *own = tini_group_word(group, 0);
	uint64_t before, others, after = atomic_load(own);

	do {
		before = after;
		others = atomic_load(tini_group_word(group, 1));
		after = atomic_load(own);
	} while (before != after);
	return (uint32_t)before + (uint32_t)(others >> 1) != 0;
}

/* The same, asked by its owner. */
static inline bool tini_group_is_open_here(const tine_group *group)
{
	uint64_t own = atomic_load_explicit(tini_group_word(group, 0), memory_order_relaxed);

	return (uint32_t)own + (uint32_t)(atomic_load(tini_group_word(group, 1)) >> 1) != 0;
}

static inline bool tini_group_has_sleeper(const tine_group *group)
{
	return atomic_load_explicit(tini_group_word(group, 1), memory_order_relaxed) &
	       TINI_GROUP_SLEEPER;
}

/* Push a task of the group on the worker's deque and see that somebody looks; false: it is full. */
bool tini_group_push(tini_worker *worker, tine_group *group, void (*fn)(void *arg), void *arg);

/* Wait until it is not open, running its tasks and what they have spawned. */
void tini_group_join(tini_worker *worker, tine_group *group);

#endif
