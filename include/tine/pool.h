/* SPDX-License-Identifier: MIT */
/*
 * tine/pool.h - run many calls on a fixed set of workers.
 *
 * A pool owns its workers: processes (TINE_PROCESSES), threads (TINE_THREADS), or the caller itself
 * (TINE_SERIAL).  Work goes in with tine_map() and tine_submit(); one call of a task is an item.
 *
 * Processes are copies of the host as it was when the pool was opened: functions and globals are as
 * they were then, and what a task changes in globals stays in its worker.  Arguments and results
 * move through the shared heap: what already lies there (tine/heap.h) is used in place, by pointer;
 * anything else is copied.
 *
 * A crash, an exit() or a time limit ends one item, which is reported with its story; the worker is
 * replaced and the other items go on.  An item is run at most once, unless .retries allows more: a
 * worker may die after it has done the work and before it could say so, so that with retries an
 * item is run at least once.
 *
 * With TINE_THREADS the workers are threads of the host: they share all its memory, so nothing is
 * copied but the argument and the result of a future, and tasks must not disturb each other.  A
 * crash or an exit() is the host's, and time limits are cooperative, that is, seen when the item
 * returns or asks tine_task_cancelled().  With TINE_SERIAL everything runs in the caller, in order,
 * by the same rules.
 *
 * Both run inline what an item waits for: see tine_map().
 */
#ifndef TINE_POOL_H
#define TINE_POOL_H

#include <tine/heap.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tine_pool tine_pool;
typedef struct tine_future tine_future;

/*
 * A task: reads its argument, writes its result.  It returns 0; a positive code of the user's own;
 * or a TINE_E code, which is reported as it is (any other negative number is reported as
 * TINE_ETASK).  Whatever is not 0 is a failure: the item's result bytes are then zero.  arg is NULL
 * where arg_size is 0, result where result_size is.
 */
typedef int tine_task(const void *arg, void *result);
/* Runs in each new worker before its first item; anything but 0 is a failure. */
typedef int tine_init(void *context);
/* Called when a future has ended. */
typedef void tine_done(tine_future *future, void *context);

/* TINE_MPI belongs to a later version: TINE_EUNSUPPORTED. */
typedef enum tine_pool_kind { TINE_PROCESSES, TINE_THREADS, TINE_SERIAL, TINE_MPI } tine_pool_kind;
/* How processes begin.  TINE_EXEC belongs to a later version: TINE_EUNSUPPORTED. */
typedef enum tine_start { TINE_FORK, TINE_EXEC } tine_start;
/* After a failed item: run the others and report all, or begin no further ones. */
typedef enum tine_on_error { TINE_COLLECT, TINE_STOP } tine_on_error;
typedef enum tine_wait_mode { TINE_ALL, TINE_ANY, TINE_FIRST_ERROR } tine_wait_mode;
/* Workers on CPUs: left to the system; far from each other; side by side. */
typedef enum tine_pin { TINE_PIN_NONE, TINE_PIN_SPREAD, TINE_PIN_COMPACT } tine_pin;
/* Tried again: an item whose worker died, one that ran over its time, one that returned a code. */
enum { TINE_RETRY_CRASH = 1, TINE_RETRY_DEADLINE = 2, TINE_RETRY_CODE = 4 };

typedef struct tine_failure { /* one failed item, told in full */
	size_t index;         /* of the item in its map; 0 for a future */
	int code;             /* as in .statuses */
	int signal;           /* that ended the worker; 0: none */
	int worker;           /* its number, from 0; -1: the item never began */
	int pid;              /* the worker's; 0: the item never began */
	int attempts;         /* how often the item was begun, from 1; 0: never */
	const void *address;  /* that the signal tells, as SIGSEGV does; else NULL */
	char text[240];       /* the story in one line */
} tine_failure;

typedef struct tine_pool_open_args {
	size_t struct_size;          /* set by tine_pool_open() */
	int workers;                 /* 0: one per usable CPU; -1: all; -2: all but one */
	tine_pool_kind kind;         /* 0: TINE_PROCESSES; TINE_THREADS, TINE_SERIAL */
	tine_start start;            /* 0: TINE_FORK */
	tine_init *init;             /* runs once in each new worker; NULL: nothing */
	void (*exit)(void *context); /* runs in each worker that ends in peace; NULL: nothing */
	void *context;               /* for init, exit and tasks; in processes NULL or shared */
	size_t tasks_per_worker;     /* items before a worker is replaced; 0: no end */
	double timeout;              /* seconds an item may run; 0: no limit */
	int retries;                 /* further tries of an item; 0: none (at most once) */
	int retry_on;                /* TINE_RETRY_*, added up; 0: crash and deadline */
	size_t memory_limit;         /* bytes a worker may add to what it was born with; 0: none */
	double cpu_limit;            /* seconds of CPU time an item may use; 0: no limit */
	int threads_per_worker;      /* BLAS, OpenMP, Tine; 0: CPUs / workers */
	tine_pin pin;                /* 0: TINE_PIN_NONE */
	const char *name;            /* for stories and process lists; NULL: "pool"; copied */
} tine_pool_open_args;
TINI_DEFAULTS(pool_open)

