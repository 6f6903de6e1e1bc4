/* SPDX-License-Identifier: MIT */
/* Opening and closing pools, and who may use a handle. */
#include "pool/pool.h"

#include "base/clock.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/options.h"
#include "heap/heap.h"
#include "pool/job.h"
#include "pool/run.h"
#include "process/modules.h"
#include "process/self.h"

#include <tine/trace.h>

#include <stdio.h>
#include <string.h>

/* ---- handles */

tini_role tini_pool_role(const tine_pool *pool)
{
	const tini_runner *runner = tini_runner_of(pool);

	if (pool->host == tini_self_id())
		return TINI_HOST;
	return runner && runner->self == tini_self_id() ? TINI_WORKER : TINI_STRANGER;
}

int tini_pool_check(const tine_pool *pool, const char *call)
{
	if (!pool)
		return TINI_FAIL(TINE_EINVAL, "%s: pool is NULL", call);
	if (!tine_is_shared(pool) || pool->magic != TINI_POOL_MAGIC)
		return TINI_FAIL(TINE_EINVAL, "%s: pool is no open pool", call);
	if (tini_pool_role(pool) == TINI_STRANGER)
		return TINI_FAIL(TINE_ESTATE,
				 "%s: pool `%s` belongs to another process (a handle does not "
				 "survive fork())",
				 call, pool->name);
	return 0;
}

int tini_pool_check_open(const tine_pool *pool, const char *call)
{
	int rc = tini_pool_check(pool, call);

	if (rc != 0)
		return rc;
	/* Items may go on with what they need until all have ended. */
	if (atomic_load(&pool->closing) != TINI_OPEN && !tini_runner_of(pool))
		return TINI_FAIL(TINE_ESTATE, "%s: pool `%s` is being closed", call, pool->name);
	int broken = atomic_load(&pool->broken);
	if (broken == TINE_ELOST)
		return TINI_FAIL(TINE_ELOST, "%s: the supervisor of pool `%s` was killed", call,
				 pool->name);
	if (broken != 0)
		return TINI_FAIL(broken, "%s: pool `%s` has no workers any more: %s", call,
				 pool->name, pool->why);
	return 0;
}

int tini_pool_check_context(const tine_pool *pool, const void *context, const char *call)
{
	if (!context || (pool && pool->kind->cooperative) || tine_is_shared(context))
		return 0;
	return TINI_FAIL(TINE_EINVAL,
			 "%s: .context %p is private memory of this process, which workers do not "
			 "see: allocate "
			 "it with tine_shared_alloc()",
			 call, context);
}

/* ---- options */

static const tini_pool_kind *kind_of(const tine_pool_open_args *args)
{
	switch (args->kind) {
	case TINE_PROCESSES:
		return &tini_kind_processes;
	case TINE_SERIAL:
		return &tini_kind_serial;
	case TINE_THREADS:
		return &tini_kind_threads;
	case TINE_MPI:
		return TINI_FAIL_NULL(
			TINE_EUNSUPPORTED,
			"tine_pool_open: .kind = TINE_MPI is not in this version: use "
			"TINE_PROCESSES");
	}
	return TINI_FAIL_NULL(TINE_EINVAL, "tine_pool_open: .kind = %d is no kind of pool",
			      (int)args->kind);
}

/* 0: one per usable CPU; -1: all; -k: all but k - 1. */
static int workers_of(const tine_pool_open_args *args, const tini_pool_kind *kind, int cpus,
		      int *workers)
{
	*workers = args->workers;
	if (args->workers <= 0)
		*workers = args->workers == 0      ? cpus
			   : args->workers < -cpus ? 1
						   : cpus + 1 + args->workers;
	if (*workers < 1)
		*workers = 1;
	if (*workers > TINI_WORKERS_MAX)
		return TINI_FAIL(TINE_EINVAL, "tine_pool_open: %d workers; the most is %d",
				 *workers, TINI_WORKERS_MAX);
	if (kind->most_workers > 0 && *workers > kind->most_workers)
		*workers = kind->most_workers;
	return 0;
}

