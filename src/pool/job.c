/* SPDX-License-Identifier: MIT */
#include "pool/job.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/futex.h"
#include "base/killpoint.h"
#include "heap/heap.h"
#include "pool/pool.h"
#include "pool/ready.h"
#include "pool/stories.h"

enum { PROBES = 64 };

void *tini_pool_alloc(size_t size)
{
	void *block = tini_heap_alloc(size);

	if (block)
		tini_heap_hand_over(block);
	return block;
}

/* ---- records */

static bool add_segment(tine_pool *pool, uint32_t n)
{
	tini_segment *none = NULL;

	if (atomic_load(&pool->segment[n]))
		return true;
	tini_segment *segment = tini_pool_alloc(sizeof *segment);
	if (!segment)
		return false;
	for (uint32_t i = 0; i < TINI_SEGMENT_JOBS; i++) {
		segment->job[i].index = n * TINI_SEGMENT_JOBS + i;
		segment->job[i].pool = pool;
		atomic_init(&segment->job[i].word, tini_claim_make(TINI_DONE, 0, 0, 0));
	}
	if (!atomic_compare_exchange_strong(&pool->segment[n], &none, segment))
		tini_heap_free(segment); /* another was first */
	return true;
}

int tini_jobs_start(tine_pool *pool)
{
	if (!add_segment(pool, 0))
		return TINE_ENOMEM;
	atomic_store(&pool->ring, TINI_SEGMENT_JOBS);
	return 0;
}

/* Twice as many records, from `ring` on. */
static bool grow(tine_pool *pool, uint32_t ring)
{
	if (ring >= TINI_RING_MAX)
		return false;
	for (uint32_t n = ring / TINI_SEGMENT_JOBS; n < 2 * ring / TINI_SEGMENT_JOBS; n++)
		if (!add_segment(pool, n))
			return false;
	atomic_compare_exchange_strong(&pool->ring, &ring, 2 * ring);
	return true;
}

/* A free record becomes ours, in its next use. */
static bool take_record(tini_job *job)
{
	uint32_t state = atomic_load(&job->state);
	uint32_t next = ((state & ~(TINI_JOB_USE - 1)) + TINI_JOB_USE) | TINI_JOB_NEW;

	return tini_job_state_of(state) == TINI_JOB_FREE &&
	       atomic_compare_exchange_strong(&job->state, &state, next);
}

/* The same use in another state, without flags; the record is ours alone. */
static void set_state(tini_job *job, tini_job_state to)
{
	atomic_store(&job->state, (atomic_load(&job->state) & ~(TINI_JOB_USE - 1)) | to);
}

static tini_job *probe(tine_pool *pool, uint32_t probes)
{
	uint32_t ring = atomic_load(&pool->ring);

	for (uint32_t i = 0; i < probes; i++) {
		tini_job *job =
			tini_job_at(pool, (uint32_t)(atomic_fetch_add(&pool->next, 1) % ring));

		if (job && take_record(job))
			return job;
	}
	return NULL;
}

tini_job *tini_job_new(tine_pool *pool, const char *call)
{
	for (;;) {
		uint32_t ring = atomic_load(&pool->ring);
		tini_job *job = probe(pool, ring < TINI_RING_MAX ? PROBES : TINI_RING_MAX);

		if (job) {
			atomic_store(&job->abort, 0);
			atomic_store(&job->kill_at, 0);
			atomic_store(&job->failed, 0);
			atomic_store(&job->status, 0);
			job->block = NULL;
			return job;
		}
		if (ring >= TINI_RING_MAX)
			return TINI_FAIL_NULL(
				TINE_ENOMEM,
				"%s: %d futures and maps are in flight: get and free some", call,
				TINI_RING_MAX);
		if (tini_pool_role(pool) != TINI_WORKER && tini_jobs_sweep_limbo(pool))
			continue;
		if (!grow(pool, ring))
			return NULL;
	}
}

void tini_job_publish(tini_job *job)
{
	uint64_t uses = (tini_claim_offset(atomic_load(&job->word)) + 1) & TINI_OFFSET_MAX;

	/* Never DONE and RUNNING at once before it has run: who finds that ends the job. */
	if (!atomic_load(&job->map))
		atomic_store(&job->word,
			     tini_claim_make(TINI_CLAIMED, TINI_OWNER_SUBMITTER, 0, uses));
	TINI_KILL_POINT("job-claimed-by-submitter");
	set_state(job, TINI_JOB_RUNNING);
	TINI_KILL_POINT("job-running");
	if (!atomic_load(&job->map))
		tini_claim_offer(&job->word, 0, uses);
}

