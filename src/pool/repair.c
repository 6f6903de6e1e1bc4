/* SPDX-License-Identifier: MIT */
/*
 * A worker may have died between any two of its stores.  What is found here, and what it means:
 *
 *     job 0              between jobs: nothing to do
 *     range 0            no words in hand
 *     range TAKING       the cursor may have moved for nobody: look at all offered words again
 *     range [low, high)  words CLAIMED by it: by the mark, see tini_claim_remains();
 *                        words DONE by it: counted once, count + DONE is the same before and after;
 *                        words FREE: to be looked at again
 *
 * Modelled in tests/model/claim.pml with a death at every step.
 */
#include "pool/repair.h"

#include "pool/job.h"
#include "pool/ready.h"
#include "pool/run.h"
#include "pool/stories.h"

#include <string.h>

static void tell_lost(tine_pool *pool, unsigned s, tini_job *job, const tini_remains *lost,
		      const tini_death *death)
{
	tini_slot *slot = &pool->slot[s];
	tini_map *map = atomic_load(&job->map);
	tini_failing f = {.index = lost->item,
			  .code = death->code,
			  .signal = death->signal,
			  .worker = (int)s,
			  .pid = atomic_load(&slot->pid),
			  .tries = (int)lost->tries,
			  .crash = &slot->crash,
			  .text = ""};

	atomic_fetch_add_explicit(&pool->lost, 1, memory_order_relaxed); /* a figure */
	tini_story_tell(job, map ? tini_map_cell(pool, map, TINI_OWNER_SUPERVISOR) : NULL, &f);
	if (map) {
		tini_map_fail(map, lost->item, death->code);
		if (map->stop)
			tini_job_abort(job, TINE_ECANCELLED);
	} else {
		atomic_store(&job->status, death->code);
		atomic_store(&job->failed, 1);
	}
}

static bool may_retry(const tini_job *job, const tini_remains *lost, const tini_death *death)
{
	int want = death->code == TINE_EDEADLINE ? TINE_RETRY_DEADLINE : TINE_RETRY_CRASH;

	return death->code != TINE_ECANCELLED && death->code != TINE_ELOST &&
	       (job->retry_on & want) && (int64_t)lost->tries < job->retries &&
	       atomic_load(&job->abort) == 0;
}

/* Before the word is settled, so that whoever waits for the item finds it counted. */
static void count_lost(tine_pool *pool, int code)
{
	bool crash = code == TINE_ECRASHED || code == TINE_EEXITED || code == TINE_EOOM;

	atomic_fetch_add_explicit(&pool->crashed, crash, memory_order_relaxed); /* figures */
	atomic_fetch_add_explicit(&pool->overtime, code == TINE_EDEADLINE, memory_order_relaxed);
}

/* The word after the death: the same item again, the next item, or nothing left. */
static void settle(tine_pool *pool, unsigned s, tini_job *job, tini_claim *word,
		   const tini_remains *r, const tini_death *death, uint64_t length)
{
	uint64_t uses = tini_claim_offset(atomic_load(word)); /* in a future's word */
	bool is_map = atomic_load(&job->map) != NULL;

	if (r->lost)
		count_lost(pool, death->code);
	if (r->lost && may_retry(job, r, death)) {
		atomic_fetch_add_explicit(&pool->retried, 1, memory_order_relaxed); /* a figure */
		tini_claim_offer(word, r->tries + 1, is_map ? r->offset - 1 : uses);
		return;
	}
	if (r->lost)
		tell_lost(pool, s, job, r, death);
	if (r->offset < length)
		tini_claim_offer(word, r->lost ? 0 : r->tries, is_map ? r->offset : uses);
	else
		tini_claim_finish(word, s);
}

/* What an item that had ended has allocated goes with its result, what a lost one has is given
 * back. */
static void settle_results(tini_slot *slot, tini_job *job, const tini_remains *r)
{
	uint64_t mark = atomic_load(&slot->mark);

	if (r->lost || mark == 0 || tini_mark_is_running(mark))
		tini_results_drop(slot);
	else
		tini_results_keep(slot, job);
}

static bool repair_word(tine_pool *pool, unsigned s, tini_job *job, tini_map *map, uint64_t k,
			const tini_death *death)
{
	tini_slot *slot = &pool->slot[s];
	uint64_t length = tini_map_length(map, k);
	uint64_t offset = tini_claim_offset(atomic_load(&map->word[k]));
	tini_remains r =
		tini_claim_remains(atomic_load(&map->word[k]), atomic_load(&slot->mark),
				   atomic_load(&slot->tries), tini_map_first(map, k), length);

	settle_results(slot, job, &r);
	/* A figure: what had ended of the chunk; a lost item is counted where it is told. */
	atomic_fetch_add_explicit(&slot->items, r.offset - offset - r.lost, memory_order_relaxed);
	settle(pool, s, job, &map->word[k], &r, death, length);
	return r.lost;
}

