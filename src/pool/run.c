/* SPDX-License-Identifier: MIT */
/*
 * What one item costs here is what a map of empty items costs: a few plain stores into the runner's
 * own slot.  Their order is the protocol: range before claim, mark before the task, status before
 * the mark that tells its end, cell after the words.  A kill may fall between any two;
 * pool/repair.c says what each state means.
 */
#include "pool/run.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/killpoint.h"
#include "heap/heap.h"
#include "pool/job.h"
#include "pool/ready.h"
#include "pool/stories.h"
#include "process/child.h"
#include "process/self.h"

#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#define BATCH_NS INT64_C(100000)
enum { BATCH_MAX = 4096, REDO_STEP = 64 };

static _Thread_local tini_runner *runner_here;
static tini_runner *runner_of_process;

tini_runner *tini_runner_current(void)
{
	return runner_here ? runner_here : runner_of_process;
}

tini_runner *tini_runner_of(const tine_pool *pool)
{
	for (tini_runner *runner = runner_here; runner; runner = runner->outer)
		if (runner->pool == pool)
			return runner;
	return runner_of_process && runner_of_process->pool == pool ? runner_of_process : NULL;
}

void tini_runner_enter(tini_runner *runner)
{
	runner->outer = runner_here;
	runner_here = runner;
}

void tini_runner_leave(const tini_runner *runner)
{
	runner_here = runner->outer;
}

void tini_runner_of_process(tini_runner *runner)
{
	runner_of_process = runner;
}

bool tini_runner_must_leave(const tini_runner *runner)
{
	return runner->left == 0 ||
	       atomic_load_explicit(&runner->slot->leave, memory_order_relaxed) != 0 ||
	       atomic_load_explicit(&runner->pool->closing, memory_order_relaxed) >=
		       TINI_LEAVING; /* orders, soon seen */
}

int tini_run_code(int returned)
{
	if (returned == TINE_ETIMEDOUT)
		return TINE_ETASK; /* it is only ever said of a caller's own wait */
	return returned >= 0 || tini_error_is_code(returned) ? returned : TINE_ETASK;
}

/* ---- blocks of tine_result_alloc() */

static void forget_results(tini_slot *slot, tini_result *first, bool free_blocks)
{
	while (first) {
		tini_result *next = first->next;

		atomic_store(&slot->results,
			     next); /* before the block goes, so that nobody gives it back twice */
		if (free_blocks)
			tine_shared_free(first->block);
		tini_heap_free(first);
		first = next;
	}
}

void tini_results_drop(tini_slot *slot)
{
	forget_results(slot, atomic_load(&slot->results), true);
}

void tini_results_keep(tini_slot *slot, tini_job *job)
{
	tini_result *first = atomic_load(&slot->results);

	for (tini_result *r = first; r; r = r->next)
		tini_heap_hand_over(r->block);
	if (atomic_load(&job->map)) {
		forget_results(slot, first, false);
	} else { /* nobody may ever get them: the future keeps the list */
		atomic_store(&job->results, first);
		atomic_store(&slot->results, NULL);
	}
}

/* ---- figures: they pair with nothing */

static int64_t begin_busy(tini_slot *slot)
{
	int64_t now = tini_clock_now();

	atomic_store_explicit(&slot->busy_since, now, memory_order_relaxed);
	return now;
}

static int64_t end_busy(tini_slot *slot, int64_t begun, uint64_t items)
{
	int64_t took = tini_clock_now() - begun;

	atomic_fetch_add_explicit(&slot->items, items, memory_order_relaxed);
	atomic_fetch_add_explicit(&slot->busy, took, memory_order_relaxed);
	atomic_store_explicit(&slot->busy_since, 0, memory_order_relaxed);
	return took;
}

/* ---- one item */

