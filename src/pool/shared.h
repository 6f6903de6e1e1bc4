/* SPDX-License-Identifier: MIT */
/*
 * What a process pool keeps in the shared heap, and who may write it.
 *
 *     tine_pool ──> slot[0 .. slots)   one per worker process and spare, each with a crash record:
 *        │             job, range, mark   what the worker is doing, in words that only it writes
 *        ├──> ready bits                 hints: which segments have jobs with chunks to take
 *        ├──> asleep bits                hints: which workers sleep on their bell
 *        └──> segment[] ──> job[64]      records, never unmapped while the pool or a future lives
 *                            ├── word    a future: its claim word
 *                            └── map ──> cell[slots + 2], claim word[], status[]
 *
 * Truth is in the claim words, the statuses and each slot's job, range, count and mark.  Everything
 * else is a hint or is derived, and a process may die between any two stores.  Only the supervisor
 * mends, after waitpid().
 */
#ifndef TINI_POOL_SHARED_H
#define TINI_POOL_SHARED_H

#include "base/clock.h"
#include "base/relax.h"
#include "pool/claim.h"
#include "process/crash.h"
#include "process/hidden.h"

#include <tine/pool.h>

enum {
	TINI_SEGMENT_JOBS = 64, /* the bits of one ready word */
	TINI_SEGMENTS = 4096,   /* x 64 = 262,144 futures and maps in flight */
	TINI_RING_MAX = TINI_SEGMENT_JOBS * TINI_SEGMENTS,
	TINI_WORKERS_MAX = 1792, /* 9 slots each, within the owner's 14 bits */
	TINI_SPARES = 8,         /* per worker, for workers that wait inside an item */
	TINI_INLINE = 96,        /* bytes of argument and result kept in the record */
	TINI_TEXT = 240,
	TINI_WATCHDOG_NS = 50 * 1000 * 1000,
};
typedef enum tini_closing {
	TINI_OPEN,
	TINI_DRAINING, /* no new work from the host */
	TINI_LEAVING,  /* nothing is left to do: workers leave */
	TINI_KILLING,  /* workers are killed */
} tini_closing;

/* The owner of a chunk that is ended from outside: by its submitter or by the supervisor. */
enum { TINI_OWNER_SUBMITTER = TINI_OWNER_MAX, TINI_OWNER_SUPERVISOR = TINI_OWNER_MAX - 1 };

#define TINI_POOL_MAGIC 0x54494e45504f4f4cull /* "TINEPOOL" */

typedef struct tini_job tini_job;
typedef struct tini_slot tini_slot;

/* One failed item as its writer saw it; names are looked up later, in the host. */
typedef struct tini_story {
	_Atomic uint64_t key; /* item index + 1; 0: being written, or none */
	int32_t code, signal, worker, pid, tries;
	tini_crash crash;
	char text[TINI_TEXT]; /* the task's own words */
} tini_story;

/* Stories of one job by one writer, newest block first; only that writer links blocks. */
typedef struct tini_stories {
	struct tini_stories *next;
	uint32_t used;
	tini_story story[16];
} tini_stories;

/* A block of tine_result_alloc() that its item has not ended with yet, or that nobody has got yet.
 */
typedef struct tini_result {
	struct tini_result *next;
	void *block;
} tini_result;

/* A worker's count of chunks ended, alone in its line. */
typedef struct tini_cell {
	_Alignas(64) _Atomic uint64_t
		ended; /* the slot's worker; the supervisor while the slot is dead */
	_Atomic(tini_stories *) stories; /* the same */
	uint64_t highest; /* the key to beat where all places are taken; 0: not known */
	uint32_t kept;    /* stories in the blocks */
} tini_cell;

typedef enum tini_job_state {
	TINI_JOB_FREE,
	TINI_JOB_NEW,
	TINI_JOB_RUNNING,
	TINI_JOB_ENDED
} tini_job_state;
/*
 * The state word:  uses:22 | user gone:1 | waited:1 | tini_job_state:8.  The uses keep one who
 * looked at an earlier use from ending a later one; whoever makes the pair (ENDED, user gone)
 * complete gives the record back.
 */