static void free_results(_Atomic(tini_result *) *list)
{
	tini_result *result = atomic_exchange(list, NULL);

	while (result) {
		tini_result *next = result->next;

		tine_shared_free(result->block);
		tini_heap_free(result);
		result = next;
	}
}

static bool is_looked_at(tini_job *job)
{
	const tine_pool *pool = job->pool;

	if (atomic_load(&pool->looked_at) == (uint64_t)job->index + 1)
		return true;
	for (int i = 0; i < pool->slots; i++)
		if (atomic_load(&pool->slot[i].job) == (uint64_t)job->index + 1)
			return true;
	return false;
}

static void recycle_map(tini_job *job, tini_map *map)
{
	for (int i = 0; i < job->pool->slots + 2; i++)
		tini_stories_free(&map->cell[i]);
	atomic_store(&job->map, NULL);
	tini_heap_free(map);
}

static void recycle_future(tini_job *job)
{
	free_results(&job->results);
	tini_heap_free(atomic_exchange(&job->story, NULL));
	tini_heap_free(atomic_exchange(&job->failure, NULL));
}

static bool is_bare(tini_job *job)
{
	return !job->block && !atomic_load(&job->map) && !atomic_load(&job->results) &&
	       !atomic_load(&job->story) && !atomic_load(&job->failure);
}

void tini_job_recycle(tini_job *job, uint32_t seen)
{
	uint32_t state = seen;

	/* A worker may be killed in the middle of giving back: where something hangs on the record
	 * it leaves that to the supervisor. */
	if (tini_pool_role(job->pool) == TINI_WORKER && !is_bare(job)) {
		atomic_store(&job->pool->limbo, 1);
		return;
	}
	/* Exactly the use that the caller saw ended and let go of.  NEW is nobody's business: one of
	 * those who get here has the record to itself. */
	if (tini_job_state_of(seen) != TINI_JOB_ENDED || !(seen & TINI_JOB_GONE) ||
	    !atomic_compare_exchange_strong(&job->state, &state, (seen & ~0xffu) | TINI_JOB_NEW))
		return;
	tini_ready_clear(job->pool, job->index);
	/* A worker names the job before it looks at its state: one that is not seen here sees that
	 * it has ended. */
	if (atomic_load(&job->map) && is_looked_at(job)) {
		atomic_store(&job->state, seen);
		atomic_store(&job->pool->limbo, 1);
		if (!is_looked_at(job)) /* it has looked away meanwhile, before the mark */
			tini_job_recycle(job, seen);
		return;
	}
	tini_job_discard(job);
}

void tini_job_discard(tini_job *job)
{
	tini_map *map = atomic_load(&job->map);
	void *block = job->block;

	job->block = NULL; /* first: who dies here must not have it given back twice */
	tini_heap_free(block);
	if (map)
		recycle_map(job, map);
	else
		recycle_future(job);
	atomic_store(&job->creator, 0); /* before it is free: the next submitter's is another */
	set_state(job, TINI_JOB_FREE);
}

bool tini_jobs_sweep_limbo(tine_pool *pool)
{
	if (atomic_load(&pool->limbo) == 0 || atomic_exchange(&pool->limbo, 0) == 0)
		return false;
	for (uint32_t i = 0; i < atomic_load(&pool->ring); i++) {
		tini_job *job = tini_job_at(pool, i);

		if (job)
			tini_job_recycle(job, atomic_load(&job->state));
	}
	return true;
}

void tini_jobs_free(tine_pool *pool)
{
	/* Growing may have failed half way: beyond twice the ring there is none. */
	uint32_t end = 2 * atomic_load(&pool->ring) / TINI_SEGMENT_JOBS;

	for (uint32_t n = 0; n < end && n < TINI_SEGMENTS; n++) {
		tini_segment *segment = atomic_load(&pool->segment[n]);

		for (uint32_t i = 0; segment && i < TINI_SEGMENT_JOBS; i++)
			if (!tini_job_is(&segment->job[i], TINI_JOB_FREE))
				tini_job_discard(&segment->job[i]);
		tini_heap_free(segment);
	}
}

