/* SPDX-License-Identifier: MIT */
#include "pool/workloop.h"

#include "base/clock.h"
#include "base/error.h"
#include "pool/job.h"
#include "pool/ready.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

/* ---- before the first item */

/* For process lists, which show 15 bytes. */
void tini_work_name(const tine_pool *pool, unsigned slot)
{
	char name[32];

	snprintf(name, sizeof name, "%.10s-%u", pool->name, slot);
	prctl(PR_SET_NAME, name);
}

void tini_work_pin(const tine_pool *pool, unsigned slot)
{
	cpu_set_t all, mine;

	if (pool->pin == TINE_PIN_NONE || sched_getaffinity(0, sizeof all, &all) != 0)
		return;
	int count = CPU_COUNT(&all), want = (int)(slot % (unsigned)pool->workers);
	int nth = pool->pin == TINE_PIN_COMPACT || pool->workers >= count
			  ? want % count
			  : (int)((long)want * count / pool->workers);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && nth-- == 0) {
			CPU_ZERO(&mine);
			CPU_SET(cpu, &mine);
			sched_setaffinity(0, sizeof mine, &mine);
			return;
		}
}

/* What to say of an init that returned `code`. */
static void tell_refusal(const tini_runner *runner, int code)
{
	tini_slot *slot = runner->slot;
	char said[TINI_TEXT];
	const char *name = tini_error_name(code);

	memcpy(said, slot->text, sizeof said);
	const char *why = said[0] ? said : tine_last_error();
	snprintf(slot->text, sizeof slot->text, "init of worker %u returned %d%s%s%s",
		 runner->owner, code, name ? " (" : "", name ? name : "", name ? ")" : "");
	size_t used = strlen(slot->text);
	if (why[0])
		snprintf(slot->text + used, sizeof slot->text - used, ": %.150s", why);
}

int tini_work_init(tini_runner *runner)
{
	tine_pool *pool = runner->pool;
	int code = pool->init ? pool->init(pool->context) : 0;

	if (code != 0)
		tell_refusal(runner, code);
	return code;
}

/* ---- the loop */

static bool must_leave(void *context)
{
	return tini_runner_must_leave(context);
}

enum { SPIN_NS = 5000, SPIN_SCORE_MAX = 16, SPIN_SCORE_MIN = -64, SPIN_LOSS = 4 };

/*
 * Look for work for a few microseconds before sleeping, as long as that pays: each success is a
 * point, each failure costs four, and below zero nothing is tried but every sleep gives a point
 * back.  Where the last submitter sits on this very CPU, spinning would keep it from submitting.
 */
static bool spin_for_work(tini_runner *runner)
{
	tine_pool *pool = runner->pool;
	tini_slot *slot = runner->slot;
	uint32_t cpu = (uint32_t)sched_getcpu() + 1;

	atomic_store_explicit(&slot->cpu, cpu, memory_order_relaxed); /* a hint */
	if (runner->spin_score < 0 ||
	    atomic_load_explicit(&pool->submitter_cpu, memory_order_relaxed) == cpu) {
		runner->spin_score += runner->spin_score < 0;
		return false;
	}
	for (int64_t end = tini_clock_now() + SPIN_NS; tini_clock_now() < end;)
		for (int i = 0; i < 8; i++) {
			if (tini_ready_find(pool, slot->spare) >= 0) {
				runner->spin_score += runner->spin_score < SPIN_SCORE_MAX;
				return true;
			}
			tini_relax();
		}
	runner->spin_score -= SPIN_LOSS;
	if (runner->spin_score < SPIN_SCORE_MIN)
		runner->spin_score = SPIN_SCORE_MIN;
	return false;
}

/*
 * A map that this worker still seemed to look at when its caller let go of it was left to be given
 * back later.  In a pool without a supervisor an idle worker does it: of the name going and the mark
 * being set one is seen by whoever does the other, for all four are sequentially consistent.
 */
static void give_back_maps(tini_runner *runner)
{
	if (runner->is_process)
		return;
	atomic_store(&runner->slot->job, 0);
	if (atomic_load(&runner->pool->limbo) != 0)
		tini_jobs_sweep_limbo(runner->pool);
}

static void wait_for_work(tini_runner *runner)
{
	int64_t begun = tini_clock_now();

	give_back_maps(runner);
	atomic_store_explicit(&runner->slot->waiting_since, begun,
			      memory_order_relaxed); /* a figure */
	if (!spin_for_work(runner))
		tini_sleep(runner->pool, runner->owner, must_leave, runner);
	atomic_fetch_add_explicit(&runner->slot->waiting, tini_clock_now() - begun,
				  memory_order_relaxed); /* a figure */
	atomic_store_explicit(&runner->slot->waiting_since, 0, memory_order_relaxed);
}

void tini_work(tini_runner *runner)
{
	while (!tini_runner_must_leave(runner)) {
		int64_t found = tini_ready_find(runner->pool, runner->slot->spare);

		if (found >= 0)
			tini_run_job(runner, tini_job_at(runner->pool, (uint32_t)found));
		else
			wait_for_work(runner);
	}
}