/*
 * Open a pool and start its workers: tine_pool_open(.workers = 4, .timeout = 60).
 *
 * Keywords: see tine_pool_open_args; none are needed.
 *
 * The workers are forked, now and later, from a hidden process that is a copy of the host at this
 * moment: functions and globals are as they are now.  To the host they are no children: it sees no
 * SIGCHLD, and wait() does not find them.  They hold only the descriptors that an exec would have
 * kept, read stdin from /dev/null and ignore Ctrl-C; the host's signal handlers and atexit()
 * functions are not theirs.  When the host ends, or execs, so do they.
 *
 * In TINE_THREADS the workers are threads, all started here.  They take no signals, which are the
 * host's threads' to handle, but those that their own faults raise; what an item executes begins
 * with that mask.  .threads_per_worker limits Tine and OpenMP, which count for each thread, but no
 * BLAS that counts for the process.  .tasks_per_worker counts what an item runs inline too; then
 * .exit and .init run again.  An .init that never returns is waited for.  In TINE_SERIAL nothing is
 * started: .init runs before the first item.  In both .timeout is cooperative, and .memory_limit,
 * .cpu_limit and .start = TINE_EXEC are refused.
 *
 * Returns: the pool, or NULL.  Look at it: a NULL handed to tine_map() is the default pool.
 * Owner:   the caller; give it back with tine_pool_close() or tine_pool_terminate().
 * Blocks:  until every worker has started and run .init.  One that never returns is ended, and the
 *          open fails with TINE_EINIT, 5 s after the .timeout where there is one.
 * Safety:  any thread.  The handle is valid in the process that opened it and, received by argument
 *          or context, in its own workers; a child of fork() must not touch it (TINE_ESTATE).
 * Cost:    a few forks: 1 to 2 ms for two workers, whatever the shared heap holds; some 20 us for
 *          each thread.
 * Errors:  TINE_EINVAL (a number out of range, NaN; a .context outside the shared heap),
 *          TINE_EVERSION, TINE_ENOMEM, TINE_ESYSTEM (fork, threads, limits of
 *          pids or descriptors), TINE_EINIT (.init failed: its message), TINE_EUNSUPPORTED (.kind =
 *          TINE_MPI, .start = TINE_EXEC; what TINE_THREADS and TINE_SERIAL refuse).
 * Python:  multiprocessing.Pool(processes=workers, initializer=init,
 *          maxtasksperchild=tasks_per_worker)
 * Since:   0.1
 */
#define tine_pool_open(...) tine_pool_open_with(TINI_ARGS(tine_pool_open_args, __VA_ARGS__))
TINE_API tine_pool *tine_pool_open_with(const tine_pool_open_args *args);

/*
 * Finish all work that was handed in, end the workers and give the pool back.
 *
 * pool: in; NULL is 0.  timeout: seconds; TINE_FOREVER waits for the work without end.
 *
 * .exit runs in every worker.  Futures stay readable.  With TINE_ETIMEDOUT the pool stays open and
 * valid; where all work was done and only an .exit still runs, it takes no more work, and may be
 * closed again.
 *
 * Returns: 0 or a code.
 * Blocks:  until the work is done and the workers are gone.
 * Safety:  any thread of the process that opened it, but no task of its own; nobody may use the
 *          handle after a 0.
 * Errors:  TINE_EINVAL (NaN), TINE_ETIMEDOUT (the work goes on), TINE_ESTATE (in a child of
 *          fork()), TINE_ELOST, TINE_EBROKEN (what was left could not be done; the pool is given
 *          back all the same), TINE_EDEADLOCK (called by one of its own tasks).
 * Python:  Pool.close() and Pool.join()
 * Since:   0.1
 */
TINE_API int tine_pool_close(tine_pool *pool, double timeout);

