/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's decisions: which workers to start, which to end, what a death means.
 *
 * Workers are forked here, from the state of the host at tine_pool_open(), and die with this
 * process.  Only this process kills them, and only while they are its unreaped children, so a
 * signal never reaches a stranger.
 */
#include "pool/supervise.h"

#include "base/clock.h"
#include "base/cpu.h"
#include "base/futex.h"
#include "base/os.h"
#include "heap/heap.h"
#include "pool/job.h"
#include "pool/pool.h"
#include "pool/ready.h"
#include "pool/repair.h"
#include "pool/worker.h"
#include "process/child.h"
#include "process/supervisor.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define HEARTBEAT_NS (50 * MS) /* while jobs run */
#define IDLE_NS (500 * MS)     /* while none does */
#define LOOK_AGAIN_NS (1 * MS) /* after a worker was told to stop */
#define STOP_NS \
	(100 * MS) /* a worker that does not stop by then is in a system call: killed as it is */
#define CRASH_HANDLER_NS (200 * MS)
#define START_NS (5000 * MS) /* beyond the pool's limit, for init */
#define FORK_AGAIN_NS (20 * MS)
#define FORK_GIVE_UP_NS (5000 * MS)
enum { DEATHS_PER_WORKER = 3 }; /* in a row, outside any item */

/* Of this process alone. */
static struct {
	tine_pool *pool;
	const tini_watch *watch;
	pid_t self;
	unsigned deaths;         /* in a row outside any item */
	uint64_t ended_at_death; /* items that had ended when `deaths` was last 0 */
	uint64_t oom_kills;
	int64_t fork_again;   /* not before */
	int64_t fork_failing; /* since when; 0: it works */
} me;

static bool has_process(const tini_slot *slot)
{
	return atomic_load(&slot->pid) > 0;
}

static int count_between(const tine_pool *pool, int from, int to)
{
	int n = 0;

	for (int i = from; i < to; i++)
		n += has_process(&pool->slot[i]);
	return n;
}

static int count_processes(const tine_pool *pool)
{
	return count_between(pool, 0, pool->slots);
}

/* ---- the end of the pool */

static void kill_all(tine_pool *pool, int code)
{
	for (int i = 0; i < pool->slots; i++) {
		tini_slot *slot = &pool->slot[i];

		if (!has_process(slot))
			continue;
		if (atomic_load(&slot->kill_code) == 0)
			atomic_store(&slot->kill_code, code);
		kill(atomic_load(&slot->pid), SIGKILL);
	}
}

/* The pool cannot go on: say why, end everything. */
static void give_up(tine_pool *pool, int code, const char *why)
{
	if (atomic_load(&pool->broken) != 0)
		return;
	snprintf(pool->why, sizeof pool->why, "%s", why);
	atomic_store(&pool->broken, code);
	kill_all(pool, code);
	tini_jobs_abort_all(pool, code);
	if (atomic_load(&pool->opened) == 0)
		atomic_store(&pool->opened, 2);
	tini_futex->wake(&pool->opened, INT32_MAX);
}

/* ---- starting workers */

static void fork_failed(tine_pool *pool, int error)
{
	int64_t now = tini_clock_now();
	char why[TINI_TEXT];

	me.fork_again = now + FORK_AGAIN_NS;
	if (me.fork_failing == 0)
		me.fork_failing = now;
	bool opening = atomic_load(&pool->opened) == 0;
	if (!opening && (count_processes(pool) > 0 || now - me.fork_failing < FORK_GIVE_UP_NS))
		return; /* fewer workers, for a while */
	snprintf(why, sizeof why, "fork of a worker: %s", strerror(error));
	give_up(pool, opening ? TINE_ESYSTEM : TINE_EBROKEN, why);
}

