/* SPDX-License-Identifier: MIT */
/*
 * The kind whose workers are threads of the host.  They take from the same claim words and sleep by
 * the same bells as processes do, but nobody watches over them: a crash is the host's, limits are
 * looked at between items, and no worker is ever lost.
 *
 *     gate:    0 -> GO when all threads exist, or -> HOME when one could not be made
 *     opened:  0 -> 1 when every init has succeeded, or -> 2 at the first that failed (pool->why)
 *     closing: OPEN <-> DRAINING -> LEAVING (nothing runs any more) or -> KILLING, set by the closer
 *     ended:   1 when the last worker is through with its exit; only then the threads are joined
 *
 * A worker that waits inside an item runs what is left of the job that it waits for, so no stand-ins
 * are needed: of all that wait, the one whose job was begun last always finds something to run, or
 * somebody who runs it.  That inner runner has a slot of its own on the stack.  Nobody sees it, and
 * nobody needs to: whoever waits for a job has not let go of it, so that its map stays.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/futex.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/threads.h"
#include "pool/job.h"
#include "pool/pool.h"
#include "pool/ready.h"
#include "pool/run.h"
#include "pool/workloop.h"
#include "process/child.h"
#include "process/self.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LEAVE_SECONDS = 5, RENEWALS = 3, GONE_NS = 20 * 1000 * 1000 };
enum { GATE_SHUT, GATE_GO, GATE_HOME };

typedef struct thread {
	pthread_t id;
	tine_pool *pool;
	unsigned number;
	_Atomic int tid; /* of the kernel's; 0: not told yet */
} thread;

struct tini_threads {
	_Atomic uint32_t gate;    /* futex */
	_Atomic uint32_t ready;   /* workers whose first init has succeeded */
	_Atomic uint32_t refused; /* 1: somebody tells why the pool cannot be opened */
	_Atomic uint32_t left;    /* threads that have not left yet */
	pthread_mutex_t ending;   /* held by the one who ends jobs in the place of all */
	int made;                 /* threads that exist */
	thread thread[];          /* [workers] */
};

/* ---- the end of jobs from outside */

/* What has not begun ends with the code, what runs is asked to. */
static void abort_all(tine_pool *pool, int code)
{
	pthread_mutex_lock(&pool->threads->ending); /* one at a time names jobs */
	tini_jobs_abort_all(pool, code);
	pthread_mutex_unlock(&pool->threads->ending);
	tini_jobs_announce();
}

/* The pool cannot go on: no new work is taken, and what there is ends. */
static void give_up(tine_pool *pool, int code, const char *why)
{
	pthread_mutex_lock(&pool->threads->ending);
	if (atomic_load(&pool->broken) == 0) {
		snprintf(pool->why, sizeof pool->why, "%s", why);
		atomic_store(&pool->broken, code);
	}
	pthread_mutex_unlock(&pool->threads->ending);
	abort_all(pool, atomic_load(&pool->broken));
}

/* ---- a worker */

static bool enter_gate(struct tini_threads *threads)
{
	while (atomic_load(&threads->gate) == GATE_SHUT)
		tini_futex->wait(&threads->gate, GATE_SHUT, TINI_NEVER);
	return atomic_load(&threads->gate) == GATE_GO;
}

static void tell_opened(tine_pool *pool, uint32_t how)
{
	atomic_store(&pool->opened, how);
	tini_futex->wake(&pool->opened, INT32_MAX);
}

static bool begin(tini_runner *runner)
{
	tine_pool *pool = runner->pool;
	struct tini_threads *threads = pool->threads;

	if (atomic_load(&threads->refused) != 0)
		return false; /* what is not begun need not be undone */
	if (tini_work_init(runner) != 0) {
		atomic_store(&runner->slot->state, TINI_SLOT_REFUSED);
		if (atomic_exchange(&threads->refused, 1) == 0) {
			memcpy(pool->why, runner->slot->text, sizeof pool->why);
			tell_opened(pool, 2);
		}
		return false;
	}
	atomic_store(&runner->slot->state, TINI_SLOT_LIVE);
	if (atomic_fetch_add(&threads->ready, 1) + 1 == (uint32_t)pool->workers)
		tell_opened(pool, 1);
	return true;
}

