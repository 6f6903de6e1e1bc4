/* SPDX-License-Identifier: MIT */
/*
 * tine/loop.h - parallel loops, reductions and tasks on the threads of this process.
 *
 * One set of tine_num_threads() threads serves every call: the caller is one of them, the others
 * are started at the first need and sleep when there is nothing to do.  They take what is left of
 * each other's share, so that work of uneven length is balanced.  docs/guide.md says when to use
 * what.
 *
 * Bodies and tasks run side by side: what two of them write must not overlap.  How many run at the
 * same moment is not promised - on one CPU, or where no thread can be started, it is one - so none
 * may wait for another of the same loop.  They must return: no longjmp() and no exception out of
 * one.  In a crash of one the whole program crashes, as with any thread; a pool of processes
 * survives it.
 */
#ifndef TINE_LOOP_H
#define TINE_LOOP_H

#include <tine/base.h>
#include <tine/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Do the iterations begin <= i < end. */
typedef void tine_body(size_t begin, size_t end, void *context);

/* Add what begin <= i < end contribute to *partial, which holds the identity at first and is aligned
 * as malloc() aligns. */
typedef void tine_reduce_body(size_t begin, size_t end, void *context, void *partial);

/* Make *into what *into and *from give together; `from` belongs to later indices. */
typedef void tine_combine(void *into, const void *from, void *context);

/* How a loop is cut into calls of its body.  With each, threads that have nothing left take from
 * others. */
typedef enum tine_schedule {
	TINE_SCHEDULE_AUTO, /* by the measured time: calls of some 20 us; small loops stay with the caller */
	TINE_SCHEDULE_STATIC, /* one equal part for each thread, as tine_distribute() cuts them; with
				 a grain, parts of at most so many */
	TINE_SCHEDULE_DYNAMIC, /* calls of exactly .grain iterations, or 1; the last may be shorter */
	TINE_SCHEDULE_GUIDED, /* calls that get shorter towards the end, of at least .grain */
} tine_schedule;

typedef struct tine_for_args {
	size_t struct_size; /* set by tine_for() */
	size_t begin, end;  /* iterations begin <= i < end; begin >= end: none */
	tine_body *body;    /* called for parts of the range, never an empty one */
	void *context;      /* for the body; with a pool of processes: NULL or in the shared heap */
	tine_pool *pool;    /* run on this pool's workers; NULL: on the threads of this process */
	size_t grain;       /* iterations in a call of the body: see tine_schedule; 0: automatic */
	tine_schedule schedule; /* how the range is cut: see tine_schedule */
	int threads; /* at most so many, the caller among them; 0: tine_num_threads(); ignored with .pool */
} tine_for_args;
TINI_DEFAULTS(for)

/*
 * Run a loop in parallel.
 *
 * Keywords: see tine_for_args.
 *
 * Each iteration is done exactly once, in no order.  Loops may be nested, called from any number of
 * threads at once, and called from tasks.  What a body takes is learnt, by its address; where calls
 * of AUTO or DYNAMIC take 10 us or more, they begin in order of index.
 *
 * With .pool the parts are items of a tine_map(): a crash fails its part, all others are done, and
 * the call returns TINE_EITEMS.  What the body writes must lie in the shared heap.
 *
 * Returns: 0 when all iterations are done, or a code.
 * Blocks:  until they are.  While others finish their last calls the caller runs what these have
 *          spawned, nothing else.
 * Safety:  any thread.  A child of fork() has threads of its own.  The child of a fork() inside a
 *          body gets TINE_ESTATE, for the rest of the loop is done by the parent; it ends with the
 *          body where that ran on one of Tine's threads.
 * Cost:    up to 20 us where threads sleep, about 1 us where they do not, some 30 ns where the
 *          loop is too small to share.
 * Errors:  TINE_EINVAL (body is NULL, .schedule is unknown, .threads is negative, or .context is
 *          private with a pool of processes), TINE_EVERSION, TINE_ESTATE (see Safety); with .pool,
 *          those of tine_map().  Threads that cannot be started are done without.
 * Python:  joblib.Parallel(prefer="threads"), numba.prange
 * Since:   0.1
 */
#define tine_for(begin, end, ...) \
	tine_for_with(TINI_ARGS(tine_for_args, begin, end, __VA_ARGS__)) /* body, context, keywords */
TINE_API int tine_for_with(const tine_for_args *args);

typedef struct tine_reduce_args {
	size_t struct_size; /* set by tine_reduce() */
	size_t begin, end;  /* indices begin <= i < end; begin >= end: none */
	tine_reduce_body *body; /* adds a block to a partial result */
	tine_combine *combine; /* associative; need not be commutative */
	void *context;         /* for both; with a pool of processes: NULL or in the shared heap */
	void *result;          /* where the answer is stored; in: not looked at */
	size_t result_size;    /* bytes of the result and of each partial one */
	const void
		*identity; /* result_size bytes that each partial result begins as; NULL: zeros */
	tine_pool *pool;   /* run on this pool's workers; NULL: on the threads of this process */
	size_t grain; /* indices in a call of the body, exactly; 0: 1/256 of the range, rounded up */
	int threads; /* at most so many, the caller among them; 0: tine_num_threads(); ignored with .pool */
} tine_reduce_args;
TINI_DEFAULTS(reduce)

