/* SPDX-License-Identifier: MIT */
/* What the calls of this room have in common: handles, waiting, kinds. */
#ifndef TINI_POOL_POOL_H
#define TINI_POOL_POOL_H

#include "pool/shared.h"

/* One way to run items. */
typedef struct tini_pool_kind {
	const char *name;
	bool cooperative; /* items run in the host: limits are looked at between items, a crash is
			     the host's */
	int most_workers; /* 0: as many as are asked for */
	int spares;       /* slots beside each worker's, for those that stand in for it */
	/* TINE_EUNSUPPORTED, told, for what this kind cannot do. */
	int (*check)(const tine_pool_open_args *args);
	/* The fields of `pool` are set: start what runs items. */
	int (*open)(tine_pool *pool);
	/* The job is published: see that it is run. */
	void (*offer)(tine_pool *pool, tini_job *job);
	/* End; `kill`: at once.  0, TINE_ETIMEDOUT with nothing changed, or TINE_ELOST: ended all
	 * the same. */
	int (*close)(tine_pool *pool, bool kill, int64_t deadline);
	/* From time to time while something is waited for: 0, or the code with which the pool has
	 * ended. */
	int (*look)(tine_pool *pool);
	/* An item of the pool waits for the job: run what is left of it, in the caller.  True: there
	 * was something.  NULL: others do it. */
	bool (*help)(tine_pool *pool, tini_job *job);
} tini_pool_kind;

extern const tini_pool_kind tini_kind_processes, tini_kind_threads, tini_kind_serial;

/* For the kinds whose items run in the host: what only a process can be held to is refused. */
int tini_pool_check_cooperative(const tine_pool_open_args *args);

/* Who is calling. */
typedef enum tini_role { TINI_STRANGER, TINI_HOST, TINI_WORKER } tini_role;
tini_role tini_pool_role(const tine_pool *pool);

/* 0, or TINE_EINVAL or TINE_ESTATE, told. */
int tini_pool_check(const tine_pool *pool, const char *call);

/* The same, where work is to be given to it. */
int tini_pool_check_open(const tine_pool *pool, const char *call);

/* A `.context` that workers can see: 0, or TINE_EINVAL. */
int tini_pool_check_context(const tine_pool *pool, const void *context, const char *call);

/* Hold the pool's memory, and let go of it: the host alone.  Its workers end before it does. */
void tini_pool_hold(tine_pool *pool);
void tini_pool_let_go(tine_pool *pool);

/* The supervisor should look at its orders. */
void tini_pool_kick(tine_pool *pool);

/*
 * Wait for the job until the deadline; `each`, where not NULL, is called before each sleep of at
 * most `slice` ns and ends the wait by returning non-zero.  Returns 0 (ended), TINE_ETIMEDOUT (not
 * told), or what `each` returned.  A caller inside an item has parked its worker.
 */
int tini_job_wait(tini_job *job, int64_t deadline, int64_t slice, int (*each)(void *context),
		  void *context);

/* Before the job's own events are waited for otherwise: repair what may be lost.  May be called at
 * any time. */
void tini_job_look_after(tini_job *job);

/* A worker that is about to wait inside an item makes room for another; job: for what, NULL: for
 * what it is about to submit.  TINE_EDEADLOCK, told: there is no more. */
int tini_park(tine_pool *pool, tini_job *job);
void tini_unpark(tine_pool *pool);

/* How many workers wait inside an item. */
uint32_t tini_parked(const tine_pool *pool);

/* The caller is about to sleep until the job ends: where it is an item of the same pool and the pool
 * has nobody who stands in for it, it runs what is left of the job.  True: there was something. */
bool tini_job_help(tini_job *job);

/* Sleep until the state of a running job changes, or the moment comes, or for no reason. */
void tini_job_sleep(tini_job *job, int64_t until);

/* An item of the job's pool waits for it. */
void tini_job_want(tini_job *job);

/* Let running items of the aborted job be killed at this moment. */
void tini_job_kill_at(tini_job *job, int64_t moment);

#endif