/* A worker that has run its number of items ends, and this thread goes on as its successor.  One
 * whose init fails is followed by another, but not for ever. */
static bool renew(tini_runner *runner)
{
	tine_pool *pool = runner->pool;

	runner->left = pool->tasks_per_worker;
	for (int i = 0; i < RENEWALS; i++) {
		if (tini_work_init(runner) == 0) {
			atomic_store(&runner->slot->state, TINI_SLOT_LIVE);
			return true;
		}
		if (atomic_load(&pool->closing) >= TINI_LEAVING)
			return false;
	}
	atomic_store(&runner->slot->state, TINI_SLOT_REFUSED);
	give_up(pool, TINE_EBROKEN, runner->slot->text);
	return false;
}

static void live(tini_runner *runner)
{
	tine_pool *pool = runner->pool;

	if (!begin(runner))
		return;
	do {
		tini_work(runner);
		atomic_store(&runner->slot->state, TINI_SLOT_LEAVING);
		if (pool->exit && atomic_load(&pool->closing) != TINI_KILLING)
			pool->exit(pool->context);
	} while (atomic_load(&pool->closing) < TINI_LEAVING && renew(runner));
}

static void *worker_main(void *context)
{
	thread *me = context;
	tine_pool *pool = me->pool;
	tini_runner runner = {.pool = pool,
			      .self = tini_self_id(),
			      .slot = &pool->slot[me->number],
			      .owner = me->number,
			      .cooperative = true,
			      .left = pool->tasks_per_worker ? pool->tasks_per_worker : SIZE_MAX};

	atomic_store(&me->tid, gettid());
	tini_work_name(pool, me->number);
	if (enter_gate(pool->threads)) {
		tini_work_pin(pool, me->number);
		tini_threads_limit_here(pool->threads_per_worker);
		tini_child_limit_thread(pool->threads_per_worker);
		tini_runner_enter(&runner);
		live(&runner);
		tini_runner_leave(&runner);
	}
	if (atomic_fetch_sub(&pool->threads->left, 1) == 1) {
		atomic_store(&pool->ended, 1);
		tini_futex->wake(&pool->ended, INT32_MAX); /* joined before the memory goes */
	}
	return NULL;
}

/* ---- opening */

/* A joined thread is still the kernel's for some microseconds: whoever counts this process's threads
 * after the close, or does what only a process of one thread may do, must not find it.  Not for ever,
 * as the number may be another thread's by now. */
static void wait_until_gone(const thread *t)
{
	int64_t end = tini_clock_now() + GONE_NS;
	int tid = atomic_load(&t->tid);

	while (tid != 0 && tgkill(getpid(), tid, 0) == 0 && tini_clock_now() < end)
		sched_yield();
}

static void join_all(tine_pool *pool)
{
	struct tini_threads *threads = pool->threads;

	for (int i = 0; i < threads->made; i++)
		pthread_join(threads->thread[i].id, NULL);
	for (int i = 0; i < threads->made; i++)
		wait_until_gone(&threads->thread[i]);
	threads->made = 0;
}

static void free_threads(tine_pool *pool)
{
	pthread_mutex_destroy(&pool->threads->ending);
	tini_free(pool->threads);
	pool->threads = NULL;
}

static void open_gate(struct tini_threads *threads, uint32_t how)
{
	atomic_store(&threads->gate, how);
	tini_futex->wake(&threads->gate, INT32_MAX);
}

