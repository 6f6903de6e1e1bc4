/* SPDX-License-Identifier: MIT */
/*
 * tine_process: one function in one process, with a hidden monitor that forks it, waits for it and
 * records its end.
 *
 *     host ── pidfd, read end ──> [ tine_process ] <── state, status ── monitor ──> child
 *
 * The monitor keeps the child unreaped until the host holds its pidfd, so signals never reach a
 * stranger; it records the status before it closes its end of the pipe, so whoever sees
 * tine_process_fd() readable finds the status there.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/futex.h"
#include "base/options.h"
#include "base/os.h"
#include "heap/heap.h"
#include "process/child.h"
#include "process/hidden.h"
#include "process/self.h"

#include <tine/process.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESS_FORKED = 1, PROCESS_ENDED, PROCESS_REFUSED };
enum { ACK_SECONDS = 5 };

struct tine_process {
	uint64_t host;             /* who started it: the only one that may use it */
	_Atomic uint32_t state;    /* futex: 0, then PROCESS_*; the monitor */
	_Atomic uint32_t acked;    /* futex: the host has its pidfd */
	_Atomic uint32_t detached; /* the handle was freed while the process ran */
	_Atomic uint32_t holders;  /* the handle and the monitor: the last frees the block */
	int pid, status, error;    /* the monitor, before state */
	pid_t group;               /* the host's process group */
	int done[2];               /* pipe: the monitor closes its end last */
	int child_pidfd;           /* host */
	tini_hidden monitor;       /* host */
	int (*target)(void *arg);
	void *arg;
	bool daemon;
	char name[16];
	_Alignas(16) unsigned char copy[];
};

/* ---- in the child and the monitor */

static void *run_target(void *p)
{
	tine_process *process = p;
	int code = process->target(process->arg);

	tini_child_flush();
	_exit(code & 0xff);
}

static void child_main(tine_process *process, const tini_watch *watch, pid_t monitor)
{
	tini_child_plan plan = {.parent = monitor, .watch = watch, .group = process->group};

	close(process->done[1]);
	prctl(PR_SET_NAME, process->name);
	tini_child_begin(&plan);
	tini_child_run(run_target, process);
	_exit(127);
}

static void let_go(tine_process *process)
{
	if (atomic_fetch_sub(&process->holders, 1) == 1)
		tini_heap_free(process);
}

static void tell_state(tine_process *process, uint32_t state)
{
	atomic_store(&process->state, state);
	tini_futex->wake(&process->state, INT32_MAX);
}

