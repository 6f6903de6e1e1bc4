/* SPDX-License-Identifier: MIT */
/* The kind that survives its workers: the host's side of a pool of processes. */
#include "base/clock.h"
#include "base/error.h"
#include "base/futex.h"
#include "pool/job.h"
#include "pool/pool.h"
#include "pool/ready.h"
#include "pool/supervise.h"
#include "process/child.h"
#include "process/crash.h"
#include "process/self.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { LEAVE_SECONDS = 5 };

static pthread_mutex_t burial = PTHREAD_MUTEX_INITIALIZER;

static int processes_check(const tine_pool_open_args *args)
{
	if (args->start != TINE_FORK && args->start != TINE_EXEC)
		return TINI_FAIL(TINE_EINVAL, "tine_pool_open: .start = %d is unknown",
				 (int)args->start);
	if (args->start == TINE_EXEC)
		return TINI_FAIL(
			TINE_EUNSUPPORTED,
			"tine_pool_open: .start = TINE_EXEC is not in this version: use TINE_FORK");
	return tini_pool_check_context(NULL, args->context, "tine_pool_open");
}

static void reset_burial(void)
{
	pthread_mutex_init(&burial, NULL); /* another thread may have held it at the fork */
}

/*
 * Another thread may close the pool while this one looks at it or kicks it: the descriptors are
 * used and closed under a lock.
 */
static void take_hidden(void)
{
	tini_self_on_fork(reset_burial);
	pthread_mutex_lock(&burial);
}

static bool supervisor_lives(tine_pool *pool)
{
	take_hidden();
	bool lives = pool->hidden.pidfd >= 0 && tini_hidden_alive(&pool->hidden);
	pthread_mutex_unlock(&burial);
	return lives;
}

static void kick_supervisor(tine_pool *pool)
{
	take_hidden();
	if (pool->hidden.pidfd >= 0)
		tini_hidden_kick(&pool->hidden);
	pthread_mutex_unlock(&burial);
}

static void close_hidden(tine_pool *pool, bool kill_it)
{
	take_hidden();
	tini_hidden_close(&pool->hidden, kill_it);
	pthread_mutex_unlock(&burial);
}

/* The supervisor is gone although nobody asked it to go: nothing else is left of the pool but its
 * jobs. */
static int bury(tine_pool *pool)
{
	take_hidden();
	if (atomic_load(&pool->broken) != TINE_ELOST && atomic_load(&pool->ended) == 0) {
		atomic_store(&pool->broken, TINE_ELOST);
		tini_bury_pool(pool, TINE_ELOST);
	}
	pthread_mutex_unlock(&burial);
	return atomic_load(&pool->broken);
}

static int processes_look(tine_pool *pool)
{
	if (tini_pool_role(pool) == TINI_HOST && atomic_load(&pool->ended) == 0 &&
	    !supervisor_lives(pool) && atomic_load(&pool->ended) == 0)
		return bury(pool);
	if (atomic_load(&pool->broken) == 0 && atomic_load(&pool->ended) != 0)
		return TINE_ESTATE; /* closed by another thread since the call began */
	return atomic_load(&pool->broken);
}

static int wait_until_open(tine_pool *pool)
{
	while (atomic_load(&pool->opened) == 0) {
		if (!supervisor_lives(pool) && atomic_load(&pool->opened) == 0)
			return TINI_FAIL(TINE_ELOST, "tine_pool_open: the supervisor was killed "
						     "while it started workers");
		tini_futex->wait(&pool->opened, 0, tini_clock_now() + TINI_WATCHDOG_NS);
	}
	if (atomic_load(&pool->opened) == 1)
		return 0;
	return TINI_FAIL(atomic_load(&pool->broken), "tine_pool_open: %s", pool->why);
}

static int processes_open(tine_pool *pool)
{
	tini_crash_prepare();
	tini_child_find_threads();
	tini_host_flush(); /* or its buffer would stand before what workers print */
	int rc = tini_hidden_start(&pool->hidden, "tine-super", -1, tini_supervise_pool, pool);

	if (rc != 0)
		return rc;
	rc = wait_until_open(pool);
	if (rc != 0) {
		/* It ends by itself, and what init may have left behind; if not, its workers die
		 * with it. */
		for (int64_t end = tini_clock_deadline(LEAVE_SECONDS);
		     atomic_load(&pool->ended) == 0 && supervisor_lives(pool) &&
		     tini_clock_now() < end;)
			tini_futex->wait(&pool->ended, 0, tini_clock_now() + TINI_WATCHDOG_NS);
		close_hidden(pool, true);
	}
	return rc;
}

void tini_pool_kick(tine_pool *pool)
{
	if (pool->kind->cooperative || atomic_exchange(&pool->kicked, 1) != 0)
		return;
	if (tini_pool_role(pool) == TINI_HOST)
		kick_supervisor(pool);
	else if (getppid() ==
		 atomic_load(&pool->supervisor)) /* our parent: alive, or we would be dead */
		kill(atomic_load(&pool->supervisor), SIGUSR1);
}

static void processes_offer(tine_pool *pool, tini_job *job)
{
	tini_ready_set(pool, job->index);
	tini_wake_one(pool);
	if (job->timeout > 0 && job->timeout < atomic_load(&pool->watching))
		tini_pool_kick(pool);
}

/* The time for the items has run out: false where none runs any more, so that the pool ends in a
 * moment. */
static bool reopen(tine_pool *pool)
{
	uint32_t draining = TINI_DRAINING;

	return tini_jobs_any_running(pool) &&
	       atomic_compare_exchange_strong(&pool->closing, &draining, TINI_OPEN);
}

/* Returns when all workers are reaped and nothing of the pool's runs any more. */
static int wait_for_end(tine_pool *pool, int64_t deadline)
{
	while (atomic_load(&pool->ended) == 0) {
		int64_t now = tini_clock_now(), watchdog = now + TINI_WATCHDOG_NS;

		if (processes_look(pool) == TINE_ELOST)
			return TINI_FAIL(TINE_ELOST, "the supervisor of pool `%s` was killed",
					 pool->name);
		if (now >= deadline &&
		    (reopen(pool) || now - deadline > LEAVE_SECONDS * INT64_C(1000000000)))
			return TINI_FAIL(TINE_ETIMEDOUT,
					 "tine_pool_close: items or workers of pool `%s` still run",
					 pool->name);
		tini_futex->wait(&pool->ended, 0,
				 now < deadline && deadline < watchdog ? deadline : watchdog);
	}
	return 0;
}

static int processes_close(tine_pool *pool, bool kill_them, int64_t deadline)
{
	uint32_t before = atomic_load(&pool->closing),
		 want = kill_them ? TINI_KILLING : TINI_DRAINING;

	while (before < want && !atomic_compare_exchange_weak(&pool->closing, &before, want))
		continue;
	atomic_store(&pool->kicked, 0);
	tini_pool_kick(pool);
	int rc = wait_for_end(pool, deadline);
	if (rc == TINE_ETIMEDOUT)
		return rc;
	bool broken = atomic_load(&pool->broken) == TINE_EBROKEN;
	close_hidden(pool, rc == TINE_ELOST);
	return rc == 0 && broken ? TINI_FAIL(TINE_EBROKEN, "pool `%s` had no workers any more: %s",
					     pool->name, pool->why)
				 : rc;
}

const tini_pool_kind tini_kind_processes = {.name = "processes",
					    .spares = TINI_SPARES,
					    .check = processes_check,
					    .open = processes_open,
					    .offer = processes_offer,
					    .close = processes_close,
					    .look = processes_look};