static void start_worker(tine_pool *pool, unsigned s)
{
	tini_slot *slot = &pool->slot[s];

	atomic_store(&slot->state, TINI_SLOT_STARTING);
	atomic_store(&slot->kill_code, 0);
	atomic_store(&slot->parked, 0);
	slot->stopping = 0;
	slot->crash_at = 0;
	slot->forked_at = tini_clock_now();
	slot->spare = s >= (unsigned)pool->workers;
	pid_t pid = tini_os_fork();
	if (pid == 0)
		tini_worker_main(pool, s, me.watch, me.self);
	if (pid < 0) {
		atomic_store(&slot->state, TINI_SLOT_EMPTY);
		fork_failed(pool, (int)-pid);
		return;
	}
	me.fork_failing = 0;
	atomic_store(&slot->pid, (int)pid);
}

/* So many that all of them may die before their first item without another having been begun. */
static bool may_start(const tine_pool *pool)
{
	unsigned starting = 0;

	for (int i = 0; i < pool->slots; i++)
		starting += has_process(&pool->slot[i]) &&
			    atomic_load(&pool->slot[i].state) == TINI_SLOT_STARTING;
	return me.deaths == 0 || me.deaths + starting < DEATHS_PER_WORKER * (unsigned)pool->workers;
}

/* Every worker, and a spare for each that is parked. */
static void start_missing(tine_pool *pool, int64_t now)
{
	int spares = count_between(pool, pool->workers, pool->slots);

	for (int i = 0; i < pool->slots; i++) {
		bool is_spare = i >= pool->workers;

		if (has_process(&pool->slot[i]) || now < me.fork_again ||
		    atomic_load(&pool->broken) != 0)
			continue;
		if ((is_spare && spares >= (int)tini_parked(pool)) || !may_start(pool))
			return;
		start_worker(pool, (unsigned)i);
		spares += is_spare && has_process(&pool->slot[i]);
	}
}

/* Those that were started for parked workers, when these work again. */
static void send_spares_home(tine_pool *pool)
{
	int extra = count_between(pool, pool->workers, pool->slots) - (int)tini_parked(pool);

	for (int i = pool->slots - 1; i >= pool->workers && extra > 0; i--) {
		tini_slot *slot = &pool->slot[i];

		if (!has_process(slot) || atomic_load(&slot->parked))
			continue;
		extra--;
		if (atomic_exchange(&slot->leave, 1) == 0)
			tini_wake_slot(slot);
	}
}

static void look_at_opening(tine_pool *pool)
{
	if (atomic_load(&pool->opened) != 0)
		return;
	for (int i = 0; i < pool->workers; i++)
		if (atomic_load(&pool->slot[i].state) != TINI_SLOT_LIVE)
			return;
	atomic_store(&pool->opened, 1);
	tini_futex->wake(&pool->opened, INT32_MAX);
}

/* ---- limits */

/* The stopped worker's state letter in /proc; 0: unknown. */
static char process_state(int pid)
{
	char path[48], text[512];

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	if (tini_os_read_file(path, text, sizeof text) <= 0)
		return 0;
	const char *end = strrchr(text, ')');
	if (!end || end[1] != ' ')
		return 0;
	return end[2];
}

/* When what this worker runs has to be ended, and with which code; TINI_NEVER: no limit.  The mark
 * is read first, so that a start that belongs to a later item is never too early. */
static int64_t limit_of(tine_pool *pool, tini_slot *slot, uint64_t *mark, int *code)
{
	*mark = atomic_load(&slot->mark);
	uint64_t named = atomic_load(&slot->job);
	if (named == 0 || !tini_mark_is_running(*mark))
		return TINI_NEVER;
	tini_job *job = tini_job_at(pool, (uint32_t)named - 1);
	int64_t started = atomic_load(&slot->started), timeout = job->timeout,
		kill_at = atomic_load(&job->kill_at);
	int64_t end = started != 0 && timeout > 0 ? tini_clock_add(started, timeout) : TINI_NEVER;

	*code = TINE_EDEADLINE;
	if (kill_at != 0 && kill_at < end) {
		end = kill_at;
		*code = atomic_load(&job->abort);
	}
	return end;
}