/* ---- the end */

void tini_jobs_announce(void)
{
	_Atomic uint32_t *any = tini_heap_line(TINI_LINE_ANY_WAIT); /* [0] bell, [1] sleepers */

	if (atomic_load(&any[1]) == 0)
		return;
	atomic_fetch_add(&any[0], 1);
	tini_futex->wake(&any[0], INT32_MAX);
}

void tini_job_let_go(tini_job *job)
{
	uint32_t before = atomic_fetch_or(&job->state, TINI_JOB_GONE);

	tini_job_recycle(job, before | TINI_JOB_GONE);
}

bool tini_job_abort(tini_job *job, int code)
{
	int32_t none = 0;

	return atomic_compare_exchange_strong(&job->abort, &none, code);
}

static bool sees_running(tine_pool *pool)
{
	for (uint32_t i = 0; i < atomic_load(&pool->ring); i++) {
		tini_job *job = tini_job_at(pool, i);

		if (job && tini_job_is(job, TINI_JOB_RUNNING))
			return true;
	}
	return false;
}

/*
 * An item may submit and end between two looks of one pass.  Its job is seen in the second pass,
 * unless it was begun since: then the counter has moved.
 */
bool tini_jobs_any_running(tine_pool *pool)
{
	uint64_t begun = atomic_load(&pool->next);

	return sees_running(pool) || sees_running(pool) || atomic_load(&pool->next) != begun;
}

static bool is_done(tini_job *job, tini_map *map)
{
	if (!map)
		return tini_claim_state_of(atomic_load(&job->word)) == TINI_DONE;
	uint64_t ended = 0;
	for (int i = 0; i < job->pool->slots + 2; i++)
		ended += atomic_load(&map->cell[i].ended);
	return ended == map->words;
}

bool tini_job_try_end(tini_job *job)
{
	uint32_t state = atomic_load(&job->state), use = state & ~(TINI_JOB_USE - 1);

	if (tini_job_state_of(state) != TINI_JOB_RUNNING)
		return tini_job_state_of(state) == TINI_JOB_ENDED;
	if (!is_done(job, atomic_load(&job->map)))
		return false;
	TINI_KILL_POINT("job-done");
	while (!atomic_compare_exchange_weak(&job->state, &state,
					     (state & ~(0xffu | TINI_JOB_WAITED)) | TINI_JOB_ENDED))
		if (tini_job_state_of(state) != TINI_JOB_RUNNING ||
		    (state & ~(TINI_JOB_USE - 1)) != use)
			return true; /* another ended it */
	TINI_KILL_POINT("job-ended");
	if (state & TINI_JOB_WAITED)
		tini_futex->wake(&job->state, INT32_MAX);
	tini_jobs_announce();
	tini_job_recycle(job, (state & ~(0xffu | TINI_JOB_WAITED)) | TINI_JOB_ENDED);
	return true;
}

bool tini_job_has_work(tini_job *job)
{
	if (!tini_job_is(job, TINI_JOB_RUNNING))
		return false;
	tini_map *map =
		atomic_load(&job->map); /* after the state: who has named the job keeps it */
	if (!map)
		return tini_claim_state_of(atomic_load(&job->word)) == TINI_FREE;
	uint64_t redo = atomic_load(&map->redo);
	return atomic_load(&map->cursor) < map->words ||
	       tini_range_low(redo) < tini_range_high(redo);
}

void tini_job_settle_outside(tini_job *job, unsigned owner)
{
	tini_map *map = atomic_load(&job->map);
	uint64_t done = 0;

	if (!map && tini_claim_is(&job->word, TINI_CLAIMED, owner))
		tini_claim_offer(&job->word, 0, tini_claim_offset(atomic_load(&job->word)));
	for (uint64_t k = 0; map && k < map->words; k++) {
		if (tini_claim_is(&map->word[k], TINI_CLAIMED, owner)) {
			tini_map_skip(map, k, tini_claim_offset(atomic_load(&map->word[k])));
			tini_claim_finish(&map->word[k], owner);
		}
		done += tini_claim_is(&map->word[k], TINI_DONE, owner);
	}
	if (map)
		atomic_store(&tini_map_cell(job->pool, map, owner)->ended, done);
}

