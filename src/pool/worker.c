/* SPDX-License-Identifier: MIT */
/*
 * A worker process.  Its first thread only waits for the second, which runs init, the items and
 * exit: OpenMP runtimes hang on a forked thread.
 */
#include "pool/worker.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/threads.h"
#include "pool/job.h"
#include "pool/pool.h"
#include "pool/ready.h"
#include "pool/run.h"
#include "process/child.h"
#include "process/self.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static tini_runner worker; /* this process is one worker */
static timer_t cpu_timer;

/* ---- limits */

static void limit_memory(const tine_pool *pool)
{
	size_t born_with = tini_child_data();
	struct rlimit limit;

	if (pool->memory_limit == 0 || getrlimit(RLIMIT_DATA, &limit) != 0)
		return;
	rlim_t wanted = pool->memory_limit > RLIM_INFINITY - 1 - born_with
				? RLIM_INFINITY - 1
				: born_with + pool->memory_limit;
	if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > wanted) {
		limit.rlim_cur = wanted;
		setrlimit(RLIMIT_DATA, &limit);
	}
}

/* A new budget of CPU time, counted over all threads of this process, for each item. */
static void arm_cpu_timer(tini_runner *runner, bool on)
{
	int64_t ns = on ? runner->pool->cpu_limit : 0;
	struct itimerspec budget = {
		.it_value = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000}};

	timer_settime(cpu_timer, 0, &budget, NULL);
}

static bool limit_cpu(const tine_pool *pool)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGXCPU};

	if (pool->cpu_limit == 0)
		return true;
	worker.arm = arm_cpu_timer;
	return timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &cpu_timer) == 0;
}

static void pin(const tine_pool *pool, unsigned slot)
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
static bool spin_for_work(tine_pool *pool, tini_slot *slot)
{
	static int score;
	uint32_t cpu = (uint32_t)sched_getcpu() + 1;

	atomic_store_explicit(&slot->cpu, cpu, memory_order_relaxed); /* a hint */
	if (score < 0 || atomic_load_explicit(&pool->submitter_cpu, memory_order_relaxed) == cpu) {
		score += score < 0;
		return false;
	}
	for (int64_t end = tini_clock_now() + SPIN_NS; tini_clock_now() < end;)
		for (int i = 0; i < 8; i++) {
			if (tini_ready_find(pool, slot->spare) >= 0) {
				score += score < SPIN_SCORE_MAX;
				return true;
			}
			tini_relax();
		}
	score = score - SPIN_LOSS < SPIN_SCORE_MIN ? SPIN_SCORE_MIN : score - SPIN_LOSS;
	return false;
}

static void wait_for_work(tini_runner *runner)
{
	int64_t begun = tini_clock_now();

	atomic_store_explicit(&runner->slot->waiting_since, begun,
			      memory_order_relaxed); /* a figure */
	if (!spin_for_work(runner->pool, runner->slot))
		tini_sleep(runner->pool, runner->owner, must_leave, runner);
	atomic_fetch_add_explicit(&runner->slot->waiting, tini_clock_now() - begun,
				  memory_order_relaxed); /* a figure */
	atomic_store_explicit(&runner->slot->waiting_since, 0, memory_order_relaxed);
}

static void work(tini_runner *runner)
{
	while (!tini_runner_must_leave(runner)) {
		int64_t found = tini_ready_find(runner->pool, runner->slot->spare);

		if (found >= 0)
			tini_run_job(runner, tini_job_at(runner->pool, (uint32_t)found));
		else
			wait_for_work(runner);
	}
}

/* ---- life */

/* What to say of an init that returned `code`. */
static void tell_refusal(tini_slot *slot, int code)
{
	char said[TINI_TEXT];
	const char *name = tini_error_name(code);

	memcpy(said, slot->text, sizeof said);
	const char *why = said[0] ? said : tine_last_error();
	snprintf(slot->text, sizeof slot->text, "init of worker %u returned %d%s%s%s", worker.owner,
		 code, name ? " (" : "", name ? name : "", name ? ")" : "");
	size_t used = strlen(slot->text);
	if (why[0])
		snprintf(slot->text + used, sizeof slot->text - used, ": %.150s", why);
}

static void run_init(tine_pool *pool, tini_slot *slot)
{
	int code = pool->init ? pool->init(pool->context) : 0;

	tini_child_flush();
	if (code == 0)
		return;
	tell_refusal(slot, code);
	atomic_store(&slot->state, TINI_SLOT_REFUSED);
	_exit(0);
}

/* This process cannot be a worker: the supervisor tells why. */
_Noreturn static void refuse(tini_slot *slot, const char *what, int error)
{
	snprintf(slot->text, sizeof slot->text, "%s in worker %u: %.60s", what, worker.owner,
		 strerror(error));
	atomic_store(&slot->state, TINI_SLOT_REFUSED);
	_exit(0);
}

static void *worker_thread(void *context)
{
	tine_pool *pool = worker.pool;
	tini_slot *slot = worker.slot;

	(void)context;
	tini_crash_thread_stack();
	tini_runner_enter(&worker);
	tini_child_limit_threads(pool->threads_per_worker);
	tini_threads_limit(pool->threads_per_worker);
	limit_memory(pool);
	run_init(pool, slot);
	if (!limit_cpu(pool))
		refuse(slot, "timer_create for .cpu_limit", errno);
	atomic_store(&slot->state, TINI_SLOT_LIVE);
	if (atomic_load(&pool->opened) == 0)
		tini_pool_kick(pool);
	work(&worker);
	atomic_store(&slot->state, TINI_SLOT_LEAVING);
	if (pool->exit && atomic_load(&pool->closing) != TINI_KILLING)
		pool->exit(pool->context);
	tini_child_flush();
	_exit(0);
}

/* For process lists, which show 15 bytes. */
static void take_name(const tine_pool *pool, unsigned slot)
{
	char name[32];

	snprintf(name, sizeof name, "%.10s-%u", pool->name, slot);
	prctl(PR_SET_NAME, name);
}

_Noreturn void tini_worker_main(tine_pool *pool, unsigned slot, const tini_watch *watch,
				pid_t supervisor)
{
	worker = (tini_runner){.pool = pool,
			       .self = tini_self_id(),
			       .slot = &pool->slot[slot],
			       .owner = slot,
			       .is_process = true,
			       .left = pool->tasks_per_worker ? pool->tasks_per_worker : SIZE_MAX};
	tini_child_plan plan = {.parent = supervisor,
				.watch = watch,
				.quiet_terminal = true,
				.first_to_kill = true};
	atomic_store(&worker.slot->pid,
		     (int)getpid()); /* so that it is known if the supervisor dies now */
	tini_crash_catch(&worker.slot->crash);
	tini_child_begin(&plan);
	take_name(pool, slot);
	pin(pool, slot);
	tini_runner_of_process(&worker);
	int rc = tini_child_run(worker_thread, NULL);
	refuse(worker.slot, "pthread_create", rc);
}