static bool repair_range(tine_pool *pool, unsigned s, tini_job *job, tini_map *map, uint64_t range,
			 const tini_death *death)
{
	tini_cell *cell = tini_map_cell(pool, map, s);
	uint64_t done = 0, free_words = 0, count = atomic_load(&pool->slot[s].count);
	uint64_t counted = atomic_load(&cell->ended) - count; /* DONE before, or told already */
	uint64_t settled = 0;
	bool lost = false;

	for (uint64_t k = tini_range_low(range); k < tini_range_high(range); k++) {
		done += tini_claim_is(&map->word[k], TINI_DONE, s);
		if (tini_claim_is(&map->word[k], TINI_CLAIMED, s)) {
			lost |= repair_word(pool, s, job, map, k, death);
			settled += tini_claim_is(&map->word[k], TINI_DONE, s);
		}
		free_words += tini_claim_state_of(atomic_load(&map->word[k])) == TINI_FREE;
	}
	if (done > counted)
		atomic_fetch_add_explicit(&pool->slot[s].items, (done - counted) * map->chunk,
					  memory_order_relaxed); /* a figure */
	atomic_store(&cell->ended, count + done + settled);
	if (free_words > 0)
		tini_map_redo(map, tini_range_low(range), tini_range_high(range));
	return lost;
}

static bool repair_map(tine_pool *pool, unsigned s, tini_job *job, tini_map *map,
		       const tini_death *death)
{
	uint64_t range = atomic_load(&pool->slot[s].range), cursor = atomic_load(&map->cursor);
	bool lost = false;

	if (range == TINI_RANGE_TAKING)
		tini_map_redo(map, 0, cursor < map->words ? cursor : map->words);
	else if (range != 0)
		lost = repair_range(pool, s, job, map, range, death);
	tini_results_drop(
		&pool->slot[s]); /* of an item whose chunk had been offered already: none */
	if (atomic_load(&job->abort) != 0)
		tini_job_end_unclaimed(job, TINI_OWNER_SUPERVISOR);
	return lost;
}

static bool repair_future(tine_pool *pool, unsigned s, tini_job *job, const tini_death *death)
{
	tini_slot *slot = &pool->slot[s];

	if (!tini_claim_is(&job->word, TINI_CLAIMED, s))
		return false;
	uint64_t word = atomic_load(&job->word);
	tini_remains r =
		tini_claim_remains(tini_claim_make(TINI_CLAIMED, s, tini_claim_tries(word), 0),
				   atomic_load(&slot->mark), atomic_load(&slot->tries), 0, 1);
	settle_results(slot, job, &r);
	settle(pool, s, job, &job->word, &r, death, 1);
	if (atomic_load(&job->abort) != 0)
		tini_job_end_unclaimed(job, TINI_OWNER_SUPERVISOR);
	return r.lost;
}

static void forget(tini_slot *slot)
{
	int64_t now = tini_clock_now(), busy = atomic_exchange(&slot->busy_since, 0);
	int64_t waiting = atomic_exchange(&slot->waiting_since, 0);

	atomic_fetch_add(&slot->busy, busy ? now - busy : 0);
	atomic_fetch_add(&slot->waiting, waiting ? now - waiting : 0);
	tini_results_drop(slot);
	atomic_store(&slot->range, 0);
	atomic_store(&slot->mark, 0);
	atomic_store(&slot->started, 0);
	atomic_store(&slot->tries, 0);
	atomic_store(&slot->leave, 0);
	slot->text[0] = '\0';
	memset(&slot->crash, 0, sizeof slot->crash);
	atomic_store(&slot->job, 0); /* last: until here the job's memory is held */
}

bool tini_repair(tine_pool *pool, unsigned s, const tini_death *death)
{
	tini_slot *slot = &pool->slot[s];
	uint64_t named = atomic_load(&slot->job);
	bool lost = false;

	tini_sleep_forget(pool, s);
	if (named != 0) {
		tini_job *job = tini_job_at(pool, (uint32_t)named - 1);

		if (tini_job_is(job, TINI_JOB_RUNNING)) {
			tini_map *map =
				atomic_load(&job->map); /* after the state: it is of this use */

			lost = map ? repair_map(pool, s, job, map, death)
				   : repair_future(pool, s, job, death);
			tini_job_try_end(job);
			if (tini_job_has_work(job))
				tini_ready_set(pool, job->index);
		}
	}
	forget(slot);
	atomic_store(&pool->limbo, 1);
	if (tini_ready_find(pool, false) >= 0)
		tini_wake_one(
			pool); /* it may have died with a wake that was meant for this work, */
	tini_wake_lost(pool);  /* or before it rang the bell of one that it had chosen */
	return lost;
}

/* Nobody waits for it any more. */
static void end_created(tini_job *job)
{
	uint32_t state = atomic_load(&job->state);

	/* One that it had let go of may be another's by now. */
	if (tini_job_state_of(state) == TINI_JOB_FREE || (state & TINI_JOB_GONE))
		return;
	atomic_store(&job->creator, 0);
	if (tini_job_is(job, TINI_JOB_NEW)) { /* it was never offered */
		tini_job_discard(job);
		return;
	}
	tini_job_abort(job, TINE_ECANCELLED);
	if (tini_job_is(job, TINI_JOB_RUNNING)) {
		tini_job_settle_outside(job, TINI_OWNER_SUBMITTER);
		tini_job_end_unclaimed(job, TINI_OWNER_SUPERVISOR);
	}
	tini_job_let_go(job);
}

void tini_repair_created(tine_pool *pool, unsigned s)
{
	tini_slot *slot = &pool->slot[s];

	if (atomic_exchange(&slot->created, 0) == 0)
		return;
	for (uint32_t i = 0; i < atomic_load(&pool->ring); i++) {
		tini_job *job = tini_job_at(pool, i);

		if (job && atomic_load(&job->creator) == s + 1)
			end_created(job);
	}
}