/*
 * Reduce a range to one value in parallel.
 *
 * Keywords: see tine_reduce_args.
 *
 * The range is cut into blocks of .grain indices.  The body makes a partial result of each block,
 * and these are combined pairwise, left with right, in a tree whose shape depends on the number of
 * blocks alone.  Where body and combine are deterministic the answer has therefore the same bits
 * with any number of threads, on any pool, in every run.  An empty range gives the identity.
 *
 * Returns: 0, or a code; then *result is as it was.
 * Blocks:  until the answer is there.
 * Safety:  as tine_for().
 * Accuracy: of a sum: the error grows with the block's length and the logarithm of their number.
 * Cost:    as tine_for(), and some 15 ns a block.
 * Errors:  TINE_EINVAL (body, combine or result is NULL, result_size is 0, .threads is negative,
 *          .context private with a pool of processes), TINE_ENOMEM (partial results of more than
 *          64 bytes), TINE_ESTATE (as tine_for()); with .pool, those of tine_map().
 * Python:  functools.reduce() over joblib's results, numba's prange reductions
 * Source:  pairwise summation: Higham, Accuracy and Stability of Numerical Algorithms, section 4.2
 * Since:   0.1
 */
#define tine_reduce(begin, end, body, combine, context, result, ...)                             \
	tine_reduce_with(TINI_ARGS(tine_reduce_args, begin, end, body, combine, context, result, \
				   __VA_ARGS__))
TINE_API int tine_reduce_with(const tine_reduce_args *args);

/*
 * Tasks that are waited for together: one for each fork-join region, best on the stack of who
 * waits for it.  tine_group g = {0};  It must not be moved or end before it was waited for; then it
 * may be used again.
 */
typedef struct tine_group {
	uint64_t word[4]; /* Tine's own: zeros at first */
} tine_group;

/*
 * Let fn(arg) be run by some thread, at the latest in tine_group_wait().
 *
 * group: in and out, zeros at first; fn: not NULL; arg: passed on, must live until fn has returned.
 *
 * It may run before this returns, inside this call: where there is one thread only, or so many tasks
 * are waiting that another would not help.  A chain of tasks that each spawn the next is then as deep
 * on the stack as it is long.  So do not hold a lock here that the task wants.  Tasks may spawn, into
 * groups of their own or into this one.
 *
 * Returns: 0 or a code.
 * Safety:  any thread.  Tasks spawned before a fork() are the parent's; the child of a fork() in a
 *          task ends with the task where that ran on one of Tine's threads.
 * Cost:    about 10 ns with the wait; a system call where a thread is to be woken.  A thread's first
 *          call takes some 100 KB of address space, later ones no memory.
 * Errors:  TINE_EINVAL (group or fn is NULL).
 * Python:  concurrent.futures' submit() on threads
 * Source:  Chase and Lev, Dynamic Circular Work-Stealing Deque, SPAA 2005
 * Since:   0.1
 */
TINE_API int tine_spawn(tine_group *group, void (*fn)(void *arg), void *arg);

/*
 * Wait until all tasks of the group have returned.
 *
 * group: in and out; zeros: nothing to wait for.
 *
 * Returns: 0 or a code.
 * Blocks:  until they have.  Meanwhile the caller runs tasks of this group and what these have
 *          spawned where others took them, so that a lock that it holds is asked for by nothing
 *          unrelated.  Only where no other thread works on anything, it runs what it has spawned
 *          otherwise, for nobody else would.
 * Safety:  any thread.
 * Errors:  TINE_EINVAL (group is NULL), TINE_EDEADLOCK (called by a task of this very group),
 *          TINE_ESTATE (in the child of a fork(), where tasks were spawned by its parent).
 * Python:  concurrent.futures.wait()
 * Source:  leapfrogging: Wagner and Calder, PPoPP 1993
 * Since:   0.1
 */
TINE_API int tine_group_wait(tine_group *group);

typedef struct tine_range {
	size_t begin, end; /* indices begin <= i < end */
} tine_range;

/*
 * Tell which part of 0 .. count - 1 belongs to one of several workers.
 *
 * count: indices; parts: among how many; index: which part, from 0.
 *
 * The parts lie side by side in order of index and differ by at most one in length; the longer ones
 * come first.
 *
 * Returns: the part; the empty range {0, 0} where parts is 0 or index is not below parts.
 * Safety:  any thread, a child of fork(), a signal handler.
 * Cost:    two divisions.
 * Errors:  none.
 * Python:  numpy.array_split(), sharedmem's distribute()
 * Since:   0.1
 */
TINE_API tine_range tine_distribute(size_t count, size_t parts, size_t index);

#ifdef __cplusplus
}
#endif
#endif
