/* SPDX-License-Identifier: MIT */
/* Futures: a handle is the job's record in the pool's memory, which lives until the last of them is
 * freed. */
#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/futex.h"
#include "base/memory.h"
#include "base/options.h"
#include "heap/heap.h"
#include "pool/check.h"
#include "pool/job.h"
#include "pool/pool.h"
#include "pool/run.h"
#include "pool/stories.h"

#include <string.h>

struct tine_future {
	tini_job job;
};

/* Also of NULL, which is refused later. */
static tini_job *job_of(tine_future *future)
{
	return (tini_job *)future; /* its first and only member */
}

/* ---- submit */

static int refuse_later_features(const tine_submit_args *args)
{
	if (args->priority != 0)
		return TINI_FAIL(TINE_EUNSUPPORTED,
				 "tine_submit: .priority is not in this version");
	if (args->on_done)
		return TINI_FAIL(TINE_EUNSUPPORTED,
				 "tine_submit: .on_done is not in this version: use tine_wait()");
	if (args->after_count > 0)
		return TINI_FAIL(TINE_EUNSUPPORTED,
				 "tine_submit: .after is not in this version: use tine_wait()");
	return 0;
}

/* The argument's bytes: in place where they are shared, else a copy beside the result. */
static int place_bytes(tini_job *job, const tine_submit_args *args)
{
	bool in_place = args->arg_size > 0 && tini_all_shared(args->arg, args->arg_size);
	size_t copied = in_place ? 0 : tini_round_up(args->arg_size, 16), size;

	if (!tini_add_fits(copied, args->result_size, &size))
		return TINI_FAIL(TINE_ENOMEM, "tine_submit: %zu and %zu bytes", args->arg_size,
				 args->result_size);
	unsigned char *bytes = job->inline_bytes;
	if (size > TINI_INLINE) {
		job->block = tini_heap_alloc(size);
		if (!job->block)
			return TINE_ENOMEM;
		tini_heap_hand_over(job->block); /* it hangs on the record already */
		bytes = job->block;
	} else if (args->result_size > 0) {
		memset(bytes + copied, 0, args->result_size);
	}
	if (copied > 0)
		memcpy(bytes, args->arg, args->arg_size);
	job->arg = in_place ? args->arg : args->arg_size > 0 ? bytes : NULL;
	job->result = args->result_size > 0 ? bytes + copied : NULL;
	return 0;
}

tine_future *tine_submit_with(const tine_submit_args *given)
{
	tine_submit_args args;

	if (tini_options_copy(&args, sizeof args, given, "tine_submit") != 0 ||
	    refuse_later_features(&args) != 0)
		return NULL;
	tini_work work = {"tine_submit", args.pool,    args.task,    args.arg,    1,
			  args.arg_size, args.timeout, args.retries, args.context};
	if (tini_work_check(&work) != 0)
		return NULL;
	if (args.result_size > SIZE_MAX / 4)
		return TINI_FAIL_NULL(
			TINE_EINVAL,
			"tine_submit: a result of %zu bytes is more than memory can name",
			args.result_size);
	tini_job *job = tini_job_new(work.pool, "tine_submit");
	if (!job)
		return NULL;
	if (place_bytes(job, &args) != 0) {
		tini_job_discard(job);
		return NULL;
	}
	tini_work_set(&work, job, args.result_size);
	tini_pool_hold(work.pool);
	tini_work_sign(work.pool, job);
	tini_job_publish(job);
	work.pool->kind->offer(work.pool, job);
	return (tine_future *)job;
}

/* ---- one future */

static int check_future(tine_future *future, const char *call)
{
	if (!future)
		return TINI_FAIL(TINE_EINVAL, "%s: future is NULL", call);
	if (tini_pool_role(future->job.pool) == TINI_STRANGER)
		return TINI_FAIL(TINE_ESTATE,
				 "%s: the future belongs to another process (a handle does not "
				 "survive fork())",
				 call);
	return 0;
}

/* What happened to the item, with its story as the last error. */
static int outcome(tini_job *job)
{
	int code = atomic_load(&job->status);
	tine_failure failure;

	if (code == 0)
		return 0;
	tini_story_write(&failure, 0, code, atomic_load(&job->story), job);
	return TINI_FAIL(code, "%s", failure.text);
}

