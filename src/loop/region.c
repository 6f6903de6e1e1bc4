/* SPDX-License-Identifier: MIT */
/*
 * Running a region.  The caller invites helpers, at most one of them asleep; who comes invites on,
 * so that many are there after a few steps and nobody pays for more than one wake-up.  Helpers that
 * are busy find an entry in a deque when they are done.  At the end the caller takes back what was
 * not accepted: it never waits for a thread that has not begun.
 */
#include "loop/region.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/relax.h"
#include "base/threads.h"
#include "loop/group.h"
#include "loop/team.h"
#include "process/child.h"

#include <unistd.h>

enum { INVITED = 2 }; /* invitations of one thread at a time */

/* One thread's part in a region. */
typedef struct part {
	tini_region *region;
	tini_worker *worker;
	uint32_t number; /* of its share */
	uint32_t take;   /* AUTO: iterations of the next call */
	int64_t now;     /* AUTO: clock after the last call */
	int64_t spent, done;
	int invited[INVITED]; /* helpers, or -1 */
	bool offered;         /* an entry of ours may be in the deque */
	bool is_caller;
} part;

static uint64_t range_make(uint32_t low, uint32_t high)
{
	return (uint64_t)low << 32 | high;
}
static uint32_t range_low(uint64_t range)
{
	return (uint32_t)(range >> 32);
}
static uint32_t range_high(uint64_t range)
{
	return (uint32_t)range;
}

/* ---- taking iterations */

