/* SPDX-License-Identifier: MIT */
/*
 * Tasks: spawning, running and waiting.
 *
 * Who waits for a group runs tasks of this group, and tasks that were spawned inside a stolen task
 * of this group (leapfrogging): the newest of its own deque first, then the oldest of others'.  So
 * nothing unrelated runs on top of a waiting task, which might hold a lock; and a thread's stack is
 * no deeper than the tree of tasks.  The rule is broken where nothing else would ever happen: when
 * no other thread works on anything, one who waits runs any task that it has spawned.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/threads.h"
#include "loop/group.h"
#include "loop/team.h"

#include <unistd.h>

#define NAP_NS INT64_C(1000000) /* a first sleep of one who waits; the next are longer */
#define NAP_MAX_NS INT64_C(50000000)

#define COLD __attribute__((noinline, cold)) /* keeps it out of the registers of the usual path */

/* ---- running */

/* A task has forked and this is the child, on a thread of ours: nothing here is its to go on with. */
static COLD void leave_stray_child(const tini_worker *worker)
{
	if (atomic_load_explicit(&tini_the_team.generation, memory_order_relaxed) !=
	    worker->generation)
		_exit(0);
}

/* The group of the running task, which only this thread changes. */
static inline tine_group *enter(tini_worker *worker, tine_group *group)
{
	tine_group *before = atomic_load_explicit(&worker->group, memory_order_relaxed);

	atomic_store_explicit(&worker->group, group, memory_order_relaxed);
	return before;
}

static inline void run_popped(tini_worker *worker, const tini_task *task)
{
	tine_group *before = enter(worker, task->group);

	task->fn(task->arg);
	if (worker->is_helper)
		leave_stray_child(worker);
	enter(worker, before);
	tini_group_end(worker, task->group, 1);
}

COLD void tini_group_end_afar(tine_group *group, uint32_t count)
{
	_Atomic uint64_t *others = tini_group_word(group, 1);

	/* Release: who finds the group ended sees what its tasks have written. */
	if (atomic_fetch_sub_explicit(others, (uint64_t)count * TINI_GROUP_ONE,
				      memory_order_acq_rel) &
	    TINI_GROUP_SLEEPER)
		tini_futex->wake((_Atomic uint32_t *)others, INT32_MAX);
}

/* The newest entry of our own deque is of this group, or was spawned in a stolen task of it. */
static inline bool newest_fits(tini_worker *worker, const tine_group *group)
{
	int64_t bottom = tini_deque_bottom(&worker->deque);
	tini_entry *entry = tini_deque_at(&worker->deque, bottom - 1); /* we have written it */

	return bottom > worker->deque.top_seen &&
	       (atomic_load_explicit(&entry->group, memory_order_relaxed) == group ||
		atomic_load_explicit(&entry->root, memory_order_relaxed) == group);
}

/* One above `base` is of this very group. */
static bool next_is_of(tini_worker *worker, const tine_group *group, int64_t base)
{
	int64_t bottom = tini_deque_bottom(&worker->deque);

	return bottom > base &&
	       atomic_load_explicit(&tini_deque_at(&worker->deque, bottom - 1)->group,
				    memory_order_relaxed) == group;
}

/* The group is told once for all that were stolen with the first. */
void tini_run_stolen(tini_worker *worker, const tini_task *first, int64_t base)
{
	tine_group *root = worker->root, *group = first->group, *before = enter(worker, group);
	tini_task task = *first;
	uint32_t ended = 0;

	worker->root = group;
	do {
		task.fn(task.arg);
		if (worker->is_helper)
			leave_stray_child(worker);
		ended++;
	} while (next_is_of(worker, group, base) && tini_deque_pop(&worker->deque, &task));
	enter(worker, before);
	worker->root = root;
	tini_group_end(worker, group, ended);
}

/* ---- spawning */

/* Who waits for the stolen task that runs here sleeps: it could help with what this spawns. */
static inline bool waiter_sleeps(const tini_worker *worker)
{
	return worker->root && tini_group_has_sleeper(worker->root);
}

/* Some helpers sleep: is one of them to be woken, or somebody who waits? */
static COLD void call_for_help(tini_worker *worker)
{
	uint32_t limit = atomic_load_explicit(&worker->limit, memory_order_relaxed);
	int64_t top = atomic_load_explicit(&worker->deque.top, memory_order_relaxed);

	if (waiter_sleeps(worker))
		tini_futex->wake((_Atomic uint32_t *)tini_group_word(worker->root, 1), 1);
	/* Where there was something before, who searches sees that at least, and calls others. */
	if (limit <= atomic_load(&tini_the_team.helpers)) /* those who search may be others */
		tini_wake_searcher(limit);
	else if (tini_deque_bottom(&worker->deque) - top <= 1 ||
		 atomic_load_explicit(&tini_the_team.searching, memory_order_relaxed) <= 0) {
		/* A change, for the order that it makes: who stops searching after it sees the push. */
		if (atomic_fetch_add(&tini_the_team.searching, 0) <= 0)
			tini_wake_searcher(limit);
	}
}