static int wait_for(tini_job *job, double timeout, const char *call)
{
	int rc = tini_timeout_check(timeout, call);

	if (rc != 0)
		return rc;
	if (tini_job_try_end(job))
		return 0;
	rc = timeout == 0 ? 0 : tini_park(job->pool, job);
	if (rc != 0)
		return rc;
	rc = tini_job_wait(job, timeout == 0 ? 0 : tini_clock_deadline(timeout), TINI_WATCHDOG_NS,
			   NULL, NULL);
	if (timeout != 0)
		tini_unpark(job->pool);
	return rc == TINE_ETIMEDOUT
		       ? TINI_FAIL(rc, "%s: the future has not ended after %g s", call, timeout)
		       : rc;
}

int tine_future_wait(tine_future *future, double timeout)
{
	int rc = check_future(future, "tine_future_wait");

	return rc != 0 ? rc : wait_for(job_of(future), timeout, "tine_future_wait");
}

/* The caller has the addresses now: the blocks are its own. */
static void give_results(tini_job *job)
{
	tini_result *result = atomic_exchange(&job->results, NULL);

	while (result) {
		tini_result *next = result->next;

		tini_heap_free(result);
		result = next;
	}
}

int tine_future_get(tine_future *future, void *result, double timeout)
{
	int rc = check_future(future, "tine_future_get");
	tini_job *job = job_of(future);

	if (rc == 0)
		rc = wait_for(job, timeout, "tine_future_get");
	if (rc != 0)
		return rc;
	rc = outcome(job);
	if (result && job->result_size > 0) {
		if (rc != 0)
			memset(result, 0, job->result_size);
		else
			memcpy(result, job->result, job->result_size);
		give_results(job);
	}
	return rc;
}

int tine_future_status(tine_future *future)
{
	int rc = check_future(future, "tine_future_status");

	if (rc != 0)
		return rc;
	return tini_job_try_end(job_of(future)) ? atomic_load(&job_of(future)->status)
						: TINE_EPENDING;
}

int tine_future_cancel(tine_future *future, double grace)
{
	int rc = check_future(future, "tine_future_cancel");
	tini_job *job = job_of(future);

	if (rc == 0)
		rc = tini_timeout_check(grace, "tine_future_cancel");
	if (rc != 0 || tini_job_try_end(job))
		return rc;
	tini_job_abort(job, TINE_ECANCELLED);
	tini_job_end_unclaimed(job, TINI_OWNER_SUBMITTER);
	if (!tini_job_is(job, TINI_JOB_ENDED) && grace >= 0)
		tini_job_kill_at(job, tini_clock_deadline(grace));
	return 0;
}

const tine_failure *tine_future_failure(tine_future *future)
{
	if (check_future(future, "tine_future_failure") != 0)
		return NULL;
	tini_job *job = job_of(future);
	tine_failure *none = NULL, *failure = atomic_load(&job->failure);

	if (failure || !tini_job_try_end(job) || atomic_load(&job->status) == 0)
		return failure;
	failure = tini_pool_alloc(sizeof *failure);
	if (!failure)
		return NULL;
	tini_story_write(failure, 0, atomic_load(&job->status), atomic_load(&job->story), job);
	if (!atomic_compare_exchange_strong(&job->failure, &none, failure)) {
		tini_heap_free(failure); /* another thread was first */
		failure = none;
	}
	return failure;
}

void tine_future_free(tine_future *future)
{
	if (!future || check_future(future, "tine_future_free") != 0)
		return;
	tine_pool *pool = future->job.pool;
	atomic_store(&future->job.creator, 0);
	tini_job_let_go(job_of(future));
	tini_pool_let_go(pool);
}

/* ---- several */

typedef struct wait_set {
	tine_future *const *futures;
	size_t count, index, open; /* open: not ended at the last look */
	tine_wait_mode mode;
} wait_set;

/* True when the wait is over; index and *rc say how. */
static bool look_at_all(wait_set *set, int *rc)
{
	size_t open = 0;

	for (size_t i = 0; i < set->count; i++) {
		tini_job *job = job_of(set->futures[i]);
		bool ended = tini_job_is(job, TINI_JOB_ENDED);
		int code = ended ? atomic_load(&job->status) : 0;

		open += !ended;
		if (!ended || set->mode == TINE_ALL || (set->mode == TINE_FIRST_ERROR && code == 0))
			continue;
		set->index = i;
		*rc = outcome(job);
		return true;
	}
	*rc = 0;
	return open == 0;
}

static void note_last(wait_set *set, bool *seen)
{
	for (size_t i = 0; seen && i < set->count; i++)
		if (!seen[i] && tini_job_is(job_of(set->futures[i]), TINI_JOB_ENDED)) {
			seen[i] = true;
			set->index = i;
		}
}