/*
 * The limit of what this worker runs has passed.  It is stopped first and looked at again, because
 * it may go on to the next item between our look and our signal: only the guilty item is killed.
 */
static void stop_to_look(tini_slot *slot, uint64_t mark, int64_t now)
{
	slot->stopping = mark;
	slot->stopped_at = now;
	kill(atomic_load(&slot->pid), SIGSTOP);
}

static void look_again(tine_pool *pool, tini_slot *slot, int64_t now)
{
	int pid = atomic_load(&slot->pid), code = 0;
	char state = process_state(pid);
	uint64_t mark;

	if (state != 'T' && state != 't' && now - slot->stopped_at < STOP_NS)
		return;
	bool guilty = limit_of(pool, slot, &mark, &code) <= now && mark == slot->stopping;
	slot->stopping = 0;
	if (guilty) {
		atomic_store(&slot->kill_code, code);
		kill(pid, SIGKILL);
	} else {
		kill(pid, SIGCONT);
	}
}

/* An init that never returns is ended where the pool has a limit.  Returns when that would be. */
static int64_t watch_start(const tine_pool *pool, tini_slot *slot, int64_t now)
{
	int64_t end = tini_clock_add(slot->forked_at + START_NS, pool->timeout);

	if (pool->timeout == 0)
		return TINI_NEVER;
	if (now < end)
		return end;
	atomic_store(&slot->kill_code, TINE_EINIT);
	kill(atomic_load(&slot->pid), SIGKILL);
	return now + LOOK_AGAIN_NS;
}

/* Returns when to look at it again. */
static int64_t watch_slot(tine_pool *pool, tini_slot *slot, int64_t now)
{
	uint64_t mark;
	int code = 0;

	if (atomic_load(&slot->crash.state) != 0) {
		if (slot->crash_at == 0)
			slot->crash_at = now;
		if (now - slot->crash_at >= CRASH_HANDLER_NS)
			kill(atomic_load(&slot->pid), SIGKILL);
		return now + CRASH_HANDLER_NS / 4;
	}
	if (atomic_load(&slot->state) == TINI_SLOT_STARTING)
		return watch_start(pool, slot, now);
	if (slot->stopping != 0) {
		look_again(pool, slot, now);
		return now + LOOK_AGAIN_NS;
	}
	int64_t end = limit_of(pool, slot, &mark, &code);
	if (end > now)
		return end;
	stop_to_look(slot, mark, now);
	return now + LOOK_AGAIN_NS / 4;
}

static int64_t watch_slots(tine_pool *pool, int64_t now)
{
	int64_t next = TINI_NEVER;

	for (int i = 0; i < pool->slots; i++) {
		if (!has_process(&pool->slot[i]))
			continue;
		int64_t at = watch_slot(pool, &pool->slot[i], now);
		next = at < next ? at : next;
	}
	return next;
}

/* ---- jobs */

/* Hints may have been lost with those who should have given them.  Returns when to look again. */
static int64_t watch_jobs(tine_pool *pool, int64_t now)
{
	int64_t shortest = IDLE_NS;

	for (uint32_t i = 0; i < atomic_load(&pool->ring); i++) {
		tini_job *job = tini_job_at(pool, i);

		if (!job || !tini_job_look_at(pool, job))
			continue;
		shortest = shortest < HEARTBEAT_NS ? shortest : HEARTBEAT_NS;
		if (job->timeout > 0 && job->timeout < shortest)
			shortest = job->timeout > LOOK_AGAIN_NS ? job->timeout : LOOK_AGAIN_NS;
		if (tini_job_has_work(job))
			tini_ready_set(pool, i);
	}
	atomic_store(&pool->looked_at, 0);
	if (tini_ready_find(pool, false) >= 0 && !tini_wake_one(pool))
		tini_wake_lost(pool);
	tini_jobs_sweep_limbo(pool);
	atomic_store(&pool->watching, shortest);
	return now + shortest;
}