static inline bool group_push(tini_worker *worker, tine_group *group, void (*fn)(void *arg),
			      void *arg)
{
	tini_group_add(worker, group);
	if (!tini_deque_push(&worker->deque, &(tini_task){fn, arg, group, worker->root})) {
		tini_group_end(worker, group, 1);
		return false;
	}
	/* Relaxed: see idle.c. */
	if (atomic_load_explicit(&tini_the_team.asleep, memory_order_relaxed) != 0 ||
	    waiter_sleeps(worker))
		call_for_help(worker);
	return true;
}

bool tini_group_push(tini_worker *worker, tine_group *group, void (*fn)(void *arg), void *arg)
{
	return group_push(worker, group, fn, arg);
}

static inline uint64_t stamp_here(void)
{
	return 1 + (uint64_t)atomic_load_explicit(&tini_the_team.generation, memory_order_relaxed);
}

/* The group's tasks, if any, were spawned before this process was forked. */
static COLD int forked_away(tine_group *group, const char *call)
{
	*group = (tine_group){{0}};
	return TINI_FAIL(TINE_ESTATE,
			 "%s: the tasks of this group were spawned before this process was forked: "
			 "they are the parent's (or the group was not zeros at first)",
			 call);
}

static void run_at_once(tini_worker *worker, tine_group *group, void (*fn)(void *arg), void *arg)
{
	tine_group *before = enter(worker, group);

	fn(arg);
	enter(worker, before);
}

/* The group, the thread or their number is new here. */
static COLD int spawn_first(tine_group *group, void (*fn)(void *arg), void *arg)
{
	if (!group || !fn)
		return TINI_FAIL(TINE_EINVAL, "tine_spawn: %s is NULL", group ? "fn" : "group");
	_Atomic uint64_t *stamp = tini_group_word(group, 2);
	uint64_t here = stamp_here(), before = atomic_load_explicit(stamp, memory_order_relaxed);
	if (before != 0 && before != here && tini_group_is_open(group))
		return forked_away(group, "tine_spawn");
	atomic_store_explicit(stamp, here, memory_order_relaxed); /* all store the same */
	int threads = tine_num_threads();
	tini_worker *worker = tini_worker_get();
	if (worker) {
		tini_team_grow((uint32_t)threads - 1);
		atomic_store_explicit(&worker->limit, (uint32_t)threads, memory_order_relaxed);
		worker->ready_for = threads;
	}
	if (!worker)
		fn(arg);
	else if (threads == 1 || !group_push(worker, group, fn, arg))
		run_at_once(worker, group, fn, arg);
	return 0;
}

int tine_spawn(tine_group *group, void (*fn)(void *arg), void *arg)
{
	tini_worker *worker = tini_worker_here;

	if (!group || !fn || !worker || tini_threads_now() != worker->ready_for ||
	    atomic_load_explicit(tini_group_word(group, 2), memory_order_relaxed) != stamp_here())
		return spawn_first(group, fn, arg);
	if (worker->ready_for == 1 || !group_push(worker, group, fn, arg))
		run_at_once(worker, group, fn, arg);
	return 0;
}

/* ---- waiting */

static bool steal_for(tini_worker *worker, const tine_group *group)
{
	uint32_t size = tini_team_size(), from = worker->seed++;
	tini_task task;

	for (uint32_t i = 0; i < size; i++) {
		tini_worker *victim = tini_team_at((from + i) % size);

		if (victim && tini_deque_steal(&victim->deque, group, &task)) {
			tini_run_stolen(worker, &task, tini_deque_bottom(&worker->deque));
			return true;
		}
	}
	return false;
}

/* Run what is on top of our own deque, if it is for the group; false: it was not. */
static inline bool run_own(tini_worker *worker, const tine_group *group)
{
	tini_task task;

	if (!newest_fits(worker, group) || !tini_deque_pop(&worker->deque, &task))
		return false;
	run_popped(worker, &task);
	return true;
}

/* The same where something else lies on top of it, as far as some entries down. */
static bool run_buried(tini_worker *worker, const tine_group *group)
{
	enum { DEEP = 64 };
	tini_task aside[DEEP], task;
	bool found = false;
	int n = 0;

	while (n < DEEP && !found && tini_deque_pop(&worker->deque, &task)) {
		found = tini_task_fits(&task, group);
		if (!found)
			aside[n++] = task;
	}
	bool hidden = n > 0;
	while (n > 0)
		tini_deque_push(&worker->deque, &aside[--n]); /* where there was room before */
	if (hidden && atomic_load(&tini_the_team.asleep) != 0)
		call_for_help(worker); /* who has just looked has not seen them */
	if (found)
		run_popped(worker, &task);
	return found;
}

