/* SPDX-License-Identifier: MIT */
/* Which process this is: a number that a fork()ed child does not share, without a system call. */
#ifndef TINI_PROCESS_SELF_H
#define TINI_PROCESS_SELF_H

#include <stdatomic.h>
#include <stdint.h>

/* This process's pid. */
uint64_t tini_self_id(void);

/* The pid where it has been asked for since the last fork, else 0: for those who only compare. */
extern _Atomic uint64_t tini_self_cached;

/* Called in the child of every fork() of this process, once registered; at most 8. */
void tini_self_on_fork(void (*child)(void));

#endif
