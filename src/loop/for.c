/* SPDX-License-Identifier: MIT */
/*
 * tine_for(): whether a loop is shared, and in what pieces.
 *
 * AUTO shares a loop whose body it does not know, and learns what an iteration takes; from then on
 * a loop that would be over before a helper could come stays with the caller, in two calls.
 */
#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "base/threads.h"
#include "loop/cost.h"
#include "loop/over_pool.h"
#include "loop/region.h"
#include "loop/team.h"

#define HOT_NS 3000.0               /* work that is worth inviting one who searches */
#define COLD_NS 25000.0             /* and one who sleeps */
#define LONG_NS 10000.0             /* of a call, beside which a step on a common line is nothing */
#define COUNT_MAX ((size_t)1 << 31) /* iterations of a region */

static int check(const tine_for_args *args)
{
	if (!args->body)
		return TINI_FAIL(TINE_EINVAL, "tine_for: body is NULL");
	if (args->schedule < TINE_SCHEDULE_AUTO || args->schedule > TINE_SCHEDULE_GUIDED)
		return TINI_FAIL(TINE_EINVAL, "tine_for: .schedule = %d is unknown",
				 (int)args->schedule);
	if (args->threads < 0)
		return TINI_FAIL(TINE_EINVAL, "tine_for: .threads = %d is negative", args->threads);
	return 0;
}

/* Calls of at most `size` iterations for [begin, end) of the range. */
static void run_pieces(const tine_for_args *args, size_t begin, size_t end, size_t size)
{
	for (size_t at = begin; at < end;) {
		size_t next = end - at < size ? end : at + size;

		args->body(args->begin + at, args->begin + next, args->context);
		at = next;
	}
}

/* ---- parts that are no iterations: more than a region can count, or more than it has shares */

typedef struct parts {
	const tine_for_args *args;
	size_t threads; /* STATIC: that many parts; DYNAMIC: one for each call */
} parts;

static void run_part(const parts *p, size_t number)
{
	const tine_for_args *args = p->args;
	size_t count = args->end - args->begin, grain = args->grain ? args->grain : 1;

	if (args->schedule == TINE_SCHEDULE_STATIC) {
		tine_range part = tine_distribute(count, p->threads, number);
		run_pieces(args, part.begin, part.end, args->grain ? args->grain : count);
	} else {
		size_t begin = number * grain;
		run_pieces(args, begin, count - begin < grain ? count : begin + grain, grain);
	}
}

static void run_parts(size_t begin, size_t end, void *context)
{
	for (size_t i = begin; i < end; i++)
		run_part(context, i);
}

static bool needs_parts(const tine_for_args *args, size_t threads)
{
	size_t count = args->end - args->begin;

	return (args->schedule == TINE_SCHEDULE_STATIC &&
		(count > COUNT_MAX || threads > TINI_SHARES_MAX)) ||
	       (args->schedule == TINE_SCHEDULE_DYNAMIC && args->grain > 1 && count > COUNT_MAX);
}

static int run_in_parts(const tine_for_args *args, size_t threads)
{
	size_t count = args->end - args->begin, grain = args->grain ? args->grain : 1;
	parts p = {args, threads};

	return tine_for(0,
			args->schedule == TINE_SCHEDULE_STATIC ? tini_min(threads, count)
							       : (count - 1) / grain + 1,
			run_parts, &p, .schedule = TINE_SCHEDULE_DYNAMIC, .threads = args->threads);
}

/* ---- here */

/* In the caller alone, in the calls that the schedule promises. */
static void run_alone(const tine_for_args *args, size_t threads)
{
	size_t count = args->end - args->begin;
	parts p = {args, threads};

	if (args->schedule == TINE_SCHEDULE_STATIC)
		run_parts(0, tini_min(threads, count), &p);
	else
		run_pieces(args, 0, count,
			   args->schedule != TINE_SCHEDULE_DYNAMIC ? count
			   : args->grain                           ? args->grain
								   : 1);
}

static void learn(const tine_for_args *args, int64_t ns, size_t iterations)
{
	tini_cost_learn((const void *)(uintptr_t)args->body, ns, (int64_t)iterations);
}

/* Do in the caller what should be over soon; returns where it has come.  It looks at the clock after
 * a first eighth, because the body may take longer than it did: then the rest is to be shared. */