/*
 * End the workers at once and give the pool back.
 *
 * pool: in; NULL is 0.
 *
 * What had not ended becomes TINE_ECANCELLED; what had finished is kept.  Futures stay readable.
 * .exit does not run.  With TINE_THREADS what runs is asked by tine_task_cancelled() and waited
 * for: it has what it returns.
 *
 * Returns: 0 or a code.
 * Blocks:  until the workers are gone: milliseconds, they are killed; with TINE_THREADS until what
 *          runs has returned.
 * Safety:  any thread of the process that opened it, but no task of its own; nobody may use the
 *          handle afterwards.
 * Errors:  TINE_ESTATE (in a child of fork()), TINE_EDEADLOCK (called by one of its own tasks).
 * Python:  Pool.terminate()
 * Since:   0.1
 */
TINE_API int tine_pool_terminate(tine_pool *pool);

/*
 * Tell how many workers the pool is meant to have.
 *
 * pool: in; not NULL.
 *
 * Returns: the number, at least 1; or a negative code.
 * Safety:  any thread of the process that opened it, and its workers.
 * Errors:  TINE_EINVAL (NULL), TINE_ESTATE (in a child of fork()).
 * Since:   0.1
 */
TINE_API int tine_pool_workers(const tine_pool *pool);

typedef struct tine_map_args {
	size_t struct_size;     /* set by tine_map() */
	tine_pool *pool;        /* NULL: the default pool, opened on first need */
	tine_task *task;        /* the function to call */
	const void *args;       /* array of count arguments, side by side; private or shared */
	size_t count;           /* items */
	size_t arg_size;        /* bytes of one argument; 0: tasks get NULL */
	void *results;          /* array of count results; private or shared; NULL: none */
	size_t result_size;     /* bytes of one result; 0: tasks get NULL */
	size_t chunk;           /* items a worker takes at once; 0: automatic */
	double timeout;         /* seconds per item; 0: the pool's; TINE_FOREVER: none */
	double deadline;        /* seconds for the whole call; 0: none */
	int retries;            /* 0: the pool's; -1: none */
	tine_on_error on_error; /* 0: TINE_COLLECT */
	void *context;          /* for tine_task_context(); NULL: the pool's */
	int *statuses;          /* out: int[count]: 0, the task's code, TINE_E...; or NULL */
	tine_failure *failures; /* out: the stories, in order of index; or NULL */
	size_t max_failures;    /* room in failures */
	size_t *failure_count;  /* out: failed items, also those without room; or NULL */
	bool progress;          /* true: show progress on stderr */
	tine_cancel *cancel;    /* ends the call when raised; NULL: none */
} tine_map_args;
TINI_DEFAULTS(map)

/*
 * Call task(args + i * arg_size, results + i * result_size) for every i below count and wait for
 * all: tine_map(pool, square, in, n, sizeof(*in), out, sizeof(*out), .statuses = codes).
 *
 * pool:    in; NULL: the default pool, opened on first need.
 * task:    in; a function that the host had when the pool was opened.
 * args:    in; count * arg_size bytes.  May be NULL where arg_size is 0.
 * count:   items; 0 is 0 at once.
 * results: out; count * result_size bytes; NULL where there are none.  May be args where both sizes
 *          are equal and shared.  A failed item's bytes are zero.
 * Keywords: see tine_map_args.
 *
 * In a process pool, args and results that lie in the shared heap are used in place: no copy.
 * Private ones are copied through the heap, there and back.  Pointers inside an argument must point
 * into the shared heap, or to what the workers were born with.  With TINE_THREADS and TINE_SERIAL
 * all memory is used in place.
 *
 * An item may use its own pool.  In a process pool one that waits is parked and a spare worker
 * takes its place.  With TINE_THREADS it runs what is left of the job that it waits for itself, in
 * its own thread, and nothing else: one worker is enough for any depth, and a wait may last as long
 * as the item that it has begun to run, whatever its timeout.  So hold no lock there that such an
 * item takes. That is for the thread that runs the item: one that it starts is any thread of the
 * host.
 *
 * A failed item does not touch the others.  What happens to those:
 *   .on_error = TINE_COLLECT  all are run.
 *   .on_error = TINE_STOP     none are begun after a failure; those not begun are TINE_ECANCELLED.
 *   .deadline runs out        the unfinished are ended: TINE_EDEADLINE; so returns the call.
 *   .cancel is raised         the unfinished are ended: TINE_ECANCELLED; so returns the call.
 * What had finished is kept in each case, and .statuses tells of every item.  A running item is
 * asked by tine_task_cancelled() first and killed 50 ms later; one that returns by then has what it
 * returned.  Where the call is refused (no item has run) *failure_count is 0 and the other outputs
 * are not written.  With TINE_THREADS and TINE_SERIAL nobody is killed: it is waited for.
 *
 * Returns: 0: every item returned 0; TINE_EITEMS: some failed; or a code of the call.
 * Blocks:  until every item has ended.  A crash, an exit() and a kill end an item at once; a
 *          hanging or stopped one ends by a .timeout or .deadline alone.
 * Safety:  any thread of the process that opened the pool, several at once; and its own tasks.
 * Cost:    some ns per item in automatic chunks; 0.1 us with .chunk = 1; one wake-up per worker.
 * Errors:  TINE_EINVAL (task is NULL; NULL args or results with a size; sizes whose product does
 *          not fit; NaN; a .context outside the shared heap; a function of a module loaded after
 *          the open), TINE_EVERSION, TINE_ENOMEM, TINE_ESTATE (in a child of fork(), or the pool is
 *          closing), TINE_EITEMS, TINE_EDEADLINE, TINE_ECANCELLED, TINE_ELOST (the pool's
 *          supervisor was killed), TINE_EBROKEN (workers die before they can begin), TINE_EINIT,
 *          TINE_EDEADLOCK (more waits inside tasks than there may be spare workers: 8 times the
 *          workers).
 * Python:  Pool.map(); .chunk is chunksize, but the first error does not hide the other results
 * Since:   0.1
 */
