/* SPDX-License-Identifier: MIT */
/* Who takes part: helpers are started and hosts noticed here, and a fork() is survived. */
#include "loop/team.h"

#include "base/clock.h"
#include "base/cpu.h"
#include "base/os.h"
#include "process/child.h"
#include "process/self.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#define RETRY_NS INT64_C(1000000000) /* after a thread could not be started */
#define STACK_MAX ((size_t)64 << 20) /* groups that lie deeper are counted by atomic steps */

tini_team tini_the_team;
_Thread_local tini_worker *tini_worker_here;

static pthread_mutex_t growing = PTHREAD_MUTEX_INITIALIZER; /* adding a helper or a host */
static pthread_key_t host_key;                              /* notices a host's end */
static bool has_key;
static _Atomic int64_t
	refused_at; /* clock of the last thread that could not be started; 0: never */

uint32_t tini_team_size(void)
{
	return atomic_load(&tini_the_team.helpers) + atomic_load(&tini_the_team.hosts);
}

tini_worker *tini_team_at(uint32_t number)
{
	uint32_t helpers = atomic_load(&tini_the_team.helpers);

	return number < helpers ? atomic_load(&tini_the_team.helper[number])
				: atomic_load(&tini_the_team.host[number - helpers]);
}

/* ---- workers */

/* Bounds of the calling thread's stack: they only tell which groups it owns. */
static void find_stack(tini_worker *worker)
{
	pthread_attr_t attr;
	void *low;
	size_t size;

	worker->stack_low = worker->stack_size = 0;
	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		return;
	if (pthread_attr_getstack(&attr, &low, &size) == 0) {
		/* An unlimited stack is told to reach down to what is mapped below it, and later to the
		 * stacks of others. */
		size_t own = size < STACK_MAX ? size : STACK_MAX;
		worker->stack_low = (uintptr_t)low + (size - own);
		worker->stack_size = own;
	}
	pthread_attr_destroy(&attr);
}

static tini_worker *worker_new(uint32_t number, bool is_helper)
{
	void *memory;

	if (tini_os_map_private(&memory, sizeof(tini_worker)) != 0)
		return NULL;
	tini_worker *worker = memory;
	worker->number = number;
	worker->is_helper = is_helper;
	worker->seed = number;
	return worker;
}

/* ---- a fork() */

static void forget_worker(tini_worker *worker, bool lives)
{
	if (!worker)
		return;
	/* What was pushed before the fork is the parent's to run. */
	atomic_store(&worker->deque.top, 0);
	atomic_store(&worker->deque.bottom, 0);
	worker->deque.top_seen = 0;
	atomic_store(&worker->mail, TINI_AWAY);
	atomic_store(&worker->used, lives);
}

/* In the child: the calling thread is the only one. */
static void after_fork(void)
{
	tini_team *team = &tini_the_team;
	tini_worker *here = tini_worker_here;
	uint32_t helpers = atomic_load(&team->helpers);

	pthread_mutex_init(&growing, NULL); /* another thread may have held it */
	for (uint32_t i = 0; i < helpers; i++)
		forget_worker(atomic_load(&team->helper[i]), false);
	for (uint32_t i = 0; i < atomic_load(&team->hosts); i++)
		forget_worker(atomic_load(&team->host[i]), atomic_load(&team->host[i]) == here);
	/* Their memory serves the next helpers; a helper that has forked stays what it is, and ends
	 * with the body that it runs. */
	atomic_store(&team->helpers, 0);
	atomic_store(&team->wanted, 0);
	atomic_store(&team->searching, 0);
	atomic_store(&team->asleep, 0);
	atomic_store(&team->open, 0);
	atomic_store(&team->cpus, 0);
	atomic_fetch_add(&team->generation, 1);
	atomic_store(&refused_at, 0);
	if (here && !here->is_helper)
		here->generation = atomic_load(&team->generation);
}

/* ---- hosts */

/* Called when its thread ends.  Tasks that it never waited for are left to thieves, and the place
 * is used again when they are gone. */