static int check_options(const tine_pool_open_args *args)
{
	const char *call = "tine_pool_open";
	const int known = TINE_RETRY_CRASH | TINE_RETRY_DEADLINE | TINE_RETRY_CODE;
	int rc = tini_limit_check(args->timeout, call, "timeout");

	if (rc == 0)
		rc = tini_limit_check(args->cpu_limit, call, "cpu_limit");
	if (rc != 0)
		return rc;
	if (args->retries < 0 || args->retries >= (int)TINI_TRIES_MAX)
		return TINI_FAIL(TINE_EINVAL, "%s: .retries = %d is not in 0 .. %u", call,
				 args->retries, TINI_TRIES_MAX - 1);
	if (args->retry_on & ~known)
		return TINI_FAIL(TINE_EINVAL, "%s: .retry_on = %#x has unknown bits", call,
				 (unsigned)args->retry_on);
	if (args->threads_per_worker < 0)
		return TINI_FAIL(TINE_EINVAL, "%s: .threads_per_worker = %d is negative", call,
				 args->threads_per_worker);
	if (args->pin < TINE_PIN_NONE || args->pin > TINE_PIN_COMPACT)
		return TINI_FAIL(TINE_EINVAL, "%s: .pin = %d is unknown", call, (int)args->pin);
	return 0;
}

int tini_pool_check_cooperative(const tine_pool_open_args *args)
{
	if (args->memory_limit != 0)
		return TINI_FAIL(TINE_EUNSUPPORTED,
				 "tine_pool_open: .memory_limit needs a pool of processes");
	if (args->cpu_limit != 0)
		return TINI_FAIL(TINE_EUNSUPPORTED,
				 "tine_pool_open: .cpu_limit needs a pool of processes");
	if (args->start != TINE_FORK && args->start != TINE_EXEC)
		return TINI_FAIL(TINE_EINVAL, "tine_pool_open: .start = %d is unknown",
				 (int)args->start);
	if (args->start == TINE_EXEC)
		return TINI_FAIL(TINE_EUNSUPPORTED,
				 "tine_pool_open: .start = TINE_EXEC needs a pool of processes");
	return 0;
}

/* ---- memory */

/* Seconds of a keyword as a limit in ns: 0 and TINE_FOREVER are none. */
static int64_t limit_ns(double seconds)
{
	return seconds > 0 ? tini_clock_from_seconds(seconds) : 0;
}

static void set_fields(tine_pool *pool, const tine_pool_open_args *args, const tini_pool_kind *kind,
		       int cpus, int workers)
{
	pool->kind = kind;
	pool->host = tini_self_id();
	pool->workers = workers;
	pool->slots = workers * (1 + kind->spares);
	pool->threads_per_worker = args->threads_per_worker ? args->threads_per_worker
				   : cpus > workers         ? cpus / workers
							    : 1;
	pool->init = args->init;
	pool->exit = args->exit;
	pool->context = args->context;
	pool->tasks_per_worker = args->tasks_per_worker;
	pool->memory_limit = args->memory_limit;
	pool->timeout = limit_ns(args->timeout);
	pool->cpu_limit = limit_ns(args->cpu_limit);
	pool->retries = args->retries;
	pool->retry_on = args->retry_on ? args->retry_on : TINE_RETRY_CRASH | TINE_RETRY_DEADLINE;
	pool->pin = args->pin;
	pool->hidden = (tini_hidden){.pidfd = -1, .lifeline = -1};
	snprintf(pool->name, sizeof pool->name, "%s", args->name ? args->name : "pool");
	atomic_init(&pool->holders, 1);
}

static void free_memory(tine_pool *pool)
{
	if (pool->segment)
		tini_jobs_free(pool);
	tini_heap_free((void *)pool->segment);
	tini_heap_free((void *)pool->ready_segments);
	tini_heap_free((void *)pool->asleep);
	tini_heap_free(pool->slot);
	tini_heap_free(pool->modules);
	pool->magic = 0;
	tini_heap_free(pool);
}

static int get_memory(tine_pool *pool)
{
	pool->segment = tini_pool_alloc(TINI_SEGMENTS * sizeof *pool->segment);
	pool->ready_segments = tini_pool_alloc(TINI_SEGMENTS / 64 * sizeof *pool->ready_segments);
	pool->asleep = tini_pool_alloc(((size_t)pool->slots / 64 + 1) * sizeof *pool->asleep);
	pool->slot = tini_pool_alloc((size_t)pool->slots * sizeof *pool->slot);
	pool->modules = tini_modules_now();
	if (!pool->modules || !pool->segment || !pool->ready_segments || !pool->asleep ||
	    !pool->slot)
		return TINE_ENOMEM;
	return tini_jobs_start(pool);
}

