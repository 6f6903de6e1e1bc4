/* SPDX-License-Identifier: MIT */
/*
 * tine/trace.h - figures of a pool and progress on a terminal.
 */
#ifndef TINE_TRACE_H
#define TINE_TRACE_H

#include <tine/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tine_pool tine_pool; /* tine/pool.h */

typedef struct tine_pool_figures { /* since the pool was opened */
	size_t struct_size;        /* in: sizeof(tine_pool_figures) */
	uint64_t items;            /* ended, well or not */
	uint64_t failed;           /* of those: ended with anything but 0 */
	uint64_t crashed;          /* workers that died of a signal or exit() in an item */
	uint64_t overtime;         /* items ended at their time limit */
	uint64_t retried;          /* further tries that were begun */
	double busy_seconds;       /* time in items, summed over the workers */
	double waiting_seconds;    /* time without one, summed over the workers */
	int workers;               /* how many there are to be */
} tine_pool_figures;

/*
 * Read the figures of a pool.
 *
 * pool: in; not NULL.  out: in/out; its struct_size says which members there are, the others are
 * filled in.
 *
 * Returns: 0 or a code.
 * Safety:  any thread of the process that opened the pool, and its workers.  The pool goes on
 *          meanwhile: the figures need not belong to one moment.
 * Errors:  TINE_EINVAL (pool or out is NULL, or its struct_size cannot be), TINE_EVERSION,
 *          TINE_ESTATE (in a child of fork()).
 * Since:   0.1
 */
TINE_API int tine_pool_stats(tine_pool *pool, tine_pool_figures *out);

typedef struct tine_progress tine_progress;

/*
 * Begin to show progress on stderr: a bar with the time to go on a terminal, a plain line now and
 * then elsewhere.
 *
 * title: in; what is being done; NULL: nothing; copied.  total: how much there is; 0: unknown, so
 * that only the count and the rate are shown.
 *
 * A terminal is written to at most 10 times a second.  The environment variable NO_COLOR turns
 * escape sequences off.
 *
 * Returns: the progress, or NULL.
 * Owner:   the caller; end it with tine_progress_close().
 * Safety:  any thread of the process that opened it.
 * Errors:  TINE_ENOMEM.
 * Python:  tqdm.tqdm(desc=title, total=total)
 * Since:   0.1
 */
TINE_API tine_progress *tine_progress_open(const char *title, size_t total);

/*
 * Count n more as done.
 *
 * progress: in; NULL is ignored, so that a failed open needs no test.
 *
 * Safety:  any thread of the process that opened it, several at once.
 * Cost:    an atomic add; now and then a write to stderr.
 * Errors:  none.
 * Python:  tqdm.update(n)
 * Since:   0.1
 */
TINE_API void tine_progress_add(tine_progress *progress, size_t n);

/*
 * Show the last state, end the line and give the progress back.
 *
 * progress: in; NULL is ignored.
 *
 * Safety:  any thread of the process that opened it; nobody may use it afterwards.
 * Errors:  none.
 * Python:  tqdm.close()
 * Since:   0.1
 */
TINE_API void tine_progress_close(tine_progress *progress);

#ifdef __cplusplus
}
#endif
#endif