static void tell_failure(tini_runner *runner, tini_job *job, int returned,
			 unsigned long errors_before)
{
	tini_slot *slot = runner->slot;
	int code = tini_run_code(returned);
	tini_map *map = atomic_load(&job->map);
	tini_failing f = {.index = runner->index,
			  .code = code,
			  .worker = (int)runner->owner,
			  .pid = (int)getpid(),
			  .tries = (int)atomic_load(&slot->tries),
			  .text = slot->text};

	if (!slot->text[0] && code == TINE_ETASK && returned != TINE_ETASK)
		snprintf(slot->text, sizeof slot->text,
			 "the task returned %d, which is no code for an item that has ended",
			 returned);
	else if (!slot->text[0] && code == TINE_EDEADLINE && runner->cooperative)
		snprintf(slot->text, sizeof slot->text, "ran over its limit of %g s",
			 (double)job->timeout / 1e9);
	else if (!slot->text[0] && code == tine_last_code() && tini_error_count() != errors_before)
		snprintf(slot->text, sizeof slot->text, "the task returned %s: %.180s",
			 tini_error_name(code), tine_last_error());
	tini_story_tell(job, map ? tini_map_cell(job->pool, map, runner->owner) : NULL, &f);
	slot->text[0] = '\0';
	TINI_KILL_POINT("story-told");
	if (map) {
		tini_map_fail(map, runner->index, code);
		if (map->stop)
			tini_job_abort(job, TINE_ECANCELLED);
	} else {
		atomic_store(&job->status, code);
		atomic_store(&job->failed, 1);
	}
}

static bool is_overtime(const tini_runner *runner, const tini_job *job)
{
	return job->timeout > 0 && tini_clock_now() - runner->started > job->timeout;
}

static bool try_again(const tini_job *job, int code, unsigned tries)
{
	int want = code == TINE_EDEADLINE ? TINE_RETRY_DEADLINE : TINE_RETRY_CODE;

	return (int64_t)tries < job->retries && (job->retry_on & want) &&
	       atomic_load(&job->abort) == 0;
}

/* Something waits in stdout's buffer: __fpending() without the call, which an empty item would
 * feel. */
static inline bool has_output(void)
{
#ifdef __GLIBC__
	return stdout->_IO_write_ptr > stdout->_IO_write_base;
#else
	return __fpending(stdout) > 0;
#endif
}

/* An item has forked and both have returned: one of them is the worker. */
static void leave_stray_child(const tini_runner *runner)
{
	if (tini_self_id() != runner->self)
		_exit(0);
}

static inline int run_once(tini_runner *runner, tini_job *job, const void *arg, void *result)
{
	tini_slot *slot = runner->slot;

	/* Release: whoever sees the mark sees the tries and the start that belong to it. */
	atomic_store_explicit(&slot->mark, tini_mark_running(runner->index), memory_order_release);
	int returned = job->task(arg, result);
	if (runner->is_process && has_output())
		tini_child_flush();
	/* Only this process writes it; a child that the item has forked finds another number. */
	if (atomic_load_explicit(&tini_self_cached, memory_order_relaxed) != runner->self)
		leave_stray_child(runner);
	return returned;
}

/* Release: the result and the status before the mark that says that they are there. */
static inline void end_item(tini_runner *runner)
{
	atomic_store_explicit(&runner->slot->mark, tini_mark_ended(runner->index),
			      memory_order_release);
	if (runner->slot->text[0])
		runner->slot->text[0] = '\0'; /* said by an item that did not fail after all */
	runner->ran++;
}

static int run_limited(tini_runner *runner, tini_job *job, const void *arg, void *result)
{
	tini_slot *slot = runner->slot;

	if (job->timeout > 0) {
		runner->started = tini_clock_now();
		atomic_store_explicit(&slot->started, runner->started,
				      memory_order_relaxed); /* before the mark */
	}
	if (runner->arm)
		runner->arm(runner, true);
	int returned = run_once(runner, job, arg, result);
	if (runner->arm)
		runner->arm(runner, false);
	if (!runner->cooperative || !is_overtime(runner, job))
		return returned;
	atomic_fetch_add_explicit(&runner->pool->overtime, 1, memory_order_relaxed); /* a figure */
	return TINE_EDEADLINE;
}

/* A worker may have died between the failure of an earlier try and its mark. */
static void forget_failure(tini_runner *runner, tini_job *job)
{
	tini_map *map = atomic_load(&job->map);

	if (map)
		atomic_store(&map->status[runner->index], 0);
	else
		atomic_store(&job->status, 0);
}