#define TINI_JOB_WAITED 0x100u /* somebody sleeps on the word */
#define TINI_JOB_GONE 0x200u   /* the submitter has let go of it */
#define TINI_JOB_USE 0x400u    /* one use */

struct tini_job {
	_Alignas(64) _Atomic uint32_t state; /* the state word; futex */
	_Atomic int32_t abort;   /* 0, or the code for what has not ended: set once, by CAS */
	_Atomic int64_t kill_at; /* 0, or when running items are killed */
	tini_claim word;         /* a future's claim word */
	_Atomic uint32_t failed; /* 1: some status is not 0 */
	_Atomic(struct tini_map *) map; /* NULL: a future */
	uint32_t index;                 /* of this record; set once */
	_Atomic uint32_t
		depth; /* 0: the host's; 1: submitted or waited for inside an item; 2: ... */
	_Atomic uint32_t creator; /* slot + 1 of the worker that submitted it; 0: the host */
	/* written while NEW by its submitter, read after a claim or under a hazard */
	_Alignas(64) tine_pool *pool;
	tine_task *task;
	void *context;
	int64_t timeout;  /* ns; 0: none */
	int64_t deadline; /* clock, for kinds that look at it themselves; TINI_NEVER: none */
	const tine_cancel *cancel; /* the same; or NULL */
	int32_t retries, retry_on;
	size_t arg_size, result_size;
	_Alignas(64) _Atomic int32_t status; /* a future's; stored before its word is DONE */
	_Atomic(tini_story *) story;         /* a future's */
	_Atomic(tini_result *) results;      /* a future's blocks, until somebody gets them */
	_Atomic(tine_failure *) failure;     /* made by tine_future_failure() */
	const void *arg;                     /* a future's */
	void *result;
	void *block; /* a future's bytes where they do not fit inline; a map's private arguments and
			results */
	_Alignas(16) unsigned char inline_bytes[TINI_INLINE];
};

typedef struct tini_segment {
	_Alignas(64) _Atomic uint64_t ready; /* one bit a job: it may have work */
	tini_job job[TINI_SEGMENT_JOBS];
} tini_segment;

typedef struct tini_map {
	tini_job *job;
	const unsigned char *args;
	unsigned char *results;
	uint64_t count, chunk, words;         /* items; items per word; words */
	uint32_t stories_max;                 /* per writer */
	bool stop;                            /* TINE_STOP */
	_Alignas(64) _Atomic uint64_t cursor; /* a hint: words below it have been offered once */
	_Alignas(64) _Atomic uint64_t
		redo;     /* low:32 | high:32, words to look at again; low == high: none */
	tini_cell *cell;  /* [slots + 2]: one a slot, then the submitter's, then the supervisor's */
	tini_claim *word; /* [words] */
	_Atomic int32_t *status; /* [count] */
} tini_map;

typedef enum tini_slot_state {
	TINI_SLOT_EMPTY,    /* no process */
	TINI_SLOT_STARTING, /* forked; init not done */
	TINI_SLOT_LIVE,
	TINI_SLOT_LEAVING, /* ends by itself, between items */
	TINI_SLOT_REFUSED, /* its init failed */
} tini_slot_state;

#define TINI_RANGE_TAKING \
	UINT64_MAX /* the cursor or redo may have moved, and the range is not told yet */