static uint32_t max_of(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* How many of the `left` iterations the next call gets. */
static uint32_t call_size(const part *p, uint32_t left)
{
	const tini_region *region = p->region;
	uint32_t grain = max_of(region->grain, 1), size = grain;

	switch ((tine_schedule)region->schedule) {
	case TINE_SCHEDULE_STATIC:
		size = region->grain ? grain : left;
		break;
	case TINE_SCHEDULE_DYNAMIC:
		break;
	case TINE_SCHEDULE_GUIDED:
		size = max_of(grain, left / 4);
		break;
	case TINE_SCHEDULE_AUTO: /* shorter towards the end, but not too short for a look at the clock */
		size = max_of(left / 4, p->take / 16);
		size = max_of(grain, size < p->take ? size : p->take);
		break;
	}
	return size < left ? size : left;
}

static bool take_own(part *p, uint32_t *low, uint32_t *high)
{
	tini_share *share = &p->region->share[p->region->in_order ? 0 : p->number];
	uint64_t range = atomic_load_explicit(&share->range, memory_order_relaxed);

	do {
		*low = range_low(range);
		if (*low >= range_high(range))
			return false;
		*high = *low + call_size(p, range_high(range) - *low);
		/* Relaxed: the range says all; what the body reads was there before the region was. */
	} while (!atomic_compare_exchange_weak_explicit(
		&share->range, &range, range_make(*high, range_high(range)), memory_order_relaxed,
		memory_order_relaxed));
	return true;
}

/* Where to cut what another has left: in the middle, between two calls; low: take all. */
static uint32_t cut_of(const tini_region *region, const tini_share *share, uint64_t range)
{
	uint32_t low = range_low(range), high = range_high(range);
	uint32_t grain = region->grain ? region->grain : 1;
	uint32_t calls = (high - low - 1) / grain + 1;

	if (region->schedule == TINE_SCHEDULE_STATIC) /* one thread does a share that is begun */
		return low == atomic_load_explicit(&share->first, memory_order_relaxed) ? low
											: high;
	return low + calls / 2 * grain;
}

/* Take what another has left, or half of it: its first call to do at once - so that each taking
 * is a step forward - and the rest as our own share, which is empty and which nobody changes but
 * us. */
static bool take_from(part *p, uint32_t number, uint32_t *low, uint32_t *high)
{
	tini_region *region = p->region;
	tini_share *share = &region->share[number], *own = &region->share[p->number];
	uint64_t range = atomic_load_explicit(&share->range, memory_order_relaxed);

	while (range_low(range) < range_high(range)) {
		uint32_t cut = cut_of(region, share, range);

		if (cut == range_high(range))
			return false;
		if (!atomic_compare_exchange_weak_explicit(
			    &share->range, &range, range_make(range_low(range), cut),
			    memory_order_relaxed, memory_order_relaxed))
			continue;
		*low = cut;
		*high = cut + call_size(p, range_high(range) - cut);
		atomic_store_explicit(&own->first, cut, memory_order_relaxed);
		atomic_store_explicit(&own->range, range_make(*high, range_high(range)),
				      memory_order_relaxed);
		return true;
	}
	return false;
}

/* From the neighbours first: what they have left lies beside ours. */
static bool take_from_others(part *p, uint32_t *low, uint32_t *high)
{
	uint32_t shares = p->region->shares;

	for (uint32_t i = 1; i < shares; i++)
		if (take_from(p, (p->number + i) % shares, low, high))
			return true;
	return false;
}

/* ---- doing them */

static void adapt(part *p, uint32_t iterations, int64_t took)
{
	if (took < TINI_TARGET_NS / 2 && iterations >= p->take)
		p->take = p->take > UINT32_MAX / 2 ? UINT32_MAX : p->take * 2;
	else if (took > INT64_C(2) * TINI_TARGET_NS)
		p->take = max_of(1, (uint32_t)((double)iterations * TINI_TARGET_NS / (double)took));
}

/* Several regions are open and this one has more than its share of threads: one should leave, and
 * will find another. */
static bool is_crowded(const tini_region *region)
{
	uint32_t open = atomic_load_explicit(&tini_the_team.open, memory_order_relaxed);

	if (open <= 1 || region->schedule == TINE_SCHEDULE_STATIC) /* whose shares stay with one */
		return false;
	uint32_t helpers = atomic_load_explicit(&tini_the_team.helpers, memory_order_relaxed);
	uint32_t all = open + (helpers < region->limit ? helpers : region->limit - 1);
	return atomic_load_explicit(&region->inside, memory_order_relaxed) >
	       (all + open - 1) / open;
}

/* This is the child of a fork() in the body. */
static bool has_forked(const tini_region *region)
{
	return atomic_load_explicit(&tini_the_team.generation, memory_order_relaxed) !=
	       region->generation;
}

typedef enum outcome { ALL_DONE, LEFT_EARLY, FORKED } outcome;

/* Until nothing is left to take. */
static outcome do_iterations(part *p)
{
	tini_region *region = p->region;
	bool is_timed = region->schedule == TINE_SCHEDULE_AUTO,
	     is_known = region->schedule == TINE_SCHEDULE_STATIC; /* nothing is learnt */
	outcome end = ALL_DONE;
	uint32_t low, high;

	p->now = is_known ? 0 : tini_clock_now();
	int64_t begun = p->now;
	while (end == ALL_DONE && (take_own(p, &low, &high) || take_from_others(p, &low, &high))) {
		region->body(region->begin + low, region->begin + high, region->context);
		p->done += high - low;
		if (has_forked(region))
			return FORKED;
		if (is_timed) {
			int64_t now = tini_clock_now();

			adapt(p, high - low, now - p->now);
			p->now = now;
		}
		if (!p->is_caller && is_crowded(region))
			end = LEFT_EARLY; /* the caller does what is left, if nobody else */
	}
	p->spent += (is_timed || is_known ? p->now : tini_clock_now()) - begun;
	return end;
}

/* ---- company */

static bool is_left_in(const tini_share *share)
{
	/* Relaxed: for the caller the helpers' leaving orders it. */
	uint64_t range = atomic_load_explicit(&share->range, memory_order_relaxed);

	return range_low(range) < range_high(range);
}

static bool is_left(const tini_region *region)
{
	for (uint32_t i = 0; i < region->shares; i++)
		if (is_left_in(&region->share[i]))
			return true;
	return false;
}

static void invite(part *p, bool wake)
{
	tini_region *region = p->region;

	for (int i = 0; i < INVITED; i++) {
		p->invited[i] = -1;
		if (atomic_load_explicit(&region->inside, memory_order_relaxed) < region->limit)
			p->invited[i] = tini_invite(region, p->worker, region->limit, wake);
		wake = false; /* one at most */
	}
}

static void help_invited(void *arg);
static void help_found(void *arg);

tini_task tini_region_task(tini_region *region)
{
	return (tini_task){.fn = help_invited, .arg = region, .group = &region->group};
}

/* An entry for whoever has nothing to do later. */
static void offer(part *p)
{
	tini_region *region = p->region;

	p->offered = atomic_load_explicit(&region->inside, memory_order_relaxed) < region->limit &&
		     tini_group_push(p->worker, &region->group, help_found, region);
}

/* Invitations that nobody has accepted by now are not needed any more. */
static void uninvite(part *p)
{
	for (int i = 0; i < INVITED; i++) {
		tini_uninvite(p->region, p->worker, p->invited[i]);
		p->invited[i] = -1;
	}
}

/* Nor is the entry. */
static void take_back_offer(part *p)
{
	tini_deque *deque = &p->worker->deque;
	tini_entry *newest = tini_deque_at(deque, tini_deque_bottom(deque) - 1);
	tini_task task;

	if (p->offered && atomic_load_explicit(&newest->arg, memory_order_relaxed) == p->region &&
	    atomic_load_explicit(&newest->fn, memory_order_relaxed) == help_found &&
	    tini_deque_pop(deque, &task))
		tini_group_end(p->worker, &p->region->group, 1);
	p->offered = false;
}

/* The helper's usual share, so that it finds its own data again in the next loop, or any other. */
static bool find_share(part *p)
{
	tini_region *region = p->region;

	for (uint32_t i = 0; i < region->shares; i++) {
		p->number = (p->worker->number + 1 + i) % region->shares;
		tini_share *share = &region->share[p->number];

		/* Acquire: pairs with the release of who had it before, and left `first` there. */
		if (atomic_load_explicit(&share->taken, memory_order_relaxed) == 0 &&
		    atomic_exchange_explicit(&share->taken, 1, memory_order_acquire) == 0)
			return true;
	}
	return false;
}

/* Relaxed: the end of the group's task publishes them. */
static void add_figures(const part *p)
{
	atomic_fetch_add_explicit(&p->region->spent, p->spent, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->region->done, p->done, memory_order_relaxed);
}

static void help(part *p)
{
	tini_region *region = p->region;
	tini_worker *worker = p->worker;

	if (!is_left_in(&region->share[p->number]) && !is_left(region))
		return; /* and call nobody else for it */
	uint32_t limit = atomic_load_explicit(&worker->limit, memory_order_relaxed);
	int threads = tini_threads_limit_here((int)region->limit);
	int openmp = tini_child_swap_thread_limit(1); /* OpenMP inside the body has this core */
	atomic_store_explicit(&worker->limit, region->limit, memory_order_relaxed);
	invite(p, true);
	offer(p);
	outcome end = do_iterations(p);
	if (end == FORKED && worker->is_helper)
		_exit(0);      /* a child that the body has forked: the loop is its parent's */
	if (end == LEFT_EARLY) /* a figure */
		atomic_fetch_sub_explicit(&region->inside, 1, memory_order_relaxed);
	if (end != FORKED) {
		take_back_offer(p);
		uninvite(p);
		if (region->schedule != TINE_SCHEDULE_STATIC)
			add_figures(p);
	}
	atomic_store_explicit(&worker->limit, limit, memory_order_relaxed);
	tini_threads_limit_here(threads);
	if (openmp > 1 && !worker->is_helper) /* a thread of the program, which waits for tasks */
		tini_child_limit_thread(openmp);
}

/* Who has invited has counted us already. */
static void help_invited(void *arg)
{
	tini_region *region = arg;
	part p = {.region = region, .worker = tini_worker_here};

	/* All lines at once: to look at, to take, and for the end. */
	tini_prefetch_to_write(&region->share[(p.worker->number + 1) % TINI_SHARES_MAX]);
	tini_prefetch_to_write(&region->group);
	p.take = region->take;
	if (find_share(&p)) {
		help(&p);
		atomic_store_explicit(&region->share[p.number].taken, 0, memory_order_release);
	} else {
		atomic_fetch_sub_explicit(&region->inside, 1, memory_order_relaxed);
	}
}

static void help_found(void *arg)
{
	tini_region *region = arg;

	if (atomic_fetch_add_explicit(&region->inside, 1, memory_order_relaxed) < region->limit)
		help_invited(region);
	else
		atomic_fetch_sub_explicit(&region->inside, 1, memory_order_relaxed);
}

/* ---- the caller */

/* Share k begins as part k of all calls, or of all iterations where these have no size of their
 * own. */
static void set_shares(tini_region *region, uint32_t count)
{
	uint32_t grain =
		region->schedule == TINE_SCHEDULE_STATIC || region->grain == 0 ? 1 : region->grain;
	uint32_t calls = (count - 1) / grain + 1;

	for (uint32_t k = 0; k < region->shares; k++) {
		tini_share *share = &region->share[k];
		tine_range part = region->in_order ? (tine_range){0, k == 0 ? calls : 0}
						   : tine_distribute(calls, region->shares, k);
		uint64_t low = (uint64_t)part.begin * grain, high = (uint64_t)part.end * grain;

		atomic_store_explicit(&share->first, (uint32_t)low, memory_order_relaxed);
		atomic_store_explicit(&share->taken, k == 0, memory_order_relaxed);
		atomic_store_explicit(
			&share->range,
			range_make((uint32_t)low, high < count ? (uint32_t)high : count),
			memory_order_relaxed);
	}
}

/* Only its own thread changes it. */
static uint32_t level_of(const tini_worker *worker)
{
	return atomic_load_explicit(&worker->level, memory_order_relaxed);
}

static void set_level(tini_worker *worker, uint32_t level)
{
	atomic_store_explicit(&worker->level, level, memory_order_relaxed);
}

static tini_region *region_open(tini_worker *worker, const tini_region_plan *plan)
{
	tini_region *region = &worker->region[level_of(worker)];
	uint32_t grain = plan->grain && plan->schedule != TINE_SCHEDULE_STATIC ? plan->grain : 1;
	uint32_t calls = (plan->count - 1) / grain + 1;
	uint32_t shares = plan->threads < TINI_SHARES_MAX ? plan->threads : TINI_SHARES_MAX;

	region->body = plan->body;
	region->context = plan->context;
	region->begin = plan->begin;
	region->grain = plan->grain;
	region->take = plan->take ? plan->take : 1;
	set_level(worker, level_of(worker) + 1);
	region->schedule = (uint8_t)plan->schedule;
	region->shares = (uint16_t)(shares < calls ? shares : calls);
	region->in_order = plan->in_order;
	region->limit = plan->threads;
	region->generation = atomic_load_explicit(&tini_the_team.generation, memory_order_relaxed);
	region->group = (tine_group){0};
	atomic_store_explicit(&region->inside, 1,
			      memory_order_relaxed); /* an invitation publishes it */
	atomic_store_explicit(&region->spent, 0, memory_order_relaxed);
	atomic_store_explicit(&region->done, 0, memory_order_relaxed);
	set_shares(region, plan->count);
	return region;
}

static void region_close(tini_worker *worker)
{
	set_level(worker, level_of(worker) - 1);
	if (level_of(worker) == 0)
		atomic_fetch_sub_explicit(&tini_the_team.open, 1, memory_order_relaxed);
}

static int forked_off(tini_worker *worker, uint32_t level)
{
	set_level(worker, level); /* `open` was set to 0 by the fork */
	return TINI_FAIL(TINE_ESTATE,
			 "tine_for: this process was forked inside the loop's body: the rest of "
			 "the loop is its parent's");
}

/* Until nobody else is inside or will come.  Who was invited is mostly about to end too: asking
 * whether it has accepted would take the line of its mail from it. */
static void wait_for_helpers(part *p)
{
	enum { TURNS = 40 }; /* a microsecond */
	const tine_group *group = &p->region->group;

	take_back_offer(p);
	for (int turn = 0; turn < TURNS && tini_group_is_open_here(group); turn++)
		tini_relax();
	if (!tini_group_is_open_here(group))
		return;
	uninvite(p);
	tini_group_join(p->worker, &p->region->group);
}

static outcome run_as_caller(part *p, bool wake)
{
	outcome end;

	invite(p, wake);
	offer(p);
	if (level_of(p->worker) == 1)
		atomic_fetch_add_explicit(&tini_the_team.open, 1,
					  memory_order_relaxed); /* a figure */
	while ((end = do_iterations(p)) != FORKED) {
		wait_for_helpers(p);
		/* A helper that left a crowded region may have had something in hand when we looked. */
		if (!is_left(p->region))
			break;
	}
	return end;
}

int tini_region_run(tini_worker *worker, tini_region_plan *plan)
{
	uint32_t level = level_of(worker);
	uint32_t limit = atomic_load_explicit(&worker->limit, memory_order_relaxed);
	/* OpenMP inside the body, that of a BLAS for one, would take the helpers' cores. */
	int openmp = tini_child_swap_thread_limit(1);

	tini_invite_soon();
	tini_region *region = region_open(worker, plan);
	part p = {.region = region, .worker = worker, .take = region->take, .is_caller = true};
	atomic_store_explicit(&worker->limit, plan->threads, memory_order_relaxed);
	outcome end = run_as_caller(&p, plan->wake);
	atomic_store_explicit(&worker->limit, limit, memory_order_relaxed);
	if (openmp > 1)
		tini_child_limit_thread(openmp);
	if (end == FORKED || has_forked(region)) /* in the body, or in what was run while waiting */
		return forked_off(worker, level);
	plan->spent = p.spent + atomic_load_explicit(&region->spent, memory_order_relaxed);
	plan->done = p.done + atomic_load_explicit(&region->done, memory_order_relaxed);
	region_close(worker);
	return 0;
}
