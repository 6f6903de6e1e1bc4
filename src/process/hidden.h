/* SPDX-License-Identifier: MIT */
/*
 * Hidden processes: the supervisor of a pool and the monitor of a tine_process.
 *
 * The host sees neither a child nor SIGCHLD.  The hidden process watches the host by a pidfd, which
 * tells its death, and by a close-on-exec pipe (the lifeline), which also tells an exec.
 */
#ifndef TINI_PROCESS_HIDDEN_H
#define TINI_PROCESS_HIDDEN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What the host keeps of a hidden process. */
typedef struct tini_hidden {
	pid_t pid;
	int pidfd, lifeline;
	void *birth;   /* the block in which the two have met */
	pid_t visible; /* its pid where it is an ordinary child, to be reaped; else 0 */
} tini_hidden;

/* What the hidden process has. */
typedef struct tini_watch {
	int host_pidfd, lifeline,
		signals; /* signalfd of SIGCHLD and SIGUSR1; all signals stay blocked */
} tini_watch;

/*
 * Start main(watch, arg) in a hidden process named `name` (at most 15 bytes); main ends by _exit().
 *
 * Of the descriptors it keeps what an exec would keep, those of the heap, those of *watch, and
 * `keep` (-1: none). Returns 0, TINE_ESYSTEM or TINE_ENOMEM, told; on failure nothing is left.
 * Blocks: at most 5 s.
 */
int tini_hidden_start(tini_hidden *hidden, const char *name, int keep,
		      void (*main)(tini_watch *watch, void *arg), void *arg);

/* False once it has ended, or cannot be watched any more. */
bool tini_hidden_alive(const tini_hidden *hidden);

/* Let it look at its orders. */
void tini_hidden_kick(const tini_hidden *hidden);

/* Give the descriptors back and reap a visible one, killing it first where `kill` says so. */
void tini_hidden_close(tini_hidden *hidden, bool kill);

/* In the hidden process: sleep until a signal, the host's end or the deadline.  Returns false when
 * the host is gone; *child: a child has changed. */
bool tini_watch_wait(const tini_watch *watch, int64_t deadline, bool *child);

/* In the hidden process: kill and reap all children, and those that they leave behind. */
void tini_children_end(void);

#endif
