/* SPDX-License-Identifier: MIT */
/*
 * tine/base.h - errors, versions and thread counts: what every other room uses.
 *
 * What makes a thing returns it, or NULL; what does a thing returns 0 or a negative TINE_E code.
 * After either failure tine_last_code() and tine_last_error() tell this thread the code and one
 * line of text.
 *
 * Timeouts are seconds.  As a parameter, 0 tries and a negative value (TINE_FOREVER) waits without
 * end.  As a keyword, 0 is the default and TINE_FOREVER lifts the limit that the pool would set.
 * NaN is TINE_EINVAL.
 *
 * Keywords: tine_map(pool, f, a, n, size, out, .retries = 2) fills a tine_map_args; what is not
 * written is 0, and 0 is always the default.  C++ has no such literals: it fills the struct from
 * tine_map_defaults() and calls tine_map_with().
 */
#ifndef TINE_BASE_H
#define TINE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TINE_API __attribute__((visibility("default")))
#define TINE_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define TINE_NODISCARD __attribute__((warn_unused_result))
#else
#define TINE_API
#define TINE_PRINTF(f, a)
#define TINE_NODISCARD
#endif

#ifndef __cplusplus
#define TINI_ARGS(T, ...) (&(T){.struct_size = sizeof(T), __VA_ARGS__})
#define TINI_DEFAULTS(name)
#else /* C++: tine_map_args a = tine_map_defaults(); a.pool = pool; ...; tine_map_with(&a); */
#define TINI_DEFAULTS(name)                                           \
	static inline tine_##name##_args tine_##name##_defaults(void) \
	{                                                             \
		tine_##name##_args a = tine_##name##_args();          \
		a.struct_size = sizeof(a);                            \
		return a;                                             \
	}
#endif

/*
 * Every error code, its name without TINE_ and what it means.  The codes are negative and keep
 * their numbers.
 */
#define TINE_ERRORS(X)                                                             \
	X(EINVAL, "an argument is wrong")                                          \
	X(ENOMEM, "out of memory")                                                 \
	X(ESYSTEM, "a system call failed")                                         \
	X(ESTATE, "not allowed now: closed, forked, or in use")                    \
	X(EUNSUPPORTED, "not built, not installed or not possible here")           \
	X(EVERSION, "options of a newer header")                                   \
	X(ETIMEDOUT, "this wait ran out; what was waited for goes on")             \
	X(EDEADLINE, "a time limit ran out and the item was ended")                \
	X(ECRASHED, "the worker died of a signal in the item")                     \
	X(EEXITED, "the item called exit()")                                       \
	X(EOOM, "the worker was killed for want of memory")                        \
	X(EITEMS, "some items failed; statuses and failures say which")            \
	X(ETASK, "the task returned a negative number that is no TINE_E code")     \
	X(ECANCELLED, "cancelled before it ended")                                 \
	X(EINIT, "the worker's init failed")                                       \
	X(ELOST, "the pool's supervisor is gone")                                  \
	X(EBROKEN, "workers die before they can begin; or a barrier lost a party") \
	X(EDEADLOCK, "would wait for itself")                                      \
	X(EOWNERDEAD, "locked, but the last owner died: check the data")           \
	X(ECLOSED, "the other side is closed or dead")                             \
	X(EDONE, "no more items")                                                  \
	X(EPENDING, "not finished yet")                                            \
	X(ESYNTAX, "the expression cannot be read")                                \
	X(ENAME, "no variable or function of this name")                           \
	X(EDTYPE, "no such operation for these dtypes")                            \
	X(ESHAPE, "shapes do not fit")                                             \
	X(ECAST, "the cast is not allowed")                                        \
	X(EFORMAT, "the file is not what it says")                                 \
	X(ESINGULAR, "singular matrix")                                            \
	X(ENOTPOSITIVE, "not positive definite")                                   \
	X(ENOCONVERGE, "the iteration did not converge")                           \
	X(ENOFP64, "the device has no double precision")

/* clang-format takes the rows for a continued line */
/* clang-format off */
enum tini_error_index {
	TINI_E0,
#define X(name, text) TINI_##name,
	TINE_ERRORS(X)
#undef X
	TINI_E_END
};
enum tine_error {
	TINE_OK = 0,
#define X(name, text) TINE_##name = -TINI_##name,
	TINE_ERRORS(X)
#undef X
	TINE_E_LAST = -TINI_E_END
};
/* clang-format on */