/* Run here what is left of them, one by one, where this is an item of their pool.  True when the wait
 * is over. */
static bool help_each(wait_set *set, bool *seen, int *rc)
{
	for (size_t i = 0; i < set->count; i++) {
		if (!tini_job_help(job_of(set->futures[i])))
			continue;
		note_last(set, seen);
		if (set->mode != TINE_ALL && look_at_all(set, rc))
			return true;
	}
	return false;
}

static int wait_for_any(wait_set *set, int64_t deadline, bool *seen)
{
	_Atomic uint32_t *any = tini_heap_line(TINI_LINE_ANY_WAIT); /* [0] bell, [1] sleepers */
	int rc = 0;

	if (deadline > 0 && help_each(set, seen, &rc))
		return rc;
	for (int64_t now, watchdog = tini_clock_now() + TINI_WATCHDOG_NS;;) {
		uint32_t bell = atomic_load(&any[0]);

		now = tini_clock_now();
		bool over = look_at_all(set, &rc);
		note_last(set, seen);
		if (over)
			return rc;
		if (now >= deadline)
			return TINE_ETIMEDOUT;
		tini_futex->wait(&any[0], bell, deadline < watchdog ? deadline : watchdog);
		if (tini_clock_now() < watchdog)
			continue;
		if (help_each(set, seen, &rc))
			return rc;
		for (size_t i = 0; i < set->count; i++)
			tini_job_look_after(job_of(set->futures[i]));
		watchdog = tini_clock_now() + TINI_WATCHDOG_NS;
	}
}

/* The pool that this item runs in, where one of the futures is of it; else NULL. */
static tine_pool *own_pool(const wait_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (tini_runner_of(job_of(set->futures[i])->pool))
			return job_of(set->futures[i])->pool;
	return NULL;
}

static int park_for_all(const wait_set *set, tine_pool *pool)
{
	int rc = pool ? tini_park(pool, NULL) : 0;

	for (size_t i = 0; rc == 0 && i < set->count; i++)
		tini_job_want(job_of(set->futures[i]));
	return rc;
}

static int wait_in_line(wait_set *set, double timeout, bool *seen)
{
	_Atomic uint32_t *any = tini_heap_line(TINI_LINE_ANY_WAIT);
	tine_pool *pool = own_pool(set);
	int64_t deadline = timeout == 0 ? 0 : tini_clock_deadline(timeout);
	int rc;

	for (size_t i = 0; i < set->count; i++)
		tini_job_try_end(job_of(set->futures[i]));
	if (look_at_all(set, &rc)) {
		set->index = set->mode == TINE_ALL ? set->count - 1 : set->index;
		return rc;
	}
	rc = deadline > 0 ? park_for_all(set, pool) : 0;
	if (rc != 0) {
		set->index = SIZE_MAX; /* nothing was waited for */
		return rc;
	}
	atomic_fetch_add(&any[1], 1);
	rc = wait_for_any(set, deadline, seen);
	atomic_fetch_sub(&any[1], 1);
	if (deadline > 0 && pool)
		tini_unpark(pool);
	if (rc != TINE_ETIMEDOUT)
		return rc;
	return TINI_FAIL(TINE_ETIMEDOUT, "tine_wait: %s of %zu futures after %g s",
			 set->mode == TINE_ANY ? "none" : "not all", set->count, timeout);
}

int tine_wait(tine_future *const *futures, size_t count, tine_wait_mode mode, size_t *index,
	      double timeout)
{
	int rc = tini_timeout_check(timeout, "tine_wait");

	if (rc != 0)
		return rc;
	if (mode < TINE_ALL || mode > TINE_FIRST_ERROR)
		return TINI_FAIL(TINE_EINVAL, "tine_wait: mode %d is unknown", (int)mode);
	if (count == 0)
		return 0;
	if (!futures)
		return TINI_FAIL(TINE_EINVAL, "tine_wait: futures is NULL but count is %zu", count);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = check_future(futures[i], "tine_wait");
	if (rc != 0)
		return rc;
	wait_set set = {.futures = futures, .count = count, .mode = mode};
	bool *seen = mode == TINE_ALL && index ? tini_alloc(count, sizeof *seen) : NULL;
	rc = wait_in_line(&set, timeout, seen);
	tini_free(seen);
	if (index && set.index != SIZE_MAX)
		*index = set.index;
	return rc;
}