static void end_unclaimed_words(tini_job *job, tini_map *map, unsigned owner)
{
	tini_cell *cell = tini_map_cell(job->pool, map, owner);
	uint64_t seen;

	for (uint64_t k = 0; k < map->words; k++) {
		if (!tini_claim_take(&map->word[k], owner, &seen))
			continue;
		tini_map_skip(map, k, tini_claim_offset(seen));
		tini_claim_finish(&map->word[k], owner);
		atomic_fetch_add(&cell->ended, 1);
	}
}

/* The supervisor may be held up between its look at the job and this: by then the record may be in
 * its next use, which is nobody's to end.  So the code and the word are those of one use. */
void tini_job_end_unclaimed(tini_job *job, unsigned owner)
{
	uint32_t state = atomic_load(&job->state);
	tini_map *map = atomic_load(&job->map);
	uint64_t word = atomic_load(&job->word);
	int code = atomic_load(&job->abort);
	bool one_use = tini_job_same_use(state, atomic_load(&job->state));

	if (tini_job_state_of(state) == TINI_JOB_RUNNING && one_use && code != 0) {
		if (map) {
			end_unclaimed_words(job, map, owner);
		} else if (tini_claim_take_seen(&job->word, owner, word)) {
			atomic_store(&job->status, code);
			atomic_store(&job->failed, 1);
			tini_claim_finish(&job->word, owner);
		}
	}
	tini_job_try_end(job);
}

bool tini_job_look_at(tine_pool *pool, tini_job *job)
{
	atomic_store(&pool->looked_at, (uint64_t)job->index + 1);
	return tini_job_is(job, TINI_JOB_RUNNING);
}

void tini_jobs_abort_all(tine_pool *pool, int code)
{
	for (uint32_t i = 0; i < atomic_load(&pool->ring); i++) {
		tini_job *job = tini_job_at(pool, i);

		if (!job || !tini_job_look_at(pool, job))
			continue;
		tini_job_abort(job, code);
		tini_job_end_unclaimed(job, TINI_OWNER_SUPERVISOR);
		tini_futex->wake(&job->state, INT32_MAX);
	}
	atomic_store(&pool->looked_at, 0);
}

/* ---- maps */

tini_map *tini_map_new(tine_pool *pool, uint64_t count, uint64_t chunk)
{
	uint64_t words = count / chunk + (count % chunk != 0);
	size_t cells = (size_t)(pool->slots + 2) * sizeof(tini_cell),
	       head = tini_round_up(sizeof(tini_map), 64);
	size_t word_bytes, status_bytes, size;

	if (!tini_mul_fits(words, sizeof(tini_claim), &word_bytes) ||
	    !tini_mul_fits(count, sizeof(int32_t), &status_bytes) ||
	    !tini_add_fits(head + cells, word_bytes, &size) ||
	    !tini_add_fits(size, status_bytes, &size))
		return TINI_FAIL_NULL(TINE_ENOMEM,
				      "tine_map: %zu items are more than memory can name",
				      (size_t)count);
	tini_map *map = tini_pool_alloc(size);
	if (!map)
		return NULL;
	map->count = count;
	map->chunk = chunk;
	map->words = words;
	map->cell = (tini_cell *)((char *)map + head);
	map->word = (tini_claim *)((char *)map->cell + cells);
	map->status = (_Atomic int32_t *)((char *)map->word + word_bytes);
	return map;
}

void tini_map_fail(tini_map *map, uint64_t index, int code)
{
	/* Ordered before the word's or the mark's release store, which tells that the item has
	 * ended. */
	atomic_store_explicit(&map->status[index], code, memory_order_relaxed);
	atomic_store_explicit(&map->job->failed, 1, memory_order_relaxed);
}

void tini_map_skip(tini_map *map, uint64_t word, uint64_t offset)
{
	uint64_t first = tini_map_first(map, word), length = tini_map_length(map, word);
	int code = atomic_load(&map->job->abort);

	for (uint64_t i = first + offset; i < first + length; i++)
		tini_map_fail(map, i, code);
}

void tini_map_redo(tini_map *map, uint64_t low, uint64_t high)
{
	uint64_t before = atomic_load(&map->redo), after;

	do {
		bool none = tini_range_low(before) >= tini_range_high(before);

		after = none ? tini_range_make(low, high)
			     : tini_range_make(tini_min(low, tini_range_low(before)),
					       tini_max(high, tini_range_high(before)));
	} while (!atomic_compare_exchange_weak(&map->redo, &before, after));
}