static int64_t tick(void *context)
{
	tine_pool *pool = context;
	int64_t now = tini_clock_now();
	uint32_t closing = atomic_load(&pool->closing);

	atomic_store(&pool->kicked, 0);
	if (closing == TINI_KILLING && atomic_load(&pool->broken) == 0)
		give_up(pool, TINE_ECANCELLED, "the pool was terminated");
	if (closing == TINI_DRAINING && !tini_jobs_any_running(pool)) {
		if (atomic_compare_exchange_strong(&pool->closing, &closing, TINI_LEAVING))
			closing = TINI_LEAVING;
		tini_wake_all(pool);
	}
	if ((closing >= TINI_LEAVING || atomic_load(&pool->broken) != 0) &&
	    count_processes(pool) == 0)
		return -1;
	if (atomic_load(&pool->broken) != 0)
		tini_jobs_abort_all(pool,
				    atomic_load(&pool->broken)); /* what was submitted since */
	else if (closing < TINI_LEAVING)
		start_missing(pool, now);
	send_spares_home(pool);
	look_at_opening(pool);
	int64_t slots = watch_slots(pool, now), jobs = watch_jobs(pool, now),
		next = slots < jobs ? slots : jobs;
	return me.fork_again > now && me.fork_again < next ? me.fork_again : next;
}

/* ---- deaths */

/* One of the kills that the kernel has counted, for each of ours that it may have been. */
static bool was_out_of_memory(void)
{
	if (tini_oom_kills("") <= me.oom_kills)
		return false;
	me.oom_kills++;
	return true;
}

static tini_death death_of(const tine_pool *pool, tini_slot *slot, int status)
{
	int killed = atomic_load(&slot->kill_code);

	if (WIFEXITED(status))
		return (tini_death){TINE_EEXITED, WEXITSTATUS(status)};
	int signal = WTERMSIG(status);
	if (killed == 0 && signal == SIGKILL && atomic_load(&slot->crash.state) != 0)
		return (tini_death){TINE_ECRASHED, slot->crash.signal}; /* its handler hung */
	if (killed != 0 && signal == SIGKILL)
		return (tini_death){killed, signal};
	if (signal == SIGXCPU && pool->cpu_limit > 0)
		return (tini_death){TINE_EDEADLINE, signal};
	if (signal == SIGKILL && was_out_of_memory())
		return (tini_death){TINE_EOOM, signal};
	return (tini_death){TINE_ECRASHED, signal};
}

static uint64_t items_ended(const tine_pool *pool)
{
	uint64_t n = atomic_load(&pool->lost); /* a failed item is progress */

	for (int i = 0; i < pool->slots; i++)
		n += atomic_load_explicit(&pool->slot[i].items,
					  memory_order_relaxed); /* a figure */
	return n;
}

static void tell_start_failure(tine_pool *pool, tini_slot *slot, unsigned s,
			       const tini_death *death)
{
	char why[TINI_TEXT], name[32], place[160] = "";

	if (death->code == TINE_EINIT) {
		snprintf(why, sizeof why, "init of worker %u ran over the limit of %g s", s,
			 (double)(pool->timeout + START_NS) / 1e9);
	} else if (atomic_load(&slot->state) == TINI_SLOT_REFUSED) {
		memcpy(why, slot->text, sizeof why);
	} else if (death->code == TINE_EEXITED) {
		snprintf(why, sizeof why,
			 "worker %u (pid %d) called exit(%d) before its first item", s,
			 atomic_load(&slot->pid), death->signal);
	} else {
		tini_crash_tell(&slot->crash, place, sizeof place);
		snprintf(why, sizeof why, "worker %u (pid %d) died of %s%s before its first item",
			 s, atomic_load(&slot->pid),
			 tini_signal_name(death->signal, name, sizeof name), place);
	}
	give_up(pool, atomic_load(&pool->opened) == 0 ? TINE_EINIT : TINE_EBROKEN, why);
}