static int make_threads(tine_pool *pool)
{
	struct tini_threads *threads = pool->threads;

	for (int i = 0; i < pool->workers; i++) {
		thread *t = &threads->thread[i];

		t->pool = pool;
		t->number = (unsigned)i;
		int rc = tini_os_thread(&t->id, worker_main, t);
		if (rc != 0) {
			open_gate(threads, GATE_HOME);
			join_all(pool);
			return TINI_FAIL(TINE_ESYSTEM,
					 "tine_pool_open: pthread_create of worker %d of %d: %s "
					 "(the limits are RLIMIT_NPROC \"ulimit -u\", RLIMIT_AS "
					 "\"ulimit -v\", and pids.max of the cgroup)",
					 i, pool->workers, strerror(-rc));
		}
		threads->made++;
	}
	open_gate(threads, GATE_GO);
	return 0;
}

static int wait_until_open(tine_pool *pool)
{
	while (atomic_load(&pool->opened) == 0)
		tini_futex->wait(&pool->opened, 0, TINI_NEVER);
	if (atomic_load(&pool->opened) == 1)
		return 0;
	atomic_store(&pool->closing, TINI_LEAVING);
	tini_wake_all(pool);
	join_all(pool);
	return TINI_FAIL(TINE_EINIT, "tine_pool_open: %s", pool->why);
}

static int threads_open(tine_pool *pool)
{
	size_t size = sizeof(struct tini_threads) + (size_t)pool->workers * sizeof(thread);

	pool->threads = tini_alloc(1, size);
	if (!pool->threads)
		return TINE_ENOMEM;
	pthread_mutex_init(&pool->threads->ending, NULL);
	atomic_init(&pool->threads->left, (uint32_t)pool->workers);
	tini_child_find_threads();
	int rc = make_threads(pool);
	if (rc == 0)
		rc = wait_until_open(pool);
	if (rc != 0)
		free_threads(pool);
	return rc;
}

/* ---- work */

static void threads_offer(tine_pool *pool, tini_job *job)
{
	tini_ready_set(pool, job->index);
	tini_wake_one(pool);
}

static int threads_look(tine_pool *pool)
{
	if (atomic_load(&pool->broken) == 0 && atomic_load(&pool->ended) != 0)
		return TINE_ESTATE; /* closed by another thread since the call began */
	return atomic_load(&pool->broken);
}

/* The worker itself, below all that its items wait for. */
static tini_runner *worker_below(tini_runner *runner)
{
	tini_runner *below = runner;

	for (tini_runner *r = runner; r; r = r->outer)
		if (r->pool == runner->pool)
			below = r;
	return below;
}

/* What an inner runner did is its worker's. */
static void add_figures(tini_runner *worker, tini_slot *inner)
{
	uint64_t items = atomic_load(&inner->items);

	atomic_fetch_add(&worker->slot->items, items);
	atomic_fetch_add(&worker->slot->failures, atomic_load(&inner->failures));
	atomic_fetch_add(&worker->slot->retried, atomic_load(&inner->retried));
	/* The item that waits is still to be counted. */
	if (worker->left != SIZE_MAX)
		worker->left = worker->left > items ? worker->left - items : 1;
}

static bool threads_help(tine_pool *pool, tini_job *job)
{
	tini_runner *around = tini_runner_of(pool);

	if (!around || around->self != tini_self_id())
		return false;
	if (!atomic_load(&job->map) && tini_claim_state_of(atomic_load(&job->word)) != TINI_FREE)
		return false;
	tini_slot slot = {0};
	tini_runner inner = {.pool = pool,
			     .self = around->self,
			     .slot = &slot,
			     .owner = around->owner,
			     .cooperative = true,
			     .nested = true,
			     .left = SIZE_MAX};

	tini_runner_enter(&inner);
	tini_run_job(&inner, job);
	tini_runner_leave(&inner);
	add_figures(worker_below(around), &slot);
	return atomic_load(&slot.items) > 0;
}

/* ---- closing */

