/* SPDX-License-Identifier: MIT */
/*
 * tine_map(): one job of many items.  Shared arguments and results are used where they lie; private
 * ones go through a block of the heap.  Chunks that are not asked for are small, and workers take
 * several at once while they are quick.
 */
#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "heap/heap.h"
#include "pool/check.h"
#include "pool/job.h"
#include "pool/pool.h"
#include "pool/stories.h"

#include <tine/trace.h>

#include <string.h>

enum {
	AUTO_WORDS = 32768,
	PROGRESS_NS = 100 * 1000 * 1000,
	ASK_NS = 2 * 1000 * 1000,
	GRACE_NS = 50 * 1000 * 1000
};
#define WORDS_MAX ((uint64_t)1 << 31) /* ranges of words are told in 32 bits */

typedef struct map_call {
	const tine_map_args *args;
	tini_work work;
	tini_job *job;
	tini_map *map;
	void *staged_results; /* where private results are written meanwhile; or NULL */
	int64_t deadline;
	int ended_by; /* 0, TINE_ECANCELLED or TINE_EDEADLINE: by this call's own limit */
	tine_progress *progress;
	size_t shown;
} map_call;

/* ---- making the job */

static uint64_t chunk_of(const tine_map_args *args)
{
	uint64_t chunk =
		args->chunk ? tini_min(args->chunk, args->count) : args->count / AUTO_WORDS;
	uint64_t least = args->count / WORDS_MAX + 1;

	return chunk > least ? chunk : least;
}

/* Room for what is private. */
static int stage(map_call *call)
{
	const tine_map_args *args = call->args;
	size_t in = args->count * args->arg_size, out = args->count * args->result_size, size;
	bool copy_in =
		in > 0 && !call->work.pool->kind->cooperative && !tini_all_shared(args->args, in);
	bool copy_out = out > 0 && !call->work.pool->kind->cooperative &&
			!tini_all_shared(args->results, out);

	call->map->args = in > 0 ? args->args : NULL;
	call->map->results = out > 0 ? args->results : NULL;
	if (!copy_in && !copy_out)
		return 0;
	if (!tini_add_fits(copy_in ? tini_round_up(in, 64) : 0, copy_out ? out : 0, &size))
		return TINI_FAIL(TINE_ENOMEM,
				 "tine_map: arguments and results of %zu and %zu bytes", in, out);
	unsigned char *block = tini_pool_alloc(size);
	if (!block)
		return TINE_ENOMEM;
	call->job->block = block;
	if (copy_in) {
		memcpy(block, args->args, in);
		call->map->args = block;
	}
	if (copy_out) {
		call->staged_results = block + (copy_in ? tini_round_up(in, 64) : 0);
		call->map->results = call->staged_results;
	}
	return 0;
}

static int make_job(map_call *call)
{
	const tine_map_args *args = call->args;
	tine_pool *pool = call->work.pool;

	tini_jobs_sweep_limbo(pool);
	call->job = tini_job_new(pool, "tine_map");
	if (!call->job)
		return TINE_ENOMEM;
	call->map = tini_map_new(pool, args->count, chunk_of(args));
	atomic_store(&call->job->map, call->map);
	if (!call->map || stage(call) != 0) {
		tini_job_discard(call->job);
		return TINE_ENOMEM;
	}
	call->map->job = call->job;
	call->map->stop = args->on_error == TINE_STOP;
	call->map->stories_max = (uint32_t)tini_min(tini_max(args->max_failures, 1), UINT32_MAX);
	tini_work_set(&call->work, call->job, args->result_size);
	call->job->deadline = call->deadline;
	call->job->cancel = args->cancel;
	return 0;
}

/* ---- waiting for it */

