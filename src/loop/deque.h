/* SPDX-License-Identifier: MIT */
/*
 * A work-stealing deque: its owner pushes and pops at the bottom, thieves take at the top.
 *
 *        top                      bottom
 *         v                         v
 *     ... | oldest | ... | newest | (next to be written) ...      indices only grow; modulo SIZE
 *
 * Entries [top, bottom) are in it.  The owner alone writes bottom and entries; top moves by
 * compare-and-swap, by a thief or by the owner where it takes the last entry.  So the entry at top
 * stays as it is until top moves, and a thief may look at it before it decides.  When the deque is
 * full the owner runs the task at once instead.
 *
 * Source: Chase and Lev, Dynamic Circular Work-Stealing Deque, SPAA 2005, of fixed size; with
 * sequentially consistent steps where Le, Pop, Cohen, Zappa Nardelli (PPoPP 2013) place fences.
 * Modelled in tests/model/deque.pml.
 */
#ifndef TINI_LOOP_DEQUE_H
#define TINI_LOOP_DEQUE_H

#include <tine/loop.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { TINI_DEQUE_SIZE = 4096 };

typedef struct tini_task {
	void (*fn)(void *arg);
	void *arg;
	tine_group *group; /* told when the task has returned */
	tine_group *root;  /* of the stolen task inside which it was spawned; NULL: of none */
} tini_task;

typedef struct tini_entry {
	_Atomic(void (*)(void *arg)) fn;
	_Atomic(void *) arg;
	_Atomic(tine_group *) group, root;
} tini_entry;

typedef struct tini_deque {
	_Alignas(64) _Atomic int64_t top;
	_Alignas(64) _Atomic int64_t bottom;
	int64_t top_seen; /* the owner: what top was at some time */
	_Alignas(64) tini_entry entry[TINI_DEQUE_SIZE];
} tini_deque;

static inline tini_entry *tini_deque_at(tini_deque *deque, int64_t index)
{
	return &deque->entry[index & (TINI_DEQUE_SIZE - 1)];
}

/* Relaxed: bottom publishes the entry, and a thief that read one too late fails to move top. */
static inline tini_task tini_entry_read(tini_entry *entry)
{
	return (tini_task){.fn = atomic_load_explicit(&entry->fn, memory_order_relaxed),
			   .arg = atomic_load_explicit(&entry->arg, memory_order_relaxed),
			   .group = atomic_load_explicit(&entry->group, memory_order_relaxed),
			   .root = atomic_load_explicit(&entry->root, memory_order_relaxed)};
}

static inline int64_t tini_deque_bottom(tini_deque *deque)
{
	return atomic_load_explicit(&deque->bottom, memory_order_relaxed); /* the owner's own */
}

/* The owner: false where it is full. */
static inline bool tini_deque_push(tini_deque *deque, const tini_task *task)
{
	int64_t bottom = tini_deque_bottom(deque);

	if (bottom - deque->top_seen >= TINI_DEQUE_SIZE) {
		/* Acquire: pairs with the thieves' exchange, after which they no longer read the entry. */
		deque->top_seen = atomic_load_explicit(&deque->top, memory_order_acquire);
		if (bottom - deque->top_seen >= TINI_DEQUE_SIZE)
			return false;
	}
	tini_entry *entry = tini_deque_at(deque, bottom);
	atomic_store_explicit(&entry->fn, task->fn, memory_order_relaxed);
	atomic_store_explicit(&entry->arg, task->arg, memory_order_relaxed);
	atomic_store_explicit(&entry->group, task->group, memory_order_relaxed);
	atomic_store_explicit(&entry->root, task->root, memory_order_relaxed);
	/* Release: a thief that sees it sees the entry and all that the task will read. */
	atomic_store_explicit(&deque->bottom, bottom + 1, memory_order_release);
	return true;
}

/* The owner: take the newest; false where there is none. */
static inline bool tini_deque_pop(tini_deque *deque, tini_task *task)
{
	int64_t bottom = tini_deque_bottom(deque) - 1;

	if (bottom < deque->top_seen)
		return false;
	/* Sequentially consistent, as are the thief's two loads: either it sees the new bottom, or
	 * we see its top. */
	atomic_store(&deque->bottom, bottom);
	int64_t top = atomic_load(&deque->top);
	if (top < bottom) {
		*task = tini_entry_read(tini_deque_at(deque, bottom));
		return true;
	}
	bool taken = false;
	if (top == bottom) { /* the last one: thieves may be after it */
		*task = tini_entry_read(tini_deque_at(deque, bottom));
		taken = atomic_compare_exchange_strong(&deque->top, &top, bottom + 1);
	}
	deque->top_seen = bottom + 1;
	atomic_store_explicit(&deque->bottom, bottom + 1, memory_order_relaxed);
	return taken;
}

/* Anyone: entries that seem to be in it. */
static inline int64_t tini_deque_length(tini_deque *deque)
{
	int64_t top = atomic_load(&deque->top); /* before bottom: else it might seem too long */

	return atomic_load(&deque->bottom) - top;
}

/* What may be taken: for `group` or for a stolen task of it; NULL: anything. */
static inline bool tini_task_fits(const tini_task *task, const tine_group *group)
{
	return !group || task->group == group || task->root == group;
}

/* Anyone but the owner, and the owner where it wants the oldest: take that if it fits. */
static inline bool tini_deque_steal(tini_deque *deque, const tine_group *group, tini_task *task)
{
	int64_t top = atomic_load(&deque->top);

	if (atomic_load(&deque->bottom) <= top)
		return false;
	*task = tini_entry_read(tini_deque_at(deque, top));
	return tini_task_fits(task, group) &&
	       atomic_compare_exchange_strong(&deque->top, &top, top + 1);
}

#endif