/* With everything that an item may need. */
static void run_item(tini_runner *runner, tini_job *job, unsigned tries, const void *arg,
		     void *result)
{
	tini_slot *slot = runner->slot;
	unsigned long errors = tini_error_count();

	for (;; tries++) {
		if (tries > 0 && result)
			memset(result, 0, job->result_size); /* what a lost try has left */
		atomic_store_explicit(&slot->tries, tries,
				      memory_order_relaxed); /* before the mark */
		int returned = run_limited(runner, job, arg, result);
		if (returned == 0) {
			if (tries > 0)
				forget_failure(runner, job);
			break;
		}
		tini_results_drop(slot);
		if (try_again(job, tini_run_code(returned), tries)) {
			atomic_fetch_add_explicit(&slot->retried, 1,
						  memory_order_relaxed); /* a figure */
			slot->text[0] = '\0';
			continue;
		}
		if (result)
			memset(result, 0, job->result_size);
		tell_failure(runner, job, returned, errors);
		atomic_fetch_add_explicit(&slot->failures, 1, memory_order_relaxed); /* a figure */
		break;
	}
	end_item(runner);
	if (atomic_load_explicit(&slot->results,
				 memory_order_relaxed)) /* only this thread and its item write it */
		tini_results_keep(slot, job);
	if (runner->left != SIZE_MAX)
		runner->left--;
}

static bool should_stop(tini_runner *runner, tini_job *job)
{
	if (runner->cooperative && atomic_load(&job->abort) == 0) {
		if (job->cancel && tine_cancel_requested(job->cancel))
			tini_job_abort(job, TINE_ECANCELLED);
		else if (job->deadline != TINI_NEVER && tini_clock_now() >= job->deadline)
			tini_job_abort(job, TINE_EDEADLINE);
	}
	return atomic_load_explicit(&job->abort, memory_order_relaxed) !=
	       0; /* an order, soon seen */
}

/* ---- maps */

static void fail_plain_item(tini_runner *runner, tini_job *job, int returned,
			    unsigned long errors_before, void *result)
{
	tini_results_drop(runner->slot);
	if (result)
		memset(result, 0, job->result_size);
	tell_failure(runner, job, returned, errors_before);
	atomic_fetch_add_explicit(&runner->slot->failures, 1, memory_order_relaxed); /* a figure */
}

/* run_item() for a first try without limits, as short as can be.  Returns where an abort has
 * stopped it. */
static uint64_t run_plain_items(tini_runner *runner, tini_job *job, tini_map *map, uint64_t i,
				uint64_t end)
{
	tini_slot *slot = runner->slot;
	const unsigned char *arg = map->args ? map->args + i * job->arg_size : NULL;
	unsigned char *result = map->results ? map->results + i * job->result_size : NULL;
	size_t arg_step = map->args ? job->arg_size : 0,
	       result_step = map->results ? job->result_size : 0;
	const unsigned long *errors = tini_error_counter();

	atomic_store_explicit(&slot->tries, 0, memory_order_relaxed); /* before the mark */
	for (; i < end && atomic_load_explicit(&job->abort, memory_order_relaxed) == 0;
	     i++) { /* an order, soon seen */
		unsigned long errors_before = *errors;

		runner->index = i;
		int returned = run_once(runner, job, arg, result);
		if (returned != 0)
			fail_plain_item(runner, job, returned, errors_before, result);
		end_item(runner);
		if (atomic_load_explicit(&slot->results,
					 memory_order_relaxed)) /* only this item writes it */
			tini_results_keep(slot, job);
		TINI_KILL_POINT("item-ended");
		arg += arg_step;
		result += result_step;
	}
	return i;
}

static void run_chunk(tini_runner *runner, tini_job *job, tini_map *map, uint64_t k, uint64_t seen)
{
	uint64_t first = tini_map_first(map, k), end = first + tini_map_length(map, k);
	uint64_t i = first + tini_claim_offset(seen);
	unsigned tries = tini_claim_tries(seen);

	if (runner->plain && tries == 0)
		i = run_plain_items(runner, job, map, i, end);
	for (; i < end; i++, tries = 0) {
		if (should_stop(runner, job)) {
			tini_map_skip(map, k, i - first);
			break;
		}
		if (runner->left == 0) {
			tini_claim_offer(&map->word[k], tries, i - first);
			TINI_KILL_POINT("chunk-offered");
			tini_map_redo(map, k, k + 1);
			return;
		}
		runner->index = i;
		run_item(runner, job, tries, map->args ? map->args + i * job->arg_size : NULL,
			 map->results ? map->results + i * job->result_size : NULL);
		TINI_KILL_POINT("item-ended");
	}
	tini_claim_finish(&map->word[k], runner->owner);
	TINI_KILL_POINT("chunk-done");
}