static void show_progress(map_call *call)
{
	uint64_t ended = 0;

	if (!call->progress)
		return;
	for (int i = 0; i < call->job->pool->slots + 2; i++)
		ended += atomic_load_explicit(&call->map->cell[i].ended,
					      memory_order_relaxed); /* a figure */
	size_t items = tini_min(ended * call->map->chunk, call->args->count);
	if (items > call->shown)
		tine_progress_add(call->progress, items - call->shown);
	call->shown = tini_max(call->shown, items);
}

static bool is_cancelled(const map_call *call)
{
	return call->args->cancel && tine_cancel_requested(call->args->cancel);
}

static void end_early(map_call *call, int code)
{
	if (call->ended_by != 0)
		return;
	call->ended_by = code;
	tini_job_abort(
		call->job,
		code); /* TINE_STOP may have been first: what still runs is ended all the same */
	tini_job_kill_at(call->job, tini_clock_now() + GRACE_NS);
}

static int look(void *context)
{
	map_call *call = context;

	if (is_cancelled(call))
		end_early(call, TINE_ECANCELLED);
	else if (tini_clock_now() >= call->deadline)
		end_early(call, TINE_EDEADLINE);
	if (atomic_load(&call->job->abort) != 0)
		tini_job_end_unclaimed(call->job, TINI_OWNER_SUBMITTER);
	show_progress(call);
	return 0;
}

static void run_job(map_call *call)
{
	tine_pool *pool = call->work.pool;
	bool asks = call->args->cancel || call->deadline != TINI_NEVER;

	tini_work_sign(pool, call->job);
	tini_job_publish(call->job);
	pool->kind->offer(pool, call->job);
	tini_job_wait(call->job, TINI_NEVER, asks ? ASK_NS : PROGRESS_NS, look,
		      call); /* look() ends it early */
}

/* ---- telling how it went */

/* Before the copy out: a failed item's bytes are zero, whatever it has written. */
static void tell_items(map_call *call)
{
	const tine_map_args *args = call->args;
	tini_map *map = call->map;
	bool failed = atomic_load(&call->job->failed) != 0;

	if (args->statuses && !failed)
		memset(args->statuses, 0, args->count * sizeof *args->statuses);
	for (uint64_t i = 0; failed && i < args->count; i++) {
		int code = atomic_load_explicit(&map->status[i],
						memory_order_relaxed); /* after the job's end */

		if (args->statuses)
			args->statuses[i] = code;
		if (code != 0 && map->results)
			memset(map->results + i * args->result_size, 0, args->result_size);
	}
	if (call->staged_results)
		memcpy(args->results, call->staged_results, args->count * args->result_size);
}

static int tell_call(map_call *call, size_t failed, const tine_failure *first)
{
	int aborted = atomic_load(&call->job->abort), ended_by = call->ended_by;

	if (failed == 0)
		return 0;
	if (aborted == TINE_EDEADLINE || (aborted == TINE_ECANCELLED && is_cancelled(call)))
		ended_by = aborted; /* a serial pool has looked itself */
	if (ended_by == TINE_EDEADLINE)
		return TINI_FAIL(TINE_EDEADLINE,
				 "tine_map: the deadline of %g s ran out with %zu of %zu items "
				 "unfinished or "
				 "failed; first: %s",
				 call->args->deadline, failed, call->args->count, first->text);
	if (ended_by == TINE_ECANCELLED)
		return TINI_FAIL(
			TINE_ECANCELLED,
			"tine_map: cancelled with %zu of %zu items unfinished or failed; first: %s",
			failed, call->args->count, first->text);
	if (aborted == TINE_ESTATE)
		return TINI_FAIL(TINE_ESTATE, "tine_map: pool `%s` was closed meanwhile",
				 call->work.pool->name);
	if (aborted == TINE_ELOST)
		return TINI_FAIL(TINE_ELOST,
				 "tine_map: the supervisor of pool `%s` was killed; %zu of %zu "
				 "items have no result",
				 call->work.pool->name, failed, call->args->count);
	if (aborted != 0 && aborted == atomic_load(&call->work.pool->broken))
		return TINI_FAIL(
			aborted, "tine_map: pool `%s` ended: %s; %zu of %zu items have no result",
			call->work.pool->name, call->work.pool->why, failed, call->args->count);
	return TINI_FAIL(TINE_EITEMS, "%zu of %zu items failed; first: %s", failed,
			 call->args->count, first->text);
}

