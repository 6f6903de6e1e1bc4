/* SPDX-License-Identifier: MIT */
/* A process that is nobody's child: fork() from a helper that shares our memory and ends at once.
 */
#ifndef TINI_BASE_OS_HIDDEN_H
#define TINI_BASE_OS_HIDDEN_H

#include <sys/types.h>

/*
 * Run child(arg) in a forked process with all signals blocked; child must not return.  The caller
 * sees no child and no SIGCHLD, unless it is PID 1 or a subreaper, or under a sanitizer: there it
 * is an ordinary child that the caller has to reap, and *visible is its pid; else *visible is 0.
 *
 * Returns 0 or -errno.  libc's atfork handlers run as for fork().
 */
int tini_os_fork_hidden(void (*child)(void *arg), void *arg, pid_t *visible);

#endif