#define tine_map(pool, task, args, count, arg_size, ...) /* results, keywords */ \
	tine_map_with(                                                           \
		TINI_ARGS(tine_map_args, pool, task, args, count, arg_size, __VA_ARGS__))
TINE_API int tine_map_with(const tine_map_args *args);

typedef struct tine_submit_args {
	size_t struct_size;        /* set by tine_submit() */
	tine_pool *pool;           /* NULL: the default pool, opened on first need */
	tine_task *task;           /* the function to call */
	const void *arg;           /* copied, unless it is shared: then used in place */
	size_t arg_size;           /* bytes of the argument; 0: the task gets NULL */
	size_t result_size;        /* bytes of the result; 0: the task gets NULL */
	double timeout;            /* seconds; 0: the pool's; TINE_FOREVER: none */
	int retries;               /* 0: the pool's; -1: none */
	int priority;              /* 0; a later version: TINE_EUNSUPPORTED if set */
	void *context;             /* for tine_task_context(); NULL: the pool's */
	tine_done *on_done;        /* NULL; a later version: TINE_EUNSUPPORTED if set */
	void *done_context;        /* for on_done alone: may be private */
	tine_future *const *after; /* NULL; a later version: TINE_EUNSUPPORTED if set */
	size_t after_count;        /* futures in after */
} tine_submit_args;
TINI_DEFAULTS(submit)

/*
 * Hand in one call of a task and go on: tine_submit(pool, work, &arg, sizeof(arg), sizeof(double),
 * .timeout = 5).
 *
 * pool: in; NULL: the default pool.  task: in; a function that the host had when the pool was
 * opened.  arg: in; a private one is copied before the call returns; a shared one is used in place
 * and must stay as it is until the future has ended.  Keywords: see tine_submit_args.
 *
 * With TINE_SERIAL the task runs here and now, and the future has ended when the call returns.
 *
 * Returns: the future, or NULL.
 * Owner:   the caller; give it back with tine_future_free().
 * Safety:  any thread of the process that opened the pool, and its own tasks.
 * Cost:    under 1 us, and one wake-up where a worker sleeps.
 * Errors:  TINE_EINVAL (task is NULL; NULL arg with a size; NaN; a .context outside the shared
 *          heap; a function of a module loaded after the open), TINE_EVERSION, TINE_ENOMEM,
 *          TINE_ESTATE (in a child of fork(), or the pool is closing), TINE_EUNSUPPORTED
 *          (.priority, .on_done or .after in this version), TINE_ELOST, TINE_EBROKEN.
 * Python:  Pool.apply_async(), Executor.submit()
 * Since:   0.1
 */
#define tine_submit(pool, task, arg, ...) /* arg_size, keywords */ \
	tine_submit_with(TINI_ARGS(tine_submit_args, pool, task, arg, __VA_ARGS__))
TINE_API tine_future *tine_submit_with(const tine_submit_args *args);

