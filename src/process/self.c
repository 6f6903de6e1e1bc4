/* SPDX-License-Identifier: MIT */
/* Handles belong to the process that opened them: the cached pid is dropped in the child of a
 * fork(). */
#include "process/self.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

enum { HOOKS = 8 };

_Atomic uint64_t tini_self_cached;
static void (*_Atomic hooks[HOOKS])(void);

static void in_child(void)
{
	atomic_store(&tini_self_cached, 0);
	for (int i = 0; i < HOOKS; i++) {
		void (*hook)(void) = atomic_load(&hooks[i]);

		if (hook)
			hook();
	}
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

uint64_t tini_self_id(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint64_t id = atomic_load_explicit(&tini_self_cached,
					   memory_order_relaxed); /* only this process writes it */

	if (id == 0) {
		pthread_once(&once, watch_forks);
		id = (uint64_t)getpid();
		atomic_store_explicit(&tini_self_cached, id, memory_order_relaxed);
	}
	return id;
}

void tini_self_on_fork(void (*child)(void))
{
	tini_self_id();
	for (int i = 0; i < HOOKS; i++) {
		void (*none)(void) = NULL;

		if (atomic_load(&hooks[i]) == child ||
		    atomic_compare_exchange_strong(&hooks[i], &none, child))
			return;
	}
}