/* A death outside any item: while the pool opens it is the end, later only in a row. */
static void count_death(tine_pool *pool, tini_slot *slot, unsigned s, const tini_death *death)
{
	uint64_t ended = items_ended(pool);

	if (ended != me.ended_at_death)
		me.deaths = 0;
	me.ended_at_death = ended;
	me.deaths++;
	bool opening =
		atomic_load(&pool->opened) == 0 && atomic_load(&slot->state) != TINI_SLOT_LIVE;
	if (opening || me.deaths >= DEATHS_PER_WORKER * (unsigned)pool->workers)
		tell_start_failure(pool, slot, s, death);
	else if (me.deaths > (unsigned)pool->workers)
		me.fork_again = tini_clock_now() + FORK_AGAIN_NS / 4; /* no storm */
}

static bool left_by_itself(tini_slot *slot, int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
	       atomic_load(&slot->state) == TINI_SLOT_LEAVING;
}

static void settle_death(tine_pool *pool, unsigned s, int status)
{
	tini_slot *slot = &pool->slot[s];
	tini_death death = death_of(pool, slot, status);
	bool closing =
		atomic_load(&pool->closing) >= TINI_LEAVING || atomic_load(&pool->broken) != 0;

	atomic_store(&slot->parked, 0);
	if (!closing && !left_by_itself(slot, status) && atomic_load(&slot->job) == 0)
		count_death(pool, slot, s, &death);
	if (tini_repair(pool, s, &death))
		me.deaths = 0; /* a failed item is progress */
	tini_repair_created(pool, s);
}

static void died(void *context, pid_t pid, int status)
{
	tine_pool *pool = context;

	for (int i = 0; i < pool->slots; i++) {
		tini_slot *slot = &pool->slot[i];

		if (atomic_load(&slot->pid) != (int)pid)
			continue;
		settle_death(pool, (unsigned)i, status);
		atomic_store(&slot->state, TINI_SLOT_EMPTY);
		atomic_store(&slot->pid, 0);
		return;
	}
	/* Not a worker: something that an item left behind. */
}

static void end_workers(void *context)
{
	kill_all(context, TINE_ECANCELLED);
}

static void ended(void *context, bool host)
{
	tine_pool *pool = context;

	(void)host;
	tini_jobs_abort_all(pool, TINE_ECANCELLED);
	atomic_store(&pool->ended, 1);
	tini_futex->wake(&pool->ended, INT32_MAX);
}

void tini_supervise_pool(tini_watch *watch, void *context)
{
	static const tini_supervised table = {tick, died, end_workers, ended};

	me.pool = context;
	me.watch = watch;
	me.self = getpid();
	me.oom_kills = tini_oom_kills("");
	tini_child_prepare(me.pool->threads_per_worker);
	atomic_store(&me.pool->supervisor, (int)me.self);
	tini_supervise(&table, me.pool, watch);
}

/* ---- without a supervisor, in the host */

static bool is_gone(int pid)
{
	char state = process_state(pid);

	return state == 0 || state == 'Z' || state == 'X';
}

void tini_bury_pool(tine_pool *pool, int code)
{
	tini_death death = {code, SIGKILL};
	int64_t end = tini_clock_deadline(5);

	for (int i = 0; i < pool->slots; i++) {
		tini_slot *slot = &pool->slot[i];

		if (!has_process(slot))
			continue;
		while (!is_gone(atomic_load(&slot->pid)) && tini_clock_now() < end)
			tini_clock_sleep_until(tini_clock_now() +
					       MS); /* they die with their parent */
		tini_heap_actor_died(atomic_load(&slot->pid));
		tini_repair(pool, (unsigned)i, &death);
		atomic_store(&slot->pid, 0);
	}
	for (uint32_t i = 0; i < atomic_load(&pool->ring); i++) {
		tini_job *job = tini_job_at(pool, i);

		if (!job || !tini_job_look_at(pool, job))
			continue;
		tini_job_abort(job, code);
		tini_job_settle_outside(
			job,
			TINI_OWNER_SUPERVISOR); /* it may have died in the middle of tini_jobs_abort_all() */
	}
	tini_jobs_abort_all(pool, code);
}