/* A wait without end; in keywords: "no limit, whatever the pool says". */
#define TINE_FOREVER (-1.0)

/*
 * Tell the version of the library that is loaded, as "0.1.0".
 *
 * Returns: a static text.
 * Owner:   the library; not to be freed.
 * Safety:  any thread, a child of fork(), a signal handler.
 * Errors:  none.
 * Since:   0.1
 */
TINE_API const char *tine_version(void);

/*
 * Tell in words what a code means.
 *
 * code: a TINE_E code or 0.
 *
 * Returns: a static text: "success" for 0, "unknown error code" for a number that is none.
 * Owner:   the library; not to be freed.
 * Safety:  any thread, a child of fork(), a signal handler.
 * Errors:  none.
 * Python:  os.strerror()
 * Since:   0.1
 */
TINE_API const char *tine_strerror(int code);

/*
 * Tell in one line what went wrong in the last call of this thread that failed.
 *
 * The line names what is needed to act: the item's index, the worker's pid, the signal, the limit
 * in the way.  Calls that succeed leave it as it is.
 *
 * Returns: a text of at most 500 bytes, "" before any failure.
 * Owner:   the library; the text changes with this thread's next failing call.
 * Safety:  any thread, each has its own; a child of fork() sees what its thread had.  Not in a
 *          signal handler.
 * Errors:  none.
 * Python:  str(exception)
 * Since:   0.1
 */
TINE_API const char *tine_last_error(void);

/*
 * Tell the code of the last call of this thread that failed, also of one that returned NULL.
 *
 * Returns: a TINE_E code, 0 before any failure.
 * Safety:  any thread, each has its own.
 * Errors:  none.
 * Since:   0.1
 */
TINE_API int tine_last_code(void);

/*
 * Count the CPUs that this process may use.
 *
 * TINE_NUM_THREADS or else OMP_NUM_THREADS, of "4,2" the first number, is the answer where it is
 * set.  Otherwise it is the lesser of the calling thread's CPU affinity and the control groups' CPU
 * quota, rounded up.
 *
 * Returns: at least 1.
 * Safety:  any thread, a child of fork(); not while another thread changes the environment.
 * Cost:    reads a few files of /proc and /sys: some 0.1 ms, unless the environment has the answer.
 * Errors:  none; what cannot be read does not limit.
 * Python:  os.process_cpu_count(), which does not know quotas
 * Since:   0.1
 */
TINE_API int tine_cpu_count(void);

/*
 * Tell how many threads a parallel call of this thread uses by default.
 *
 * The first that says something: this thread's tine_threads_push(); in a body or a task, where it
 * has a number of its own, that of the loop or of who has spawned; in a pool's worker its
 * .threads_per_worker; tine_set_num_threads(); tine_cpu_count() as it was when first asked.
 *
 * Returns: at least 1.
 * Safety:  any thread, a child of fork().
 * Cost:    nanoseconds; that of tine_cpu_count() the first time.
 * Errors:  none.
 * Python:  numexpr's and torch's get_num_threads()
 * Since:   0.1
 */
TINE_API int tine_num_threads(void);

/*
 * Set how many threads parallel calls of this process use by default.
 *
 * n: threads; 0: back to the default, which is then found anew.
 *
 * No thread is started or ended by it.
 *
 * Returns: 0 or a code.
 * Safety:  any thread; for the whole process.
 * Errors:  TINE_EINVAL (n is negative).
 * Python:  numexpr.set_num_threads(), which returns the old number
 * Since:   0.1
 */
TINE_API int tine_set_num_threads(int n);

/*
 * Set how many threads the parallel calls of this thread use, until tine_threads_pop().
 *
 * n: threads; 0: the process's number, whatever was pushed before.
 *
 * Returns: 0 or a code.
 * Safety:  any thread; each has a stack of its own, which ends with it.
 * Errors:  TINE_EINVAL (n is negative), TINE_ESTATE (64 numbers are pushed already).
 * Python:  threadpoolctl's `with threadpool_limits(n)`
 * Since:   0.1
 */
TINE_API int tine_threads_push(int n);

/*
 * Take back what this thread's last tine_threads_push() has set.
 *
 * Returns: 0 or a code.
 * Safety:  any thread, for itself alone.
 * Errors:  TINE_ESTATE (this thread has pushed nothing).
 * Since:   0.1
 */
TINE_API int tine_threads_pop(void);

#ifdef __cplusplus
}
#endif
#endif