/* Words that have not been offered yet. */
static bool move_cursor(tini_runner *runner, tini_map *map, uint64_t *low, uint64_t *high)
{
	uint64_t at = atomic_load_explicit(&map->cursor, memory_order_relaxed); /* a hint */

	if (at >= map->words)
		return false;
	uint64_t share = (map->words - at) / (4 * (uint64_t)runner->pool->workers);
	uint64_t n = runner->batch < share ? runner->batch : share;

	n = n > 0 ? n : 1;
	*low = atomic_fetch_add(&map->cursor, n);
	*high = *low + n < map->words ? *low + n : map->words;
	TINI_KILL_POINT("cursor-moved");
	return *low < map->words;
}

/* Words that somebody who died or left had taken. */
static bool move_redo(const tini_runner *runner, tini_map *map, uint64_t *low, uint64_t *high)
{
	uint64_t step = runner->nested ? 1 : REDO_STEP;
	uint64_t redo = atomic_load(&map->redo);

	while (tini_range_low(redo) < tini_range_high(redo)) {
		uint64_t end = tini_range_low(redo) + step;

		*low = tini_range_low(redo);
		*high = end < tini_range_high(redo) ? end : tini_range_high(redo);
		if (atomic_compare_exchange_weak(&map->redo, &redo,
						 tini_range_make(*high, tini_range_high(redo))))
			return true;
	}
	return false;
}

/* A word that another worker has taken but not begun, from the far end of its range: it may be
 * slow, or stopped. */
static bool steal(tini_runner *runner, tini_job *job, tini_map *map, uint64_t *low, uint64_t *high)
{
	const tine_pool *pool = runner->pool;

	for (int s = 0; s < pool->slots; s++) {
		tini_slot *other = &pool->slot[s];
		uint64_t range = atomic_load(&other->range);

		if (other == runner->slot || range == TINI_RANGE_TAKING ||
		    atomic_load(&other->job) != job->index + 1)
			continue;
		for (uint64_t k = tini_range_high(range);
		     k > tini_range_low(range) && k <= map->words; k--)
			if (tini_claim_state_of(atomic_load(&map->word[k - 1])) == TINI_FREE) {
				*low = k - 1;
				*high = k;
				return true;
			}
	}
	return false;
}

static bool move_on(tini_runner *runner, tini_job *job, tini_map *map, uint64_t *low,
		    uint64_t *high)
{
	return move_cursor(runner, map, low, high) || move_redo(runner, map, low, high) ||
	       steal(runner, job, map, low, high);
}

/* Words of a range to be looked at again may be DONE by this slot already: the cell counts them, so
 * they are taken off and added again.  Nobody else makes a word DONE by this slot. */
static uint64_t count_mine(const tini_runner *runner, tini_map *map, uint64_t low, uint64_t high)
{
	uint64_t mine = 0;

	for (uint64_t k = low; k < high; k++)
		mine += tini_claim_is(&map->word[k], TINI_DONE, runner->owner);
	return mine;
}

static bool take_range(tini_runner *runner, tini_job *job, tini_map *map, uint64_t *low,
		       uint64_t *high)
{
	tini_slot *slot = runner->slot;
	tini_cell *cell = tini_map_cell(runner->pool, map, runner->owner);

	atomic_store_explicit(&slot->range, TINI_RANGE_TAKING,
			      memory_order_release); /* before the cursor moves */
	bool taken = move_on(runner, job, map, low, high);
	if (taken) {
		/* The supervisor reads these after our death, in the order in which they were
		 * stored. */
		atomic_store_explicit(&slot->count,
				      atomic_load_explicit(&cell->ended, memory_order_relaxed) -
					      count_mine(runner, map, *low, *high),
				      memory_order_relaxed);
		atomic_store_explicit(&slot->range, tini_range_make(*low, *high),
				      memory_order_release);
		TINI_KILL_POINT("range-told");
	} else {
		atomic_store_explicit(&slot->range, 0, memory_order_release);
	}
	return taken;
}

/* Take more at once while a batch takes less than BATCH_NS.  A nested runner never: what it has taken
 * and not begun would wait for it. */
