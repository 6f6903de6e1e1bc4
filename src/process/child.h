/* SPDX-License-Identifier: MIT */
/* The first things that a worker or a started process does, between fork() and the user's function.
 */
#ifndef TINI_PROCESS_CHILD_H
#define TINI_PROCESS_CHILD_H

#include "process/hidden.h"

#include <stddef.h>
#include <sys/types.h>

/* In the host, before the fork: look up the thread-count functions of the BLAS and OpenMP libraries
 * that are loaded. */
void tini_child_find_threads(void);

/*
 * In the parent of the children: tell the number of threads to libraries that are loaded later, by
 * the environment; open /dev/null for their stdin.
 */
void tini_child_prepare(int threads);

typedef struct tini_child_plan {
	pid_t parent;            /* die when it does */
	const tini_watch *watch; /* descriptors of the hidden parent: closed */
	pid_t group;             /* the process group to join; 0: one of its own */
	bool quiet_terminal; /* ignore SIGINT, SIGTSTP, SIGTTIN, SIGTTOU; stdin from /dev/null */
	bool first_to_kill;  /* a higher oom_score_adj than its parent's */
} tini_child_plan;

/* In the child, first of all. */
void tini_child_begin(const tini_child_plan *plan);

/* Limit the BLAS and OpenMP threads of this thread's calls to n. */
void tini_child_limit_threads(int n);

/* The same for a thread of the host: only where the library keeps a number for each thread. */
void tini_child_limit_thread(int n);

/* The same for a while: returns the number before, to be put back; 0: there is no OpenMP. */
int tini_child_swap_thread_limit(int n);

/*
 * Run main(arg) on a new thread with the default stack size and wait for it.  The forked thread
 * itself must run no OpenMP: libgomp would wait for threads that were not forked.  Returns 0 or an
 * errno.
 */
int tini_child_run(void *(*main)(void *arg), void *arg);

/* Write out what this process wrote to stdout. */
void tini_child_flush(void);

/* In the host, before a fork: the same, unless another thread is in the middle of writing to it. */
void tini_host_flush(void);

/* Bytes of private writable memory, what RLIMIT_DATA counts; 0: unknown. */
size_t tini_child_data(void);

#endif
