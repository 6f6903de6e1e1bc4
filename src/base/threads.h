/* SPDX-License-Identifier: MIT */
/* How many threads Tine uses: the process-wide number and each thread's stack of tine_threads_push(). */
#ifndef TINI_BASE_THREADS_H
#define TINI_BASE_THREADS_H

/* In a pool's worker: the number that tine_num_threads() gives from now on, whatever the environment says. */
void tini_threads_limit(int n);

/* In a thread that works for a pool: its own number wherever it has pushed none, whatever the process's is.  0: as
 * before. */
void tini_threads_limit_here(int n);

#endif