static void adapt(tini_runner *runner, int64_t took)
{
	if (runner->nested)
		return;
	if (took < BATCH_NS / 2 && runner->batch < BATCH_MAX)
		runner->batch *= 2;
	else if (took > BATCH_NS && runner->batch > 1)
		runner->batch = took > 8 * BATCH_NS ? 1 : runner->batch / 2;
}

static void run_range(tini_runner *runner, tini_job *job, tini_map *map, uint64_t low,
		      uint64_t high)
{
	tini_slot *slot = runner->slot;
	tini_cell *cell = tini_map_cell(runner->pool, map, runner->owner);
	uint64_t seen;
	int64_t begun = begin_busy(slot);

	runner->ran = 0;
	for (uint64_t k = low; k < high; k++) {
		if (!tini_claim_take(&map->word[k], runner->owner, &seen))
			continue;
		TINI_KILL_POINT("chunk-claimed");
		run_chunk(runner, job, map, k, seen);
		if (tini_runner_must_leave(runner) && k + 1 < high) {
			tini_map_redo(map, k + 1, high);
			break;
		}
	}
	int64_t took = end_busy(slot, begun, runner->ran);
	/* The cell before the range: a death in between finds the same sum again. */
	/* Sequentially consistent: of two workers that end together one sees both cells. */
	atomic_store(&cell->ended, atomic_load_explicit(&slot->count, memory_order_relaxed) +
					   count_mine(runner, map, low, high));
	TINI_KILL_POINT("cell-told");
	atomic_store_explicit(&slot->range, 0, memory_order_release);
	adapt(runner, took);
}

static void run_map(tini_runner *runner, tini_job *job, tini_map *map)
{
	uint64_t low, high;

	runner->batch = 1;
	runner->plain = job->timeout == 0 && !runner->arm && runner->left == SIZE_MAX &&
			(!runner->cooperative || (!job->cancel && job->deadline == TINI_NEVER)) &&
			(job->retries == 0 || !(job->retry_on & TINE_RETRY_CODE));
	if (map->words > 1)
		tini_wake_one(runner->pool); /* each that wakes wakes one more: the submitter pays
						for one */
	while (!tini_runner_must_leave(runner) && take_range(runner, job, map, &low, &high))
		run_range(runner, job, map, low, high);
	if (atomic_load(&map->cursor) >= map->words)
		tini_job_try_end(job);
}

/* ---- futures */

static void run_future(tini_runner *runner, tini_job *job)
{
	tini_slot *slot = runner->slot;
	uint64_t seen;

	if (!tini_claim_take(&job->word, runner->owner, &seen))
		return;
	TINI_KILL_POINT("future-claimed");
	tini_ready_clear(runner->pool, job->index);
	int64_t begun = begin_busy(slot);
	runner->index = 0;
	if (should_stop(runner, job)) {
		atomic_store(&job->status, atomic_load(&job->abort));
		atomic_store(&job->failed, 1);
	} else {
		run_item(runner, job, tini_claim_tries(seen), job->arg, job->result);
	}
	end_busy(slot, begun, 1);
	TINI_KILL_POINT("future-ran");
	tini_claim_finish(&job->word, runner->owner);
	TINI_KILL_POINT("future-done");
	tini_job_try_end(job);
}

/* ---- any job */

void tini_run_job(tini_runner *runner, tini_job *job)
{
	tini_slot *slot = runner->slot;

	/* Named before its state is read: the submitter, who ends the job before it reads the
	 * names, cannot give the map back while we look at it. */
	atomic_store(&slot->job, (uint64_t)job->index + 1);
	TINI_KILL_POINT("job-named");
	uint32_t state = atomic_load(&job->state);
	tini_map *map = atomic_load(&job->map);
	/* Twice the same use: the map is that of the job that runs. */
	if (tini_job_state_of(state) == TINI_JOB_RUNNING &&
	    tini_job_same_use(state, atomic_load(&job->state))) {
		runner->job = job;
		if (map)
			run_map(runner, job, map);
		else
			run_future(runner, job);
		runner->job = NULL;
	}
	if (!tini_runner_must_leave(runner)) {
		tini_ready_clear(runner->pool, job->index);
		if (tini_job_has_work(job)) /* offered again in between */
			tini_ready_set(runner->pool, job->index);
	}
	atomic_store_explicit(&slot->mark, 0, memory_order_relaxed); /* before the name goes */
	atomic_store_explicit(&slot->started, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->job, 0, memory_order_release);
}