static tine_pool *pool_new(const tine_pool_open_args *args, const tini_pool_kind *kind, int cpus,
			   int workers)
{
	tine_pool *pool = tini_heap_start() == 0 ? tini_pool_alloc(sizeof *pool) : NULL;

	if (!pool)
		return NULL;
	set_fields(pool, args, kind, cpus, workers);
	if (get_memory(pool) != 0) {
		free_memory(pool);
		return NULL;
	}
	pool->magic = TINI_POOL_MAGIC;
	return pool;
}

void tini_pool_hold(tine_pool *pool)
{
	if (tini_pool_role(pool) == TINI_HOST)
		atomic_fetch_add(&pool->holders, 1);
}

void tini_pool_let_go(tine_pool *pool)
{
	if (tini_pool_role(pool) == TINI_HOST && atomic_fetch_sub(&pool->holders, 1) == 1)
		free_memory(pool);
}

/* ---- calls */

tine_pool *tine_pool_open_with(const tine_pool_open_args *given)
{
	tine_pool_open_args args;
	int workers, cpus = tine_cpu_count();

	if (tini_options_copy(&args, sizeof args, given, "tine_pool_open") != 0 ||
	    check_options(&args) != 0)
		return NULL;
	const tini_pool_kind *kind = kind_of(&args);
	if (!kind || kind->check(&args) != 0 || workers_of(&args, kind, cpus, &workers) != 0)
		return NULL;
	tine_pool *pool = pool_new(&args, kind, cpus, workers);
	if (pool && kind->open(pool) != 0) {
		tini_pool_let_go(pool);
		return NULL;
	}
	return pool;
}

static int end_pool(tine_pool *pool, bool kill, double timeout, const char *call)
{
	if (!pool)
		return 0;
	int rc = tini_pool_check(pool, call);
	if (rc == 0)
		rc = tini_timeout_check(timeout, call);
	if (rc != 0)
		return rc;
	if (tini_runner_of(pool))
		return TINI_FAIL(TINE_EDEADLOCK,
				 "%s: an item of pool `%s` would wait for its own end", call,
				 pool->name);
	rc = pool->kind->close(pool, kill, tini_clock_deadline(timeout));
	if (rc != TINE_ETIMEDOUT)
		tini_pool_let_go(pool);
	return rc;
}

int tine_pool_close(tine_pool *pool, double timeout)
{
	return end_pool(pool, false, timeout, "tine_pool_close");
}

int tine_pool_terminate(tine_pool *pool)
{
	int rc = end_pool(pool, true, TINE_FOREVER, "tine_pool_terminate");

	return rc == TINE_ELOST || rc == TINE_EBROKEN ? 0 : rc; /* it is terminated, by whomever */
}

int tine_pool_workers(const tine_pool *pool)
{
	int rc = tini_pool_check(pool, "tine_pool_workers");

	return rc == 0 ? pool->workers : rc;
}

/* What has ended and what goes on. */
static double seconds_of(_Atomic int64_t *ended, _Atomic int64_t *since)
{
	int64_t begun = atomic_load(since);

	return (double)(atomic_load(ended) + (begun ? tini_clock_now() - begun : 0)) / 1e9;
}

int tine_pool_stats(tine_pool *pool, tine_pool_figures *out)
{
	tine_pool_figures figures = {.struct_size = sizeof figures};
	int rc = tini_pool_check(pool, "tine_pool_stats");

	if (rc != 0)
		return rc;
	if (!out || out->struct_size < sizeof out->struct_size || out->struct_size > 4096)
		return TINI_FAIL(TINE_EINVAL,
				 "tine_pool_stats: out is NULL or its struct_size is not set");
	for (int i = 0; i < pool->slots; i++) {
		tini_slot *slot = &pool->slot[i];

		figures.items += atomic_load(&slot->items);
		figures.failed += atomic_load(&slot->failures);
		figures.retried += atomic_load(&slot->retried);
		figures.busy_seconds += seconds_of(&slot->busy, &slot->busy_since);
		figures.waiting_seconds += seconds_of(&slot->waiting, &slot->waiting_since);
	}
	figures.crashed = atomic_load(&pool->crashed);
	figures.overtime = atomic_load(&pool->overtime);
	figures.retried += atomic_load(&pool->retried);
	figures.failed += atomic_load(&pool->lost);
	figures.items += atomic_load(&pool->lost);
	figures.workers = pool->workers;
	size_t size = out->struct_size;
	memset(out, 0, size);
	memcpy(out, &figures, size < sizeof figures ? size : sizeof figures);
	out->struct_size = size;
	return 0;
}
