/* SPDX-License-Identifier: MIT */
/*
 * What a helper does between two pieces of work, and how it is called.
 *
 * Nobody sleeps while there is something to take: who is about to sleep says so in `asleep` and
 * then looks at all deques once more; who pushes looks at `asleep` afterwards.  The push is no
 * sequentially consistent step, for it is the most frequent of all: it may be seen too late by one
 * who has just looked, so that the first sleep is a short one, after which the helper looks again.
 * While somebody searches nobody is woken; the last who stops looks once more.  Modelled in
 * tests/model/idle.pml.
 *
 * Spinning is tried where it has paid: each success is a point, each failure costs four, and below
 * zero nothing is tried but every sleep gives a point back.  Nobody spins while more threads are
 * awake than there are CPUs.
 */
#include "base/clock.h"
#include "base/futex.h"
#include "base/relax.h"
#include "base/threads.h"
#include "loop/group.h"
#include "loop/team.h"

enum {
	SPIN_NS = 30000,
	SPIN_TURNS = 32, /* between two looks at the clock */
	SCORE_MAX = 16,
	SCORE_MIN = -64,
	LOSS = 4,
	SHORT_NS = 1000000,
	BATCH_MAX = 32, /* tasks stolen at once */
};

/* ---- spinning */

bool tini_spin_allowed(const tini_worker *worker)
{
	const tini_team *team = &tini_the_team;
	/* Figures that change all the time: they pair with nothing. */
	uint32_t helpers = atomic_load_explicit(&team->helpers, memory_order_relaxed);
	uint32_t asleep = atomic_load_explicit(&team->asleep, memory_order_relaxed);

	return worker->score >= 0 &&
	       helpers < asleep + atomic_load_explicit(&team->cpus, memory_order_relaxed);
}

bool tini_spin_once(tini_spin *spin)
{
	tini_relax();
	if (++spin->turns % SPIN_TURNS != 0)
		return true;
	int64_t now = tini_clock_now();
	if (spin->end == 0)
		spin->end = now + SPIN_NS;
	return now < spin->end;
}

void tini_spin_scored(tini_worker *worker, bool paid)
{
	int32_t score = worker->score;

	if (paid)
		worker->score = score < SCORE_MAX ? score + 1 : score;
	else if (score < 0) /* nothing was tried */
		worker->score = score + 1;
	else
		worker->score = score - LOSS;
	if (worker->score < SCORE_MIN)
		worker->score = SCORE_MIN;
}

/* ---- mail */

static bool change_mail(tini_worker *worker, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong(&worker->mail, &from, to);
}

static void ring(tini_worker *worker)
{
	tini_futex->wake((_Atomic uint32_t *)&worker->mail, 1);
}

static uint32_t helpers_below(uint32_t limit)
{
	uint32_t helpers = atomic_load_explicit(&tini_the_team.helpers, memory_order_relaxed);

	return limit - 1 < helpers ? limit - 1 : helpers; /* the caller is one of the `limit` */
}

static int invite_state(tini_region *region, uint32_t count, uint32_t first, tini_mail state)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t number = (first + i) % count;
		tini_worker *helper = atomic_load_explicit(&tini_the_team.helper[number],
							   memory_order_relaxed); /* once set */

		tini_prefetch_to_write(&helper->mail);
		if (atomic_load_explicit(&helper->mail, memory_order_relaxed) == state &&
		    change_mail(helper, state, (uint64_t)(uintptr_t)region))
			return (int)number;
	}
	return -1;
}

int tini_invite(tini_region *region, tini_worker *inviter, uint32_t limit, bool wake)
{
	uint32_t count = limit > 1 ? helpers_below(limit) : 0;
	uint32_t first = inviter->is_helper ? inviter->number + 1 : 0;

	if (count == 0)
		return -1;
	tini_group_add(inviter, &region->group); /* before it can come and go */
	int number = invite_state(region, count, first, TINI_SEARCHING);
	if (number < 0 && wake && atomic_load(&tini_the_team.asleep) > 0) {
		number = invite_state(region, count, first, TINI_ASLEEP);
		if (number >= 0) {
			atomic_fetch_sub(&tini_the_team.asleep, 1);
			atomic_fetch_add(&tini_the_team.searching, 1);
			ring(atomic_load(&tini_the_team.helper[number]));
		}
	}
	if (number < 0)
		tini_group_end(inviter, &region->group, 1);
	else /* a figure, and so it may come late */
		atomic_fetch_add_explicit(&region->inside, 1, memory_order_relaxed);
	return number;
}

void tini_invite_soon(void)
{
	tini_worker *helper = atomic_load_explicit(&tini_the_team.helper[0], memory_order_relaxed);

	if (helper)
		tini_prefetch_to_write(&helper->mail);
}

void tini_uninvite(tini_region *region, tini_worker *inviter, int number)
{
	if (number < 0 || !change_mail(atomic_load(&tini_the_team.helper[number]),
				       (uint64_t)(uintptr_t)region, TINI_SEARCHING))
		return;
	atomic_fetch_sub_explicit(&region->inside, 1, memory_order_relaxed);
	tini_group_end(inviter, &region->group, 1);
}

void tini_wake_searcher(uint32_t limit)
{
	uint32_t count = limit > 1 ? helpers_below(limit) : 0;

	for (uint32_t i = 0; i < count; i++) {
		tini_worker *helper = atomic_load(&tini_the_team.helper[i]);

		if (atomic_load_explicit(&helper->mail, memory_order_relaxed) == TINI_ASLEEP &&
		    change_mail(helper, TINI_ASLEEP, TINI_SEARCHING)) {
			atomic_fetch_sub(&tini_the_team.asleep, 1);
			atomic_fetch_add(&tini_the_team.searching, 1);
			ring(helper);
			return;
		}
	}
}