static void host_ended(void *worker)
{
	tini_worker *host = worker;

	tini_worker_here = NULL;
	atomic_store(&host->used, false);
}

static tini_worker *take_host(uint32_t number)
{
	tini_worker *host = atomic_load(&tini_the_team.host[number]);

	if (!host) {
		host = worker_new(number, false);
		if (!host)
			return NULL;
		atomic_store(&tini_the_team.host[number], host);
		atomic_store(&tini_the_team.hosts, number + 1);
	} else if (atomic_load(&host->used) || tini_deque_length(&host->deque) > 0) {
		return NULL;
	}
	atomic_store(&host->used, true);
	return host;
}

static tini_worker *new_host(void)
{
	tini_worker *host = NULL;

	pthread_mutex_lock(&growing);
	if (!has_key)
		has_key = pthread_key_create(&host_key, host_ended) == 0;
	uint32_t hosts = atomic_load(&tini_the_team.hosts);
	for (uint32_t i = 0; has_key && !host && i <= hosts && i < TINI_HOSTS_MAX; i++)
		host = take_host(i);
	pthread_mutex_unlock(&growing);
	return host;
}

tini_worker *tini_worker_new(void)
{
	tini_self_on_fork(after_fork);
	tini_worker *host = new_host();
	if (!host)
		return NULL;
	if (pthread_setspecific(host_key, host) != 0) {
		atomic_store(&host->used, false);
		return NULL;
	}
	find_stack(host);
	atomic_store(&host->group, NULL);
	host->root = NULL;
	host->level = 0;
	host->generation = atomic_load(&tini_the_team.generation);
	tini_worker_here = host;
	return host;
}

/* ---- helpers */

static void *helper_main(void *arg)
{
	tini_worker *worker = arg;
	char name[16];

	snprintf(name, sizeof name, "tine-%u", worker->number % 100000);
	prctl(PR_SET_NAME, name);
	tini_worker_here = worker;
	find_stack(worker);
	tini_helper_loop(worker);
}

/* The memory of a helper that a fork() has ended serves again, unless its thread is the one that
 * forked. */
static tini_worker *helper_at(uint32_t number)
{
	tini_worker *worker = atomic_load(&tini_the_team.helper[number]);

	if (!worker || worker == tini_worker_here)
		worker = worker_new(number, true);
	if (worker)
		worker->generation = atomic_load(&tini_the_team.generation);
	return worker;
}

static bool add_helper(void)
{
	uint32_t number = atomic_load(&tini_the_team.helpers);
	tini_worker *worker = helper_at(number);

	if (!worker)
		return false;
	worker->level = 0;
	atomic_store(&worker->group, NULL);
	worker->root = NULL;
	atomic_store(&tini_the_team.helper[number], worker);
	if (tini_os_thread(NULL, helper_main, worker) != 0)
		return false; /* the memory stays for the next attempt */
	atomic_store(&tini_the_team.helpers, number + 1);
	return true;
}

static bool was_refused_lately(void)
{
	int64_t moment = atomic_load_explicit(&refused_at, memory_order_relaxed); /* a hint */

	return moment != 0 && tini_clock_now() - moment <= RETRY_NS;
}

void tini_team_start(uint32_t helpers)
{
	uint32_t wanted = atomic_load(&tini_the_team.wanted);

	while (wanted < helpers &&
	       !atomic_compare_exchange_weak(&tini_the_team.wanted, &wanted, helpers))
		continue;
	if (was_refused_lately())
		return;
	/* Before the lock: it asks the dynamic loader, whose lock is held where a library's
	 * constructor calls us. */
	tini_child_find_threads();
	pthread_mutex_lock(&growing);
	if (atomic_load(&tini_the_team.cpus) == 0)
		atomic_store(&tini_the_team.cpus, (uint32_t)tini_cpu_affinity());
	while (atomic_load(&tini_the_team.helpers) < helpers)
		if (!add_helper()) {
			atomic_store(&refused_at, tini_clock_now());
			break;
		}
	pthread_mutex_unlock(&growing);
}
