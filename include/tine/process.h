/* SPDX-License-Identifier: MIT */
/*
 * tine/process.h - run a C function in a process of its own.
 *
 * The process is a copy of the program as it is at the start: it sees all variables with the values
 * of that moment, and what it changes stays its own; the shared heap alone is common.  To the host
 * program it is no child: it causes no SIGCHLD, and wait() does not find it.  (Where the host is
 * PID 1 or a subreaper the process's monitor is a child of the host, which Tine reaps by its pid.)
 */
#ifndef TINE_PROCESS_H
#define TINE_PROCESS_H

#include <tine/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tine_process tine_process;

/* How a process is; not "tine_exit": that reads like a function that ends the program. */
typedef struct tine_process_state {
	bool running;     /* it has not ended; all else is 0 */
	bool exited;      /* it returned, or called exit() */
	bool signalled;   /* a signal ended it */
	bool dumped_core; /* and it left a core dump */
	int code;         /* what target returned or gave to exit(), modulo 256, where `exited` */
	int signal;       /* the signal's number, where `signalled` */
} tine_process_state;

typedef struct tine_process_start_args {
	size_t struct_size;       /* set by tine_process_start() */
	int (*target)(void *arg); /* what to run; its return value, modulo 256, is the exit code */
	const void *arg;          /* copied; target gets the copy; NULL where size is 0 */
	size_t size;              /* bytes of *arg; 0: target gets NULL */
	const char *name;         /* of the process, cut at 15 bytes; NULL: one is chosen; copied */
	bool daemon;              /* true: killed when the host ends; false: it may go on alone */
} tine_process_start_args;
TINI_DEFAULTS(process_start)

/*
 * Run target(copy of arg) in a new process: tine_process_start(target, &arg, sizeof(arg), .daemon =
 * true).
 *
 * target: not NULL.  arg: in; may point anywhere.  size: bytes.  Keywords: see
 * tine_process_start_args.
 *
 * Functions and globals are as they are now.  The new process keeps those descriptors that an exec
 * would keep, and has the thread that runs target alone; atfork handlers have run.
 *
 * Returns: the process, or NULL.
 * Owner:   the caller; give the handle back with tine_process_free().
 * Blocks:  until the process is there, at most 5 s.
 * Safety:  any thread of a process that may fork; the handle is valid in the process that started
 *          it alone.
 * Cost:    two forks, some 1 ms; the argument is copied once.
 * Errors:  TINE_EINVAL (target is NULL; arg is NULL with a size), TINE_EVERSION, TINE_ENOMEM,
 *          TINE_ESYSTEM (fork, the limits of pids or descriptors).
 * Python:  multiprocessing.Process(target=, args=, daemon=).start()
 * Since:   0.1
 */
#define tine_process_start(target, ...) /* arg, size, keywords */ \
	tine_process_start_with(TINI_ARGS(tine_process_start_args, target, __VA_ARGS__))
TINE_API tine_process *tine_process_start_with(const tine_process_start_args *args);

/*
 * Wait until the process has ended.
 *
 * timeout: seconds; 0 tries, TINE_FOREVER waits without end.  May be repeated, also after the end.
 *
 * Returns: 0 once it has ended, however it did: tine_process_status() tells; else a code.
 * Blocks:  on the process's end; every kind of end wakes.
 * Safety:  any thread of the process that started it, several at once.
 * Errors:  TINE_EINVAL (NULL, NaN), TINE_ETIMEDOUT (it still runs), TINE_ESTATE (in a child of
 *          fork()), TINE_ELOST (its monitor was killed: how it ended is unknown).
 * Python:  Process.join(timeout), which does not say whether it ran out
 * Since:   0.1
 */
TINE_API int tine_process_join(tine_process *process, double timeout);

/*
 * Tell whether the process runs, or how it ended.
 *
 * out: out; not NULL.
 *
 * Returns: 0 or a code.
 * Safety:  any thread of the process that started it.
 * Errors:  TINE_EINVAL (process or out is NULL), TINE_ESTATE (in a child of fork()).
 * Python:  Process.is_alive(), Process.exitcode
 * Since:   0.1
 */
TINE_API int tine_process_status(tine_process *process, tine_process_state *out);

/*
 * Tell the pid.  After the end it may belong to another process: signal through tine_process_kill()
 * instead.
 *
 * Returns: the pid, or -1.
 * Safety:  any thread of the process that started it.
 * Errors:  TINE_EINVAL (NULL), TINE_ESTATE (in a child of fork()): told by tine_last_code().
 * Python:  Process.pid
 * Since:   0.1
 */
TINE_API int tine_process_pid(const tine_process *process);

/*
 * Ask the process to end: send it SIGTERM.
 *
 * Returns: 0, also where it had ended before; or a code.
 * Safety:  any thread of the process that started it; never hits a stranger with the same pid.
 * Errors:  TINE_EINVAL (NULL), TINE_ESTATE (in a child of fork()), TINE_ESYSTEM (not permitted: it
 *          changed its user).
 * Python:  Process.terminate()
 * Since:   0.1
 */
TINE_API int tine_process_terminate(tine_process *process);

/*
 * End the process: send it SIGKILL.
 *
 * Returns: 0, also where it had ended before; or a code.
 * Safety:  any thread of the process that started it; never hits a stranger with the same pid.
 * Errors:  TINE_EINVAL (NULL), TINE_ESTATE (in a child of fork()), TINE_ESYSTEM (not permitted: it
 *          changed its user).
 * Python:  Process.kill()
 * Since:   0.1
 */
TINE_API int tine_process_kill(tine_process *process);

/*
 * Give a descriptor that becomes readable (POLLIN or POLLHUP) when the process has ended, for
 * poll() and its kind.
 *
 * Returns: the descriptor, or -1.
 * Owner:   the handle; it is closed by tine_process_free().  Nothing can be read from it.
 * Safety:  any thread of the process that started it.
 * Errors:  TINE_EINVAL (NULL), TINE_ESTATE (in a child of fork()): told by tine_last_code().
 * Python:  Process.sentinel
 * Since:   0.1
 */
TINE_API int tine_process_fd(const tine_process *process);

/*
 * Give the handle back.  A process that still runs goes on, with nobody to wait for it; a daemon
 * until the host ends.
 *
 * process: in; NULL is ignored.
 *
 * Safety:  any thread of the process that started it, none of which may be using the handle;
 *          ignored in a child of fork().
 * Errors:  none.
 * Python:  Process.close(), which refuses while it runs
 * Since:   0.1
 */
TINE_API void tine_process_free(tine_process *process);

#ifdef __cplusplus
}
#endif
#endif