/*
 * Wait for a future and copy its result.
 *
 * future: in; not NULL.  result: out; as many bytes as .result_size said, zero where the item
 * failed; NULL: not wanted.
 * timeout: seconds; 0 tries, TINE_FOREVER waits without end.  May be repeated, also after the pool
 * was closed.
 *
 * Returns: what happened to the item: 0, the task's positive code, or a TINE_E code as in
 *          .statuses; or TINE_ETIMEDOUT, which says only that this wait ran out: the item goes on,
 *          and result is not written.
 * Blocks:  until the item has ended; a dead worker ends it at once, a lost pool with TINE_ELOST.
 * Safety:  any thread of the process that submitted it, several at once; a task of the pool as in
 *          tine_map().
 * Errors:  TINE_EINVAL (NULL, NaN), TINE_ESTATE (in a child of fork()), TINE_ETIMEDOUT; the item's:
 *          TINE_ECRASHED, TINE_EEXITED, TINE_EDEADLINE, TINE_EOOM, TINE_ECANCELLED, TINE_EINIT,
 *          TINE_ELOST, TINE_EBROKEN, TINE_ETASK, what the task returned; TINE_EDEADLOCK (no spare
 *          worker is left).
 * Python:  AsyncResult.get(timeout), Future.result(timeout)
 * Since:   0.1
 */
TINE_API int tine_future_get(tine_future *future, void *result, double timeout);

/*
 * Wait until a future has ended, however it did.
 *
 * future: in; not NULL.  timeout: seconds; 0 tries, TINE_FOREVER waits without end.
 *
 * Returns: 0 once it has ended; or a code.
 * Blocks:  as tine_future_get().
 * Safety:  as tine_future_get().
 * Errors:  TINE_EINVAL (NULL, NaN), TINE_ESTATE (in a child of fork()), TINE_ETIMEDOUT (this wait
 *          ran out; the item goes on), TINE_EDEADLOCK (no spare worker is left).
 * Python:  AsyncResult.wait(timeout)
 * Since:   0.1
 */
TINE_API int tine_future_wait(tine_future *future, double timeout);

/*
 * Cancel a future: at once where it has not begun; a running one is asked, and killed after its
 * grace.
 *
 * future: in; not NULL.  grace: seconds in which the task may see tine_task_cancelled() and return;
 * 0: none; TINE_FOREVER: it is only asked.
 *
 * The future ends with TINE_ECANCELLED, unless the task returned within its grace: then with what
 * it returned.  With TINE_THREADS it is only asked, whatever the grace; with TINE_SERIAL the future
 * has always ended already.
 *
 * Returns: 0, also where it had ended before; or a code.
 * Safety:  any thread of the process that submitted it.  Does not wait for the end:
 *          tine_future_wait() does.
 * Errors:  TINE_EINVAL (NULL, NaN), TINE_ESTATE (in a child of fork()).
 * Python:  Future.cancel(), which cannot stop what runs
 * Since:   0.1
 */
TINE_API int tine_future_cancel(tine_future *future, double grace);

/*
 * Tell what tine_future_get() would return, without waiting.
 *
 * future: in; not NULL.
 *
 * Returns: TINE_EPENDING while it has not ended, else what tine_future_get() gives.
 * Safety:  any thread of the process that submitted it.
 * Cost:    one load.
 * Errors:  TINE_EINVAL (NULL), TINE_ESTATE (in a child of fork()), TINE_EPENDING; the item's, as in
 *          tine_future_get().
 * Python:  AsyncResult.ready(), AsyncResult.successful()
 * Since:   0.1
 */
TINE_API int tine_future_status(tine_future *future);

/*
 * Tell the story of a future that failed.
 *
 * future: in; not NULL.
 *
 * Returns: the story; NULL where the future has not ended or has not failed.
 * Owner:   the future: valid until tine_future_free().
 * Safety:  any thread of the process that submitted it.
 * Errors:  TINE_EINVAL (NULL), TINE_ESTATE (in a child of fork()): told by tine_last_code().
 * Python:  Future.exception()
 * Since:   0.1
 */
TINE_API const tine_failure *tine_future_failure(tine_future *future);

/*
 * Give a future back.  A running one runs on, and its result is dropped.
 *
 * future: in; NULL is ignored.
 *
 * Safety:  any thread of the process that submitted it; nobody may use the future afterwards.
 * Errors:  none.
 * Since:   0.1
 */
TINE_API void tine_future_free(tine_future *future);