static size_t run_here_first(const tine_for_args *args, size_t begin, size_t end)
{
	size_t count = end - begin;
	size_t first = tini_min(tini_max(count / 8, tini_max(args->grain, 1)), count);
	int64_t start = tini_clock_now();

	args->body(begin, begin + first, args->context);
	int64_t took = tini_clock_now() - start;
	if (first == count || (double)took / (double)first * (double)(count - first) >= COLD_NS) {
		learn(args, took, first);
		return begin + first;
	}
	args->body(begin + first, end, args->context);
	learn(args, tini_clock_now() - start, count);
	return end;
}

/* What is known of the body, for the schedules that may choose; false: the loop is not worth
 * sharing. */
static bool estimate(const tine_for_args *args, tini_region_plan *plan)
{
	double cost = tini_cost_of((const void *)(uintptr_t)args->body), all = cost * plan->count;
	bool is_hot = atomic_load_explicit(&tini_the_team.searching, memory_order_relaxed) > 0;

	if (cost < 0)
		return true;
	/* In order, what a program has sorted by length is well balanced, and what costs much late in
	 * the range no worse than elsewhere. */
	plan->in_order = plan->schedule != TINE_SCHEDULE_GUIDED &&
			 cost * (plan->grain ? plan->grain : 1) >= LONG_NS;
	if (plan->schedule != TINE_SCHEDULE_AUTO)
		return true;
	plan->wake = all >= COLD_NS;
	plan->take = all <= TINI_TARGET_NS    ? plan->count
		     : cost >= TINI_TARGET_NS ? 1
					      : (uint32_t)(TINI_TARGET_NS / cost);
	return all >= (is_hot ? HOT_NS : COLD_NS);
}

static int run_shared(const tine_for_args *args, tini_worker *worker, size_t begin, size_t end,
		      uint32_t threads)
{
	size_t count = end - begin;
	tini_region_plan plan = {.body = args->body,
				 .context = args->context,
				 .begin = begin,
				 .count = (uint32_t)count,
				 .grain = (uint32_t)(args->grain < count ? args->grain : count),
				 .threads = threads,
				 .schedule = args->schedule,
				 .wake = true};

	if (plan.schedule == TINE_SCHEDULE_DYNAMIC && plan.grain == 0)
		plan.grain = 1;
	if (plan.schedule != TINE_SCHEDULE_STATIC && !estimate(args, &plan)) {
		plan.begin = run_here_first(args, begin, end);
		if (plan.begin == end)
			return 0;
		plan.count = (uint32_t)(end - plan.begin);
		plan.take = 1;
		plan.wake = true;
	}
	int rc = tini_region_run(worker, &plan);
	if (rc == 0 && plan.schedule != TINE_SCHEDULE_STATIC)
		learn(args, plan.spent, (size_t)plan.done);
	return rc;
}

/* The worker to share with; NULL: there is nobody, or nothing to share. */
static tini_worker *company(const tine_for_args *args, uint32_t threads)
{
	size_t count = args->end - args->begin;

	if (threads < 2 || count < 2 ||
	    (args->grain >= count && args->schedule != TINE_SCHEDULE_STATIC))
		return NULL;
	tini_worker *worker = tini_worker_get();
	if (!worker || atomic_load_explicit(&worker->level, memory_order_relaxed) == TINI_LEVELS)
		return NULL;
	tini_team_retry((uint32_t)tini_min(threads, count) - 1);
	return atomic_load(&tini_the_team.helpers) > 0 ? worker : NULL;
}

static int run_here(const tine_for_args *args)
{
	uint32_t threads = (uint32_t)(args->threads ? args->threads : tine_num_threads());
	tini_worker *worker = company(args, threads);
	int rc = 0;

	if (worker && needs_parts(args, threads))
		return run_in_parts(args, threads);
	if (!worker)
		run_alone(args, threads);
	for (size_t at = args->begin, next; worker && rc == 0 && at < args->end; at = next) {
		next = args->end - at > COUNT_MAX ? at + COUNT_MAX : args->end;
		rc = run_shared(args, worker, at, next, threads);
	}
	return rc;
}

int tine_for_with(const tine_for_args *given)
{
	tine_for_args args;
	int rc = tini_options_copy(&args, sizeof args, given, "tine_for");

	if (rc == 0)
		rc = check(&args);
	if (rc != 0 || args.begin >= args.end)
		return rc;
	if (args.pool)
		return tini_for_over_pool(&args);
	if (args.threads == 0)
		return run_here(&args);
	int before = tini_threads_limit_here(args.threads); /* for what the body calls */
	rc = run_here(&args);
	tini_threads_limit_here(before);
	return rc;
}
