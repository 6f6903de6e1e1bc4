/* SPDX-License-Identifier: MIT */
/*
 * Job records: one per map and per future in flight.
 *
 *     FREE -> NEW -> RUNNING -> ENDED -> FREE
 *
 * A future ends when its claim word is DONE, a map when its cells add up to its words; anyone who
 * sees that may end the job, and exactly one does.
 */
#ifndef TINI_POOL_JOB_H
#define TINI_POOL_JOB_H

#include "pool/shared.h"

/* A block of the pool's, which the death of its maker does not orphan. */
void *tini_pool_alloc(size_t size);

static inline tini_job *tini_job_at(tine_pool *pool, uint32_t index)
{
	/* Acquire: pairs with the segment's publication. */
	tini_segment *segment = atomic_load_explicit(&pool->segment[index / TINI_SEGMENT_JOBS],
						     memory_order_acquire);

	return segment ? &segment->job[index % TINI_SEGMENT_JOBS] : NULL;
}
static inline tini_job_state tini_job_state_of(uint32_t state)
{
	return (tini_job_state)(state & 0xff);
}
static inline bool tini_job_is(tini_job *job, tini_job_state state)
{
	return tini_job_state_of(atomic_load(&job->state)) == state;
}

/* Two looks at a state word saw the same use of the record in the same state. */
static inline bool tini_job_same_use(uint32_t seen, uint32_t again)
{
	return ((seen ^ again) & ~(TINI_JOB_WAITED | TINI_JOB_GONE)) == 0;
}

/* Make the first segment of records. */
int tini_jobs_start(tine_pool *pool);
void tini_jobs_free(tine_pool *pool);

/* A record in state NEW, or NULL with TINE_ENOMEM told. */
tini_job *tini_job_new(tine_pool *pool, const char *call);

/* Fields are set: let it be claimed. */
void tini_job_publish(tini_job *job);

/* Where the state that was seen is of one that has ended and was let go of: give it and all that
 * hangs on it back; a map only when no worker may still look at it, else later. */
void tini_job_recycle(tini_job *job, uint32_t seen);

/* The same for a record in state NEW that is not going to be published. */
void tini_job_discard(tini_job *job);

/* Give back those whose worker has looked away since, and those that workers left.  False: there
 * were none. */
bool tini_jobs_sweep_limbo(tine_pool *pool);

/* Its submitter, or somebody in the place of a dead one, is done with it: give it back now or when
 * it has ended. */
void tini_job_let_go(tini_job *job);

/* The dead owner, TINI_OWNER_SUBMITTER or TINI_OWNER_SUPERVISOR, may have been in the middle of
 * ending words. */
void tini_job_settle_outside(tini_job *job, unsigned owner);

/* Set the code for what has not ended.  False where there was one already. */
bool tini_job_abort(tini_job *job, int code);

/* Look whether it has ended, and end it.  True: it has. */
bool tini_job_try_end(tini_job *job);

/* Something of it could be claimed: a hint to set its ready bit again. */
bool tini_job_has_work(tini_job *job);

/*
 * End what nobody has claimed of an aborted job, as `owner`: TINI_OWNER_SUBMITTER or
 * TINI_OWNER_SUPERVISOR, each used by one thread at a time.  What is claimed ends with its worker.
 */
void tini_job_end_unclaimed(tini_job *job, unsigned owner);

/* The supervisor, or one thread at a time in its place: name the job, so that its map stays; false
 * where it does not run. */
bool tini_job_look_at(tine_pool *pool, tini_job *job);

/* The same: what has not begun of any job ends with the code, what runs is asked to. */
void tini_jobs_abort_all(tine_pool *pool, int code);

/* The map's memory: cells, words and statuses for `count` items in chunks; NULL with TINE_ENOMEM
 * told. */
tini_map *tini_map_new(tine_pool *pool, uint64_t count, uint64_t chunk);

static inline uint64_t tini_map_first(const tini_map *map, uint64_t word)
{
	return word * map->chunk;
}
static inline uint64_t tini_map_length(const tini_map *map, uint64_t word)
{
	uint64_t first = word * map->chunk;

	return map->count - first < map->chunk ? map->count - first : map->chunk;
}

/* Where an owner counts. */
static inline tini_cell *tini_map_cell(const tine_pool *pool, tini_map *map, unsigned owner)
{
	if (owner == TINI_OWNER_SUBMITTER)
		return &map->cell[pool->slots];
	return &map->cell[owner == TINI_OWNER_SUPERVISOR ? (unsigned)pool->slots + 1 : owner];
}

/* Item `index` has failed with `code`. */
void tini_map_fail(tini_map *map, uint64_t index, int code);

/* Items from `offset` of the word's chunk on will not run: they get the job's abort code. */
void tini_map_skip(tini_map *map, uint64_t word, uint64_t offset);

/* Words [low, high) are to be looked at again. */
void tini_map_redo(tini_map *map, uint64_t low, uint64_t high);

/* False only where there was a moment without any. */
bool tini_jobs_any_running(tine_pool *pool);

/* Wake what waits for any job. */
void tini_jobs_announce(void);

#endif