/* Run something that brings the group's end nearer; false: there is nothing. */
static bool run_one(tini_worker *worker, const tine_group *group)
{
	return run_own(worker, group) || run_buried(worker, group) || steal_for(worker, group);
}

/* This thread of the team, or of the program, does something, or will do what it has in hand. */
static bool works(tini_worker *worker)
{
	if (atomic_load(&worker->napping))
		return false;
	if (worker->is_helper)
		return atomic_load(&worker->mail) == TINI_AWAY;
	return atomic_load(&worker->used) &&
	       (atomic_load(&worker->group) || atomic_load(&worker->level) > 0 ||
		tini_deque_length(&worker->deque) > 0);
}

static bool nobody_else_works(const tini_worker *worker)
{
	uint32_t size = tini_team_size();

	for (uint32_t i = 0; i < size; i++) {
		tini_worker *other = tini_team_at(i);

		if (other && other != worker && works(other))
			return false;
	}
	return true;
}

static bool run_any_of_mine(tini_worker *worker)
{
	tini_task task;

	if (!nobody_else_works(worker) || !tini_deque_pop(&worker->deque, &task))
		return false;
	run_popped(worker, &task);
	return true;
}

/* Spin for a while where that may pay; true: the group has ended, or something was run. */
static bool spin_for(tini_worker *worker, const tine_group *group)
{
	tini_spin spin = {0};
	bool allowed = tini_spin_allowed(worker), paid;

	do {
		paid = !tini_group_is_open(group) ||
		       (tini_spin_looks(&spin) && run_one(worker, group));
	} while (!paid && allowed && tini_spin_once(&spin));
	tini_spin_scored(worker, paid);
	return paid;
}

/* Until somebody ends tasks of the group, or has something to help with, but no longer than that:
 * the owner's own steps wake nobody. */
static void nap(tine_group *group, int64_t ns)
{
	_Atomic uint64_t *word = tini_group_word(group, 1);
	uint64_t seen = atomic_fetch_or(word, TINI_GROUP_SLEEPER) | TINI_GROUP_SLEEPER;

	if (tini_group_is_open(group))
		tini_futex->wait((_Atomic uint32_t *)word, (uint32_t)seen, tini_clock_now() + ns);
	atomic_fetch_and(word, ~(uint64_t)TINI_GROUP_SLEEPER); /* another sleeper sets it again */
}

void tini_group_join(tini_worker *worker, tine_group *group)
{
	uint64_t here = stamp_here();
	int64_t ns = NAP_NS;

	/* Unless a task that was run here has forked: in the child nobody would end the others. */
	while (tini_group_is_open(group) && stamp_here() == here) {
		if (run_one(worker, group))
			continue;
		if (spin_for(worker, group)) {
			ns = NAP_NS;
			continue;
		}
		atomic_store(&worker->napping, true);
		nap(group, ns);
		atomic_store(&worker->napping, false);
		if (ns > NAP_NS && run_any_of_mine(worker))
			continue;
		ns = ns < NAP_MAX_NS ? ns * 2 : NAP_MAX_NS;
	}
}

/* Where it is not the owner who waits, or others have taken tasks of the group. */
static COLD int wait_long(tini_worker *worker, tine_group *group)
{
	if (!group)
		return TINI_FAIL(TINE_EINVAL, "tine_group_wait: group is NULL");
	if (worker && atomic_load(&worker->group) == group)
		return TINI_FAIL(TINE_EDEADLOCK,
				 "tine_group_wait: called by a task of the group, which would wait "
				 "for itself");
	if (!tini_group_is_open(group))
		return 0;
	if (atomic_load(tini_group_word(group, 2)) != stamp_here())
		return forked_away(group, "tine_group_wait");
	if (!worker)
		worker = tini_worker_get();
	while (!worker && tini_group_is_open(group)) /* others run its tasks */
		nap(group, NAP_NS);
	if (!worker)
		return 0;
	tini_group_join(worker, group);
	return tini_group_is_open(group) ? forked_away(group, "tine_group_wait") : 0;
}

int tine_group_wait(tine_group *group)
{
	tini_worker *worker = tini_worker_here;

	if (!group || !worker ||
	    atomic_load_explicit(&worker->group, memory_order_relaxed) == group ||
	    !tini_group_is_mine(worker, group) ||
	    atomic_load_explicit(tini_group_word(group, 2), memory_order_relaxed) != stamp_here())
		return wait_long(worker, group);
	do {
		if (!tini_group_is_open_here(group))
			return 0; /* nobody has stolen from us: the usual case */
	} while (run_own(worker, group));
	return wait_long(worker, group);
}