/* Wait a while for one of the jobs that run. */
static void wait_for_some(tine_pool *pool, int64_t deadline)
{
	int64_t watchdog = tini_clock_now() + TINI_WATCHDOG_NS;

	for (uint32_t i = 0; i < atomic_load(&pool->ring); i++) {
		tini_job *job = tini_job_at(pool, i);

		if (!job || !tini_job_is(job, TINI_JOB_RUNNING))
			continue;
		tini_job_sleep(job, deadline < watchdog ? deadline : watchdog);
		if (tini_clock_now() < watchdog)
			return;
		tini_ready_set(pool, i); /* a hint that should not have been lost */
		tini_wake_one(pool);
	}
}

/* Let all work be done, and then nothing be begun.  TINE_ETIMEDOUT: the pool is open as before. */
static int drain(tine_pool *pool, int64_t deadline)
{
	for (;;) {
		uint32_t open = TINI_OPEN, draining = TINI_DRAINING;

		atomic_compare_exchange_strong(&pool->closing, &open, TINI_DRAINING);
		if (!tini_jobs_any_running(pool)) {
			atomic_compare_exchange_strong(&pool->closing, &draining, TINI_LEAVING);
			if (atomic_load(&pool->closing) >= TINI_LEAVING)
				return 0;
			continue; /* another who closes it has given up */
		}
		if (tini_clock_now() >= deadline) {
			atomic_compare_exchange_strong(&pool->closing, &draining, TINI_OPEN);
			return TINI_FAIL(TINE_ETIMEDOUT,
					 "tine_pool_close: items of pool `%s` still run",
					 pool->name);
		}
		wait_for_some(pool, deadline);
	}
}

/* `code`: with which jobs end that are begun meanwhile; 0: they do not. */
static bool wait_for_end(tine_pool *pool, int64_t deadline, int code)
{
	while (atomic_load(&pool->ended) == 0) {
		int64_t now = tini_clock_now(), watchdog = now + TINI_WATCHDOG_NS;

		if (code != 0)
			abort_all(pool, code);
		if (now >= deadline)
			return false;
		tini_futex->wait(&pool->ended, 0, deadline < watchdog ? deadline : watchdog);
	}
	return true;
}

static int close_in_peace(tine_pool *pool, int64_t deadline)
{
	int rc = drain(pool, deadline);
	int64_t end = deadline < tini_clock_now() ? tini_clock_now() : deadline;

	if (rc != 0)
		return rc;
	tini_wake_all(pool);
	if (!wait_for_end(pool, tini_clock_add(end, LEAVE_SECONDS * INT64_C(1000000000)), 0))
		return TINI_FAIL(TINE_ETIMEDOUT, "tine_pool_close: .exit of pool `%s` still runs",
				 pool->name);
	return 0;
}

static void terminate(tine_pool *pool)
{
	/* First, so that no item is begun and none submits. */
	atomic_store(&pool->closing, TINI_KILLING);
	give_up(pool, TINE_ECANCELLED, "the pool was terminated");
	tini_wake_all(pool);
	wait_for_end(pool, TINI_NEVER, TINE_ECANCELLED);
}

static int threads_close(tine_pool *pool, bool kill, int64_t deadline)
{
	int rc = 0;

	if (kill)
		terminate(pool);
	else
		rc = close_in_peace(pool, deadline);
	if (rc != 0)
		return rc;
	join_all(pool);
	abort_all(pool, TINE_ECANCELLED); /* what came between the last look and the end */
	free_threads(pool);
	return atomic_load(&pool->broken) != TINE_EBROKEN
		       ? 0
		       : TINI_FAIL(TINE_EBROKEN, "pool `%s` had no workers any more: %s",
				   pool->name, pool->why);
}

const tini_pool_kind tini_kind_threads = {.name = "threads",
					  .cooperative = true,
					  .check = tini_pool_check_cooperative,
					  .open = threads_open,
					  .offer = threads_offer,
					  .close = threads_close,
					  .look = threads_look,
					  .help = threads_help};
