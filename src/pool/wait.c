/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a job: spin a little where that has paid, then sleep on its state, and look every 50
 * ms whether something was lost: a wake-up, a hint, the supervisor.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/futex.h"
#include "pool/job.h"
#include "pool/pool.h"
#include "pool/ready.h"
#include "pool/run.h"

#include <sched.h>

enum { SPIN_NS = 20000, SCORE_MAX = 16, SCORE_MIN = -64, LOSS = 4 };

static _Thread_local int spin_score;

/* The last worker that ran something sits on this CPU: spinning would keep it from running. */
static bool worker_is_here(const tine_pool *pool, uint32_t cpu)
{
	for (int i = 0; i < pool->workers; i++)
		if (atomic_load_explicit(&pool->slot[i].cpu, memory_order_relaxed) ==
		    cpu) /* a hint */
			return true;
	return false;
}

static bool spin(tini_job *job)
{
	tine_pool *pool = job->pool;
	uint32_t cpu = (uint32_t)sched_getcpu() + 1;

	atomic_store_explicit(&pool->submitter_cpu, cpu, memory_order_relaxed); /* a hint */
	if (spin_score < 0 || worker_is_here(pool, cpu)) {
		spin_score += spin_score < 0;
		return false;
	}
	for (int64_t end = tini_clock_now() + SPIN_NS; tini_clock_now() < end;)
		for (int i = 0; i < 8; i++) {
			if (tini_job_is(job, TINI_JOB_ENDED)) {
				spin_score += spin_score < SCORE_MAX;
				return true;
			}
			tini_relax();
		}
	spin_score = spin_score - LOSS < SCORE_MIN ? SCORE_MIN : spin_score - LOSS;
	return false;
}

/* Spares take it too from now on, even where the host has submitted it. */
void tini_job_want(tini_job *job)
{
	uint32_t top = 0;

	if (!tini_runner_of(job->pool))
		return;
	atomic_compare_exchange_strong(&job->depth, &top, 1);
	atomic_store(&job->pool->nested, 1);
}

uint32_t tini_parked(const tine_pool *pool)
{
	uint32_t n = 0;

	for (int i = 0; i < pool->slots; i++)
		n += atomic_load(&pool->slot[i].parked) != 0;
	return n;
}

int tini_park(tine_pool *pool, tini_job *job)
{
	tini_runner *runner = tini_runner_of(pool);
	uint32_t most = (uint32_t)pool->workers * TINI_SPARES;

	if (!runner || !runner->is_process)
		return 0;
	atomic_store(&pool->nested, 1);
	/* Several threads of one item may wait: one worker is parked. */
	if (atomic_fetch_add(&runner->slot->parked, 1) == 0 && tini_parked(pool) > most) {
		atomic_fetch_sub(&runner->slot->parked, 1);
		return TINI_FAIL(
			TINE_EDEADLOCK,
			"%u workers of pool `%s` wait inside their items already: no more can "
			"be started for what they wait for",
			most, pool->name);
	}
	if (job)
		tini_job_want(job);
	tini_pool_kick(pool);
	return 0;
}

void tini_unpark(tine_pool *pool)
{
	tini_runner *runner = tini_runner_of(pool);

	if (!runner || !runner->is_process)
		return;
	atomic_fetch_sub(&runner->slot->parked, 1);
	tini_pool_kick(pool);
}

void tini_job_look_after(tini_job *job)
{
	tine_pool *pool = job->pool;

	if (tini_job_try_end(job))
		return;
	int code = pool->kind->look(pool);
	if (code != 0) {
		tini_job_abort(job, code);
		tini_job_end_unclaimed(job, TINI_OWNER_SUBMITTER);
	}
	if (tini_job_has_work(job)) {
		tini_ready_set(pool, job->index);
		tini_wake_one(pool);
	}
}

bool tini_job_help(tini_job *job)
{
	tine_pool *pool = job->pool;

	return pool->kind->help && !tini_job_is(job, TINI_JOB_ENDED) && pool->kind->help(pool, job);
}

void tini_job_sleep(tini_job *job, int64_t until)
{
	uint32_t state = atomic_load(&job->state);

	if (tini_job_state_of(state) != TINI_JOB_RUNNING)
		return;
	if (!(state & TINI_JOB_WAITED) &&
	    !atomic_compare_exchange_strong(&job->state, &state, state | TINI_JOB_WAITED))
		return;
	tini_futex->wait(&job->state, state | TINI_JOB_WAITED, until);
}

static int wait_loop(tini_job *job, int64_t deadline, int64_t slice, int (*each)(void *context),
		     void *context)
{
	for (int64_t now = tini_clock_now(), watchdog = now + TINI_WATCHDOG_NS;;
	     now = tini_clock_now()) {
		int rc = each ? each(context) : 0;

		if (tini_job_is(job, TINI_JOB_ENDED))
			return 0;
		if (rc != 0)
			return rc;
		if (now >= watchdog || now >= deadline) {
			if (now >= watchdog)
				tini_job_help(job); /* others may have left some of it */
			tini_job_look_after(job);
			watchdog = now + TINI_WATCHDOG_NS;
			if (tini_job_is(job, TINI_JOB_ENDED))
				return 0;
		}
		if (now >= deadline)
			return TINE_ETIMEDOUT;
		int64_t until = now + slice < watchdog ? now + slice : watchdog;
		tini_job_sleep(job, until < deadline ? until : deadline);
	}
}

int tini_job_wait(tini_job *job, int64_t deadline, int64_t slice, int (*each)(void *context),
		  void *context)
{
	if (tini_job_is(job, TINI_JOB_ENDED) || tini_job_try_end(job))
		return 0;
	if (deadline > 0 && tini_job_help(job) && tini_job_is(job, TINI_JOB_ENDED))
		return 0;
	if (deadline > 0 && spin(job))
		return 0;
	return wait_loop(job, deadline, slice, each, context);
}

void tini_job_kill_at(tini_job *job, int64_t moment)
{
	int64_t before = atomic_load(&job->kill_at);

	while (before == 0 || moment < before)
		if (atomic_compare_exchange_weak(&job->kill_at, &before, moment))
			break;
	tini_pool_kick(job->pool);
}