struct tini_slot {
	_Alignas(64) _Atomic uint32_t bell; /* futex; anyone rings */
	_Atomic uint32_t
		state; /* tini_slot_state: the supervisor EMPTY, STARTING; the worker the rest */
	_Atomic int32_t pid;               /* the supervisor; the worker its own */
	_Atomic uint32_t parked;           /* the worker: threads of it that wait inside its item */
	_Atomic int32_t kill_code;         /* the supervisor: why it kills this worker */
	_Atomic uint32_t cpu;              /* the worker: CPU + 1 it was last seen on */
	_Atomic uint32_t created;          /* the worker: it has submitted jobs itself */
	_Alignas(64) _Atomic uint64_t job; /* hazard: record index + 1 */
	_Atomic uint64_t range; /* low:32 | high:32 of the words taken; 0 none; TINI_RANGE_TAKING */
	_Atomic uint64_t count; /* the cell's value when the range was taken */
	_Atomic uint64_t mark;  /* the item: tini_mark_running(), tini_mark_ended() */
	_Atomic int64_t started; /* clock of the item's start, in jobs with a limit; else 0 */
	_Atomic(tini_result *) results; /* blocks of the running item */
	_Atomic uint32_t tries;         /* of the marked item: how often it had been begun before */
	_Atomic uint32_t leave;         /* the supervisor: end between items */
	_Alignas(64) _Atomic uint64_t items, failures, retried; /* figures: the worker */
	_Atomic int64_t busy, waiting;                          /* ns: the worker */
	_Atomic int64_t busy_since, waiting_since; /* clock of what goes on now; or 0 */
	/* the supervisor alone */
	uint64_t stopping; /* the mark for which it was stopped, to be looked at again */
	int64_t stopped_at, crash_at, forked_at;
	bool spare;
	char text[TINI_TEXT]; /* the worker: what tine_task_fail() said, or why init failed */
	tini_crash crash;     /* the worker's crash handler */
};

struct tine_pool {
	uint64_t magic;
	const struct tini_pool_kind *kind;
	uint64_t host; /* tini_self_id() of the process that opened it */
	_Atomic uint32_t
		holders;    /* the pool itself, every future and call of the host: the last frees */
	int workers, slots; /* slots: workers and spares */
	int threads_per_worker;
	/* as opened */
	tine_init *init;
	void (*exit)(void *context);
	void *context;
	size_t tasks_per_worker, memory_limit;
	int64_t timeout, cpu_limit; /* ns */
	int retries, retry_on;
	tine_pin pin;
	char name[64];
	/* life */
	_Alignas(64) _Atomic uint32_t
		closing;            /* tini_closing: only grows, but for a close that is given up */
	_Atomic uint32_t opened;    /* futex: 0 starting, 1 all workers are up, 2 refused */
	_Atomic uint32_t limbo;     /* 1: some record could not be given back yet */
	_Atomic int32_t broken;     /* 0, or the code: no worker will come any more */
	_Atomic uint32_t ended;     /* futex: 1 when the supervisor has reaped all */
	_Atomic uint32_t nested;    /* 1: some worker has submitted work or waited */
	_Atomic int32_t supervisor; /* pid */
	_Atomic uint64_t looked_at; /* the supervisor: index + 1 of the job whose map it looks at */
	_Atomic uint32_t kicked;    /* 1: it has been signalled and has not looked since */
	_Atomic uint32_t submitter_cpu; /* CPU + 1 that work last came from; a hint for spinning */
	_Atomic int64_t watching; /* ns between the supervisor's looks at limits: for a shorter one
				     it needs a kick */
	_Atomic uint64_t crashed, overtime, retried,
		lost;        /* figures: the supervisor; lost: items that died with a worker */
	char why[TINI_TEXT]; /* of broken and refused: written before the code */
	/* jobs */
	_Alignas(64) _Atomic uint64_t next; /* where to look for a free record */
	_Atomic uint32_t ring;              /* records in use: a power of two times 64 */
	_Alignas(64) _Atomic uint32_t head; /* a hint: where work was last found */
	_Atomic(tini_segment *) *segment;   /* [TINI_SEGMENTS] */
	_Atomic uint64_t
		*ready_segments; /* one bit for each segment whose ready word may have one */
	_Alignas(64) _Atomic uint64_t *asleep; /* [slots / 64 + 1] */
	tini_slot *slot;
	struct tini_modules *modules; /* as they were at the open */
	_Atomic uintptr_t known_task; /* the last task that was found in them */
	struct tini_threads *threads; /* a pool of threads: what the host keeps of them */
	tini_hidden hidden; /* the host's side of the supervisor: used by the host alone */
};

static inline uint64_t tini_range_make(uint64_t low, uint64_t high)
{
	return low << 32 | high;
}
static inline uint64_t tini_range_low(uint64_t range)
{
	return range >> 32;
}
static inline uint64_t tini_range_high(uint64_t range)
{
	return range & UINT32_MAX;
}

#endif