/*
 * Wait for several futures.
 *
 * futures: in; array of count futures, of any pools; none NULL.  count: how many; 0 is 0 at once.
 * mode:    TINE_ALL: until all have ended; TINE_ANY: until one has; TINE_FIRST_ERROR: until one has
 *          failed or all ended.
 * index:   out; which future it was, for TINE_ALL the last that ended; NULL: not wanted.
 * timeout: seconds; 0 tries, TINE_FOREVER waits without end.
 *
 * Returns: TINE_ALL: 0 when all have ended, however they did.  TINE_ANY: that future's outcome, as
 *          tine_future_get().  TINE_FIRST_ERROR: the failed future's outcome, 0 where none has
 *          failed.  Or a code.
 * Blocks:  as tine_future_get().
 * Safety:  as tine_future_get().
 * Errors:  TINE_EINVAL (NULL, NaN, a mode that is none), TINE_ESTATE (in a child of fork()),
 *          TINE_ETIMEDOUT (this wait ran out), TINE_EDEADLOCK (no spare worker is left); the
 *          item's, as in tine_future_get().
 * Python:  concurrent.futures.wait(return_when=)
 * Since:   0.1
 */
TINE_API int tine_wait(tine_future *const *futures, size_t count, tine_wait_mode mode,
		       size_t *index, double timeout);

/* ---- inside a task */

/*
 * Let the item fail with a code and a text of the task's own: return tine_task_fail(3, "no row %d",
 * row);
 *
 * code: positive, or a TINE_E code.  format: in; as for printf(); the text is cut where a story
 * ends.
 *
 * The text becomes part of the item's story.
 *
 * Returns: code, for the task to return.
 * Safety:  a task, in the thread that runs it; elsewhere only the code comes back.
 * Errors:  TINE_ETASK in the place of a code that is 0 or a negative number of no meaning.
 * Python:  raise ValueError("...")
 * Since:   0.1
 */
TINE_API int tine_task_fail(int code, const char *format, ...) TINE_PRINTF(2, 3);

/*
 * Give the .context of the call, or else of the pool.
 *
 * Returns: the context; NULL outside a task.
 * Safety:  any thread; meant for the one that runs the task.
 * Errors:  none.
 * Since:   0.1
 */
TINE_API void *tine_task_context(void);

/*
 * Tell the index of the item in its map.
 *
 * Returns: the index; 0 in a tine_submit() and outside a task.
 * Safety:  any thread; meant for the one that runs the task.
 * Errors:  none.
 * Since:   0.1
 */
TINE_API size_t tine_task_index(void);

/*
 * Tell which try of the item this is.
 *
 * Returns: 1 the first time, 2 after one retry; 0 outside a task.
 * Safety:  any thread; meant for the one that runs the task.
 * Errors:  none.
 * Since:   0.1
 */
TINE_API int tine_task_attempt(void);

/*
 * Tell whether the item should end early: it was cancelled, or the deadline of its map is over.
 *
 * A long task asks now and then and returns what it likes, TINE_ECANCELLED for instance.  With
 * TINE_THREADS and TINE_SERIAL this is the only way that a limit takes effect before the item
 * returns, .timeout too; elsewhere a worker whose item runs over its .timeout is killed without
 * being asked.
 *
 * Returns: true once it should; false outside a task.
 * Safety:  any thread; meant for the one that runs the task.
 * Cost:    a load or two; a look at the clock where the item has a limit.
 * Errors:  none.
 * Since:   0.1
 */
TINE_API bool tine_task_cancelled(void);

/*
 * Tell the number of the worker that runs this.
 *
 * Returns: 0 .. workers - 1, above that in a spare worker; a replaced worker passes its number on;
 *          -1 outside a worker.
 * Safety:  any thread; meant for the one that runs the task.
 * Errors:  none.
 * Python:  multiprocessing.current_process()._identity
 * Since:   0.1
 */
TINE_API int tine_task_worker(void);

/*
 * Allocate a block of the shared heap that goes with the item's result.
 *
 * size: bytes.
 *
 * For results whose size only the task knows: the result holds the pointer.  If the item fails, the
 * block goes back by itself; else it belongs to who gets the result.
 *
 * Returns: the block, or NULL.
 * Owner:   the task until it ends, then who gets the result: give it back with tine_shared_free().
 * Safety:  the thread that runs the task.
 * Cost:    as tine_shared_alloc().
 * Errors:  TINE_ENOMEM, TINE_ESTATE (outside a task).
 * Since:   0.1
 */
TINE_API void *tine_result_alloc(size_t size);

#ifdef __cplusplus
}
#endif
#endif
