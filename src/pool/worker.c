/* SPDX-License-Identifier: MIT */
/*
 * A worker process.  Its first thread only waits for the second, which runs init, the items and
 * exit: OpenMP runtimes hang on a forked thread.
 */
#include "pool/worker.h"

#include "base/error.h"
#include "base/threads.h"
#include "pool/pool.h"
#include "pool/run.h"
#include "pool/workloop.h"
#include "process/child.h"
#include "process/self.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
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

/* ---- life */

static void run_init(tini_slot *slot)
{
	int code = tini_work_init(&worker);

	tini_child_flush();
	if (code == 0)
		return;
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
	run_init(slot);
	if (!limit_cpu(pool))
		refuse(slot, "timer_create for .cpu_limit", errno);
	atomic_store(&slot->state, TINI_SLOT_LIVE);
	if (atomic_load(&pool->opened) == 0)
		tini_pool_kick(pool);
	tini_work(&worker);
	atomic_store(&slot->state, TINI_SLOT_LEAVING);
	if (pool->exit && atomic_load(&pool->closing) != TINI_KILLING)
		pool->exit(pool->context);
	tini_child_flush();
	_exit(0);
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
	tini_work_name(pool, slot);
	tini_work_pin(pool, slot);
	tini_runner_of_process(&worker);
	int rc = tini_child_run(worker_thread, NULL);
	refuse(worker.slot, "pthread_create", rc);
}
