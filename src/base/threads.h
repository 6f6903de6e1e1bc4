/* SPDX-License-Identifier: MIT */
/* How many threads Tine uses: the process-wide number and each thread's stack of tine_threads_push(). */
#ifndef TINI_BASE_THREADS_H
#define TINI_BASE_THREADS_H

#include <stdatomic.h>

/* What this thread's stack and limit say, and what is said for the process; 0: nothing, not found yet. */
extern _Thread_local int tini_threads_mine __attribute__((tls_model("initial-exec")));
extern _Atomic int tini_threads_all;

/* tine_num_threads() where it is known, else 0. */
static inline int tini_threads_now(void)
{
	return tini_threads_mine ? tini_threads_mine : atomic_load_explicit(&tini_threads_all, memory_order_relaxed);
}

/* In a pool's worker: the number that tine_num_threads() gives from now on, whatever the environment says. */
void tini_threads_limit(int n);

/* In a thread that works for a pool or a loop: its own number wherever it has pushed none, whatever the process's is;
 * 0: none.  Returns what it was before. */
int tini_threads_limit_here(int n);

#endif