static int finish(map_call *call)
{
	const tine_map_args *args = call->args;
	tine_failure first = {0};
	size_t failed = 0;

	tell_items(call);
	if (atomic_load(&call->job->failed)) {
		bool has_room = args->failures && args->max_failures > 0;

		failed = tini_stories_gather(call->job, has_room ? args->failures : &first,
					     has_room ? args->max_failures : 1);
		if (has_room)
			first = args->failures[0];
	}
	if (args->failure_count)
		*args->failure_count = failed;
	return tell_call(call, failed, &first);
}

/* ---- the call */

static bool may_retry(const tine_map_args *args, const tine_pool *pool)
{
	return args->retries > 0 || (args->retries == 0 && pool->retries > 0);
}

static int check(const tine_map_args *args, tini_work *work)
{
	const char *call = "tine_map";
	size_t bytes;
	int rc = tini_work_check(work);

	if (rc == 0)
		rc = args->deadline == TINE_FOREVER
			     ? 0
			     : tini_limit_check(args->deadline, call, "deadline");
	if (rc != 0)
		return rc;
	if (!tini_mul_fits(args->count, args->result_size, &bytes) || bytes > SIZE_MAX / 4)
		return TINI_FAIL(TINE_EINVAL,
				 "%s: %zu results of %zu bytes are more than memory can name", call,
				 args->count, args->result_size);
	if (!args->results && bytes > 0)
		return TINI_FAIL(TINE_EINVAL, "%s: results is NULL but result_size is %zu", call,
				 args->result_size);
	if (bytes > 0 && args->results == args->args && may_retry(args, work->pool))
		return TINI_FAIL(
			TINE_EINVAL,
			"%s: results lie in args and .retries is set: an item that is tried "
			"again would read what it has written",
			call);
	if (args->on_error != TINE_COLLECT && args->on_error != TINE_STOP)
		return TINI_FAIL(TINE_EINVAL, "%s: .on_error = %d is unknown", call,
				 (int)args->on_error);
	if (args->max_failures > 0 && !args->failures)
		return TINI_FAIL(TINE_EINVAL, "%s: .max_failures is %zu but .failures is NULL",
				 call, args->max_failures);
	return 0;
}

static int run_map_call(map_call *call)
{
	int rc = make_job(call);

	if (rc != 0)
		return rc;
	if (call->args->progress)
		call->progress = tine_progress_open(call->work.pool->name, call->args->count);
	run_job(call);
	show_progress(call);
	rc = finish(call);
	tine_progress_close(call->progress);
	atomic_store(&call->job->creator, 0);
	tini_job_let_go(call->job);
	return rc;
}

int tine_map_with(const tine_map_args *given)
{
	tine_map_args args;
	int rc = tini_options_copy(&args, sizeof args, given, "tine_map");

	if (rc != 0)
		return rc;
	map_call call = {.args = &args, .deadline = TINI_NEVER};
	if (args.failure_count)
		*args.failure_count = 0;
	call.work = (tini_work){"tine_map",    args.pool,    args.task,    args.args,   args.count,
				args.arg_size, args.timeout, args.retries, args.context};
	rc = check(&args, &call.work);
	if (rc != 0)
		return rc;
	if (args.count == 0)
		return 0;
	if (args.deadline > 0)
		call.deadline = tini_clock_deadline(args.deadline);
	/* Whoever closes the pool meanwhile in another thread must leave us its memory. */
	tine_pool *pool = call.work.pool;
	tini_pool_hold(pool);
	rc = tini_park(pool, NULL);
	if (rc == 0) {
		rc = run_map_call(&call);
		tini_unpark(pool);
	}
	tini_pool_let_go(pool);
	return rc;
}
