/* SPDX-License-Identifier: MIT */
/*
 * Running items: what a worker process does with a job, and what the caller itself does in a serial
 * pool.
 */
#ifndef TINI_POOL_RUN_H
#define TINI_POOL_RUN_H

#include "pool/shared.h"

/* One that runs items. */
typedef struct tini_runner {
	struct tini_runner *outer; /* what this thread was running when it began to run for this */
	tine_pool *pool;
	uint64_t self; /* tini_self_id() of its process: a child that an item forks is a stranger */
	tini_slot *slot;
	unsigned owner;   /* in claim words; the slot's number */
	bool cooperative; /* nobody else watches the clock */
	bool is_process;  /* a worker process: its stdout is flushed, it may leave */
	bool nested;      /* inside an item of the same owner: others cannot take from its range */
	int spin_score;   /* whether looking for work without sleeping pays */
	size_t left;      /* items until it leaves; SIZE_MAX: no limit */
	void (*arm)(struct tini_runner *runner, bool on); /* the CPU limit of an item; or NULL */
	uint64_t batch;                                   /* words taken at once */
	uint64_t ran;                                     /* items ended in this batch */
	bool plain; /* the job's items need no clock, no budget and no retry by code */
	/* the running item */
	tini_job *job;
	size_t index;
	int64_t started;
} tini_runner;

/* The runner of the calling thread, or of this worker process; NULL outside an item. */
tini_runner *tini_runner_current(void);

/* The innermost runner of that pool in which the caller runs, also where an item of it uses another
 * pool; NULL: none. */
tini_runner *tini_runner_of(const tine_pool *pool);

/* Make it the calling thread's, until it leaves: then it is the one before again. */
void tini_runner_enter(tini_runner *runner);
void tini_runner_leave(const tini_runner *runner);

/* In a worker process: threads that an item starts belong to its item too. */
void tini_runner_of_process(tini_runner *runner);

/* Take work from the job until it has none, or the runner has to leave. */
void tini_run_job(tini_runner *runner, tini_job *job);

/* What an item's return value counts as. */
int tini_run_code(int returned);

/* Hand the blocks of an ended item over, or give those of a failed one back; the worker, or the
 * supervisor for it. */
void tini_results_keep(tini_slot *slot, tini_job *job);
void tini_results_drop(tini_slot *slot);

/* It must not begin another item. */
bool tini_runner_must_leave(const tini_runner *runner);

#endif