/* ---- looking for work */

static bool may_take_from(const tini_worker *worker, tini_worker *victim)
{
	return worker->number + 1 < atomic_load_explicit(&victim->limit, memory_order_relaxed) &&
	       tini_deque_length(&victim->deque) > 0;
}

/* Somebody's deque that has something for this helper; NULL: none is seen. */
static tini_worker *find_victim(tini_worker *worker)
{
	uint32_t size = tini_team_size(), from = worker->seed++;

	for (uint32_t i = 0; i < size; i++) {
		tini_worker *victim = tini_team_at((from + i) % size);

		if (victim && victim != worker && may_take_from(worker, victim))
			return victim;
	}
	return NULL;
}

/* It is busy now.  The last one that stops looking has another look in its place, also at what it
 * has in its own deque. */
static void stop_searching(tini_worker *worker)
{
	if (atomic_fetch_sub(&tini_the_team.searching, 1) > 1 ||
	    atomic_load(&tini_the_team.asleep) == 0)
		return;
	tini_worker *victim = tini_deque_length(&worker->deque) > 0 ? worker : find_victim(worker);
	if (victim)
		tini_wake_searcher(atomic_load_explicit(&victim->limit, memory_order_relaxed));
}

/* Of a flat group more than one at a time: what is left in our deque can be stolen from there, also by
 * who waits for this group, and by nobody who waits for another. */
static void steal_more(tini_worker *worker, tini_deque *deque, const tine_group *group)
{
	int64_t more = tini_deque_length(deque) / 2;
	tini_task task;

	for (int64_t i = 0; i < more && i < BATCH_MAX; i++)
		if (!tini_deque_steal(deque, group, &task) ||
		    !tini_deque_push(&worker->deque, &task))
			break; /* our own deque was empty: there is room */
}

/* And what was stolen with it, or is left of what it has spawned: nobody sleeps on tasks. */
static void run_all(tini_worker *worker, const tini_task *first)
{
	tini_task task = *first;

	do {
		tini_run_stolen(worker, &task, 0);
	} while (tini_deque_pop(&worker->deque, &task));
}

static bool steal_some(tini_worker *worker, tini_worker *victim)
{
	tini_task task;

	if (!change_mail(worker, TINI_SEARCHING, TINI_AWAY))
		return false; /* a region has come in between */
	if (!tini_deque_steal(&victim->deque, NULL, &task)) {
		atomic_store(&worker->mail, TINI_SEARCHING);
		return false;
	}
	/* What it spawns is under the limit of who has spawned it. */
	uint32_t limit = atomic_load_explicit(&victim->limit, memory_order_relaxed);
	atomic_store_explicit(&worker->limit, limit, memory_order_relaxed);
	tini_threads_limit_here((int)limit);
	steal_more(worker, &victim->deque, task.group);
	stop_searching(worker);
	run_all(worker, &task);
	return true;
}

/* Take what has come by mail, or, where it looks at deques, what is found; false: nothing. */
static bool look_once(tini_worker *worker, bool at_deques)
{
	tini_prefetch_to_write(&worker->mail); /* so that accepting costs no second transfer */
	uint64_t mail = atomic_load_explicit(&worker->mail, memory_order_acquire);

	if (mail >= TINI_MAIL_REGION) {
		if (!change_mail(worker, mail, TINI_AWAY))
			return false; /* taken back */
		stop_searching(worker);
		tini_task task = tini_region_task((tini_region *)(uintptr_t)mail);
		run_all(worker, &task);
		return true;
	}
	tini_worker *victim = at_deques ? find_victim(worker) : NULL;
	return victim && steal_some(worker, victim);
}

static bool spin_for_work(tini_worker *worker)
{
	tini_spin spin = {0};
	bool allowed = tini_spin_allowed(worker), found;

	do {
		found = look_once(worker, tini_spin_looks(&spin));
	} while (!found && allowed && tini_spin_once(&spin));
	tini_spin_scored(worker, found);
	return found;
}

/* Until somebody changes our mail; true: somebody has. */
static bool sleep_until(tini_worker *worker, int64_t deadline)
{
	while (atomic_load(&worker->mail) == TINI_ASLEEP) {
		if (tini_clock_now() >= deadline)
			return false;
		tini_futex->wait((_Atomic uint32_t *)&worker->mail, TINI_ASLEEP, deadline);
	}
	return true;
}

static void sleep_well(tini_worker *worker)
{
	atomic_fetch_add(&tini_the_team.asleep, 1);
	if (!change_mail(worker, TINI_SEARCHING, TINI_ASLEEP)) {
		atomic_fetch_sub(&tini_the_team.asleep, 1);
		return;
	}
	atomic_fetch_sub(&tini_the_team.searching, 1);
	for (int64_t deadline = tini_clock_now() + SHORT_NS;; deadline = TINI_NEVER) {
		if (find_victim(worker)) {
			if (change_mail(worker, TINI_ASLEEP, TINI_SEARCHING)) {
				atomic_fetch_sub(&tini_the_team.asleep, 1);
				atomic_fetch_add(&tini_the_team.searching, 1);
			}
			return;
		}
		if (sleep_until(worker, deadline))
			return;
	}
}

_Noreturn void tini_helper_loop(tini_worker *worker)
{
	for (;;) {
		atomic_fetch_add(&tini_the_team.searching, 1);
		atomic_store(&worker->mail, TINI_SEARCHING);
		while (!spin_for_work(worker))
			sleep_well(worker);
	}
}