/* True once the child is dead; it stays unreaped. */
static bool is_dead(int pid)
{
	siginfo_t info = {.si_pid = 0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0;
}

static void wait_for_child(tine_process *process, tini_watch *watch)
{
	bool child;

	while (!is_dead(process->pid)) {
		if (tini_watch_wait(watch, TINI_NEVER, &child))
			continue;
		if (watch->lifeline >= 0 && atomic_load(&process->detached)) {
			watch->lifeline = -1; /* the pidfd still tells the host's death */
			continue;
		}
		if (process->daemon)
			kill(process->pid, SIGKILL);
		atomic_store(&process->acked, 1);
		watch->host_pidfd = watch->lifeline =
			-1; /* poll() skips them: the child may go on alone */
	}
}

static void monitor_main(tini_watch *watch, void *p)
{
	tine_process *process = p;
	pid_t self = getpid(), pid = tini_os_fork();

	if (pid == 0)
		child_main(process, watch, self);
	process->pid = (int)pid;
	process->error = pid < 0 ? (int)-pid : 0;
	tell_state(process, pid < 0 ? PROCESS_REFUSED : PROCESS_FORKED);
	if (pid > 0) {
		wait_for_child(process, watch);
		int64_t end = tini_clock_deadline(ACK_SECONDS);
		while (atomic_load(&process->acked) == 0 && tini_clock_now() < end)
			tini_futex->wait(&process->acked, 0, end);
		waitpid(pid, &process->status, 0);
		tini_heap_actor_died(pid);
		tell_state(process, PROCESS_ENDED);
	}
	close(process->done[1]);
	let_go(process);
	_exit(0);
}

/* ---- in the host */

static tine_process *process_new(const tine_process_start_args *args)
{
	tine_process *process = tini_heap_alloc(sizeof *process + args->size);

	if (!process)
		return NULL;
	process->host = tini_self_id();
	process->holders = 1;
	process->group = getpgrp();
	process->done[0] = process->done[1] = process->child_pidfd = -1;
	process->monitor = (tini_hidden){.pidfd = -1, .lifeline = -1};
	process->target = args->target;
	process->daemon = args->daemon;
	process->arg = args->size > 0 ? process->copy : NULL;
	if (args->size > 0)
		memcpy(process->copy, args->arg, args->size);
	snprintf(process->name, sizeof process->name, "%s",
		 args->name ? args->name : "tine-process");
	return process;
}

static void process_drop(tine_process *process)
{
	tini_hidden_close(&process->monitor, false);
	tini_os_close(process->child_pidfd);
	tini_os_close(process->done[0]);
	let_go(process);
}

/* The monitor has forked, or says why not. */
static int meet_child(tine_process *process)
{
	int64_t end = tini_clock_deadline(ACK_SECONDS);

	while (atomic_load(&process->state) == 0 && tini_clock_now() < end &&
	       tini_hidden_alive(&process->monitor))
		tini_futex->wait(&process->state, 0, tini_clock_deadline(0.05));
	if (atomic_load(&process->state) == 0)
		return TINI_FAIL(TINE_ESYSTEM, "tine_process_start: the process's monitor is gone");
	if (atomic_load(&process->state) == PROCESS_REFUSED)
		return TINI_FAIL_ERRNO(TINE_ESYSTEM, process->error, "tine_process_start: fork");
	process->child_pidfd = tini_os_pidfd_open(process->pid);
	if (process->child_pidfd < 0)
		return TINI_FAIL_ERRNO(TINE_ESYSTEM, -process->child_pidfd,
				       "tine_process_start: pidfd_open");
	atomic_store(&process->acked, 1);
	tini_futex->wake(&process->acked, 1);
	return 0;
}

static int launch(tine_process *process)
{
	int rc = tini_os_pipe(process->done);

	if (rc < 0)
		return TINI_FAIL_ERRNO(TINE_ESYSTEM, -rc, "tine_process_start: pipe");
	tini_host_flush();
	process->holders = 2;
	rc = tini_hidden_start(&process->monitor, "tine-monitor", process->done[1], monitor_main,
			       process);
	tini_os_close(process->done[1]);
	if (rc != 0) {
		process->holders = 1;
		return rc;
	}
	rc = meet_child(process);
	if (rc != 0 && process->pid > 0)
		kill(process->pid, SIGKILL); /* unreaped until acked: it is still the child */
	return rc;
}

tine_process *tine_process_start_with(const tine_process_start_args *given)
{
	tine_process_start_args args;

	if (tini_options_copy(&args, sizeof args, given, "tine_process_start") != 0)
		return NULL;
	if (!args.target)
		return TINI_FAIL_NULL(TINE_EINVAL, "tine_process_start: target is NULL");
	if (args.size > 0 && !args.arg)
		return TINI_FAIL_NULL(TINE_EINVAL,
				      "tine_process_start: arg is NULL but size is %zu", args.size);
	if (args.size > SIZE_MAX / 2)
		return TINI_FAIL_NULL(TINE_ENOMEM, "tine_process_start: an argument of %zu bytes",
				      args.size);
	if (tini_heap_start() != 0)
		return NULL;
	tine_process *process = process_new(&args);
	if (process && launch(process) != 0) {
		process_drop(process);
		return NULL;
	}
	return process;
}

static int check_mine(const tine_process *process, const char *call)
{
	if (!process)
		return TINI_FAIL(TINE_EINVAL, "%s: process is NULL", call);
	if (process->host != tini_self_id())
		return TINI_FAIL(
			TINE_ESTATE,
			"%s: this process did not start it (a handle does not survive fork())",
			call);
	return 0;
}

static bool has_ended(tine_process *process)
{
	return atomic_load(&process->state) == PROCESS_ENDED;
}

int tine_process_join(tine_process *process, double timeout)
{
	int rc = check_mine(process, "tine_process_join");

	if (rc == 0)
		rc = tini_timeout_check(timeout, "tine_process_join");
	if (rc != 0)
		return rc;
	int64_t end = tini_clock_deadline(timeout);
	while (!has_ended(process)) {
		int64_t now = tini_clock_now(), watchdog = now + 50000000;

		if (!tini_hidden_alive(&process->monitor) && !has_ended(process))
			return TINI_FAIL(TINE_ELOST,
					 "tine_process_join: the monitor of `%s` (pid %d) is gone, "
					 "and with it "
					 "the process",
					 process->name, process->pid);
		if (now >= end)
			return TINI_FAIL(TINE_ETIMEDOUT,
					 "tine_process_join: `%s` (pid %d) still runs after %g s",
					 process->name, process->pid, timeout);
		tini_futex->wait(&process->state, PROCESS_FORKED, end < watchdog ? end : watchdog);
	}
	return 0;
}

int tine_process_status(tine_process *process, tine_process_state *out)
{
	int rc = check_mine(process, "tine_process_status");

	if (rc == 0 && !out)
		rc = TINI_FAIL(TINE_EINVAL, "tine_process_status: out is NULL");
	if (rc != 0)
		return rc;
	bool lost =
		!has_ended(process) && !tini_hidden_alive(&process->monitor) && !has_ended(process);
	*out = (tine_process_state){.running = !lost && !has_ended(process)};
	if (lost)
		return TINI_FAIL(
			TINE_ELOST,
			"tine_process_status: the monitor of `%s` (pid %d) is gone, and with it "
			"the process",
			process->name, process->pid);
	if (out->running)
		return 0;
	out->exited = WIFEXITED(process->status);
	out->code = out->exited ? WEXITSTATUS(process->status) : 0;
	out->signalled = WIFSIGNALED(process->status);
	out->signal = out->signalled ? WTERMSIG(process->status) : 0;
	out->dumped_core = out->signalled && WCOREDUMP(process->status);
	return 0;
}

int tine_process_pid(const tine_process *process)
{
	return check_mine(process, "tine_process_pid") == 0 ? process->pid : -1;
}

static int send(tine_process *process, int signal, const char *call)
{
	int rc = check_mine(process, call);

	if (rc != 0 || has_ended(process))
		return rc; /* what has ended needs no signal */
	rc = tini_os_pidfd_signal(process->child_pidfd, signal);
	return rc < 0 && !has_ended(process) && rc != -ESRCH /* just ended */
		       ? TINI_FAIL_ERRNO(TINE_ESYSTEM, -rc, "%s: pid %d", call, process->pid)
		       : 0;
}

int tine_process_terminate(tine_process *process)
{
	return send(process, SIGTERM, "tine_process_terminate");
}
int tine_process_kill(tine_process *process)
{
	return send(process, SIGKILL, "tine_process_kill");
}

int tine_process_fd(const tine_process *process)
{
	return check_mine(process, "tine_process_fd") == 0 ? process->done[0] : -1;
}

void tine_process_free(tine_process *process)
{
	if (!process || check_mine(process, "tine_process_free") != 0)
		return;
	/* A killed monitor cannot let go of the block any more. */
	if (!has_ended(process) && !tini_hidden_alive(&process->monitor))
		atomic_store(&process->holders, 1);
	if (!has_ended(process)) {
		atomic_store(&process->detached, 1); /* the end of the lifeline is not the host's */
		process->monitor.visible = 0;        /* not to be waited for */
	}
	process_drop(process);
}
