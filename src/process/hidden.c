/* SPDX-License-Identifier: MIT */
#include "process/hidden.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/futex.h"
#include "base/os.h"
#include "base/os_hidden.h"
#include "heap/heap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BIRTH_SECONDS = 5 };

/*
 * In a block of the shared heap of its own: how the two find each other.  One that
 * was not met in time may still come, so the block of a failed birth is given back only after both
 * have said that they are done with it.
 */
typedef enum birth_step {
	BIRTH_FORKED,
	BIRTH_HERE,   /* the pid is set; it waits for the host's pidfd */
	BIRTH_GO,     /* the host: go on */
	BIRTH_CANCEL, /* the host: end */
	BIRTH_FAILED, /* the error is set; it ends without another look at this block */
} birth_step;

typedef struct tini_birth {
	_Atomic uint32_t step; /* futex: birth_step */
	_Atomic int32_t pid, error;
} tini_birth;

typedef struct birth_plan {
	tini_birth *birth;
	const char *name;
	int keep, host_pidfd, lifeline;
	void (*main)(tini_watch *watch, void *arg);
	void *arg;
} birth_plan;

/* ---- in the hidden process */

static bool is_kept(int fd, const birth_plan *plan)
{
	int heap[4], n = tini_heap_descriptors(heap);

	for (int i = 0; i < n; i++)
		if (heap[i] == fd)
			return true;
	return fd == plan->keep || fd == plan->host_pidfd || fd == plan->lifeline;
}

static void close_one(int fd, const birth_plan *plan)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags >= 0 && (flags & FD_CLOEXEC) && !is_kept(fd, plan))
		close(fd);
}

/* What an exec would close is closed: no pipe of the host's stays open, no file lock is held on. */
static void close_like_exec(const birth_plan *plan)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(folder))
			close_one(atoi(entry->d_name), plan);
	if (folder)
		closedir(folder);
	else /* no descriptor is left for the folder, so there are not too many to ask for each */
		for (int fd = 0; fd < 65536 && fd < sysconf(_SC_OPEN_MAX); fd++)
			close_one(fd, plan);
}

/* The host's handlers belong to the host; SIGCHLD must not be ignored, or children could not be
 * waited for. */
static void reset_handlers(void)
{
	struct sigaction action;

	for (int s = 1; s < NSIG; s++)
		if (sigaction(s, NULL, &action) == 0 && action.sa_handler != SIG_DFL &&
		    (action.sa_handler != SIG_IGN || s == SIGCHLD)) {
			action = (struct sigaction){.sa_handler = SIG_DFL};
			sigaction(s, &action, NULL);
		}
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGUSR1);
	return tini_os_above_standard(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

static void tell_error(const birth_plan *plan, int error)
{
	atomic_store(&plan->birth->error, error);
	atomic_store(&plan->birth->step, BIRTH_FAILED);
	tini_futex->wake(&plan->birth->step, 1);
	_exit(1);
}

/* The host opens its pidfd while this process is surely there. */
static void wait_for_host(const birth_plan *plan)
{
	uint32_t forked = BIRTH_FORKED;

	atomic_store(&plan->birth->pid, getpid());
	if (!atomic_compare_exchange_strong(&plan->birth->step, &forked, BIRTH_HERE))
		_exit(1); /* the host has waited long enough */
	tini_futex->wake(&plan->birth->step, 1);
	while (atomic_load(&plan->birth->step) == BIRTH_HERE) {
		struct pollfd host = {.fd = plan->host_pidfd, .events = POLLIN};

		if (poll(&host, 1, 0) > 0)
			_exit(1);
		tini_futex->wait(&plan->birth->step, BIRTH_HERE, tini_clock_deadline(0.05));
	}
	if (atomic_load(&plan->birth->step) != BIRTH_GO)
		tell_error(plan, ECANCELED);
}

static void hidden_main(void *p)
{
	const birth_plan *plan = p;

	setpgid(0, 0);
	prctl(PR_SET_NAME, plan->name);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	reset_handlers();
	close_like_exec(plan);
	tini_watch watch = {plan->host_pidfd, plan->lifeline, open_signals()};
	if (watch.signals < 0)
		tell_error(plan, errno);
	wait_for_host(plan);
	plan->main(&watch, plan->arg);
	_exit(1);
}

bool tini_watch_wait(const tini_watch *watch, int64_t deadline, bool *child)
{
	struct pollfd fds[3] = {{.fd = watch->signals, .events = POLLIN},
				{.fd = watch->host_pidfd, .events = POLLIN},
				{.fd = watch->lifeline, .events = POLLIN}};
	int64_t left = deadline == TINI_NEVER ? -1 : deadline - tini_clock_now();
	struct timespec limit = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
	struct signalfd_siginfo info;

	*child = false;
	if (left < 0 && deadline != TINI_NEVER)
		limit = (struct timespec){0, 0};
	ppoll(fds, 3, deadline == TINI_NEVER ? NULL : &limit, NULL);
	while (read(watch->signals, &info, sizeof info) == (ssize_t)sizeof info)
		*child |= info.ssi_signo == SIGCHLD;
	return fds[1].revents == 0 && fds[2].revents == 0;
}

static void kill_children(void)
{
	char path[64], text[4096], *rest = text;

	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	if (tini_os_read_file(path, text, sizeof text) <= 0)
		return;
	for (long pid = strtol(rest, &rest, 10); pid > 1; pid = strtol(rest, &rest, 10)) {
		kill((pid_t)-pid, SIGKILL); /* its group, where it leads one: it is our child, so
					       the number is its own */
		kill((pid_t)pid, SIGKILL);
	}
}

void tini_children_end(void)
{
	/* What a child leaves behind becomes our child, as we are a subreaper: until there is none.
	 */
	for (;;) {
		kill_children();
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		if (pid > 0) {
			tini_heap_actor_died(pid);
			continue;
		}
		if (pid < 0 && errno != EINTR)
			return;
		siginfo_t info;
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGCHLD);
		sigtimedwait(&set, &info, &(struct timespec){0, 5000000});
	}
}

/* ---- in the host */

bool tini_hidden_alive(const tini_hidden *hidden)
{
	struct pollfd fd = {.fd = hidden->pidfd, .events = POLLIN};

	return poll(&fd, 1, 0) == 0;
}

void tini_hidden_kick(const tini_hidden *hidden)
{
	tini_os_pidfd_signal(hidden->pidfd, SIGUSR1);
}

void tini_hidden_close(tini_hidden *hidden, bool kill_it)
{
	if (kill_it && hidden->pidfd >= 0) {
		struct pollfd end = {.fd = hidden->pidfd, .events = POLLIN};

		tini_os_pidfd_signal(hidden->pidfd, SIGKILL);
		poll(&end, 1, 1000); /* it may look at what the caller is about to free */
	} else if (kill_it && hidden->visible) {
		kill(hidden->visible, SIGKILL);
	}
	if (hidden->visible)
		while (waitpid(hidden->visible, NULL, 0) < 0 && errno == EINTR)
			continue;
	tini_os_close(hidden->pidfd);
	tini_os_close(hidden->lifeline);
	tini_heap_free(hidden->birth);
	*hidden = (tini_hidden){.pidfd = -1, .lifeline = -1};
}

static uint32_t wait_while(tini_birth *birth, birth_step step)
{
	int64_t end = tini_clock_deadline(BIRTH_SECONDS);

	while (atomic_load(&birth->step) == (uint32_t)step && tini_clock_now() < end)
		tini_futex->wait(&birth->step, step, end);
	return atomic_load(&birth->step);
}

static void order(tini_birth *birth, birth_step step)
{
	atomic_store(&birth->step, step);
	tini_futex->wake(&birth->step, 1);
}

/* After the fork: learn the pid, hold it by a pidfd, let it go on. */
static int meet(tini_hidden *hidden, tini_birth *birth)
{
	uint32_t step = wait_while(birth, BIRTH_FORKED), forked = BIRTH_FORKED;

	if (step == BIRTH_FORKED &&
	    atomic_compare_exchange_strong(&birth->step, &forked, BIRTH_CANCEL))
		return TINI_FAIL(TINE_ESYSTEM, "the helper process did not start within %d s",
				 BIRTH_SECONDS);
	if (atomic_load(&birth->step) == BIRTH_FAILED)
		return TINI_FAIL_ERRNO(TINE_ESYSTEM, atomic_load(&birth->error),
				       "start of the helper process");
	hidden->pid = atomic_load(&birth->pid);
	hidden->pidfd = tini_os_pidfd_open(hidden->pid);
	if (hidden->pidfd < 0) {
		tini_error_set_errno(TINE_ESYSTEM, -hidden->pidfd,
				     "pidfd_open of the helper process");
		order(birth, BIRTH_CANCEL);
		wait_while(birth, BIRTH_CANCEL);
		return TINE_ESYSTEM;
	}
	order(birth, BIRTH_GO);
	return 0;
}

static int start(tini_hidden *hidden, birth_plan *plan)
{
	plan->birth = tini_heap_alloc(sizeof *plan->birth);
	if (!plan->birth)
		return TINE_ENOMEM;
	int rc = tini_os_fork_hidden(hidden_main, plan, &hidden->visible);
	if (rc < 0)
		rc = TINI_FAIL_ERRNO(TINE_ESYSTEM, -rc, "fork of the helper process");
	else
		rc = meet(hidden, plan->birth);
	/* BIRTH_GO: it looks once more and sees that; CANCEL: it may still be to come. */
	if (rc == 0)
		hidden->birth = plan->birth;
	else if (atomic_load(&plan->birth->step) != BIRTH_CANCEL)
		tini_heap_free(plan->birth);
	return rc;
}

int tini_hidden_start(tini_hidden *hidden, const char *name, int keep,
		      void (*main)(tini_watch *watch, void *arg), void *arg)
{
	int ends[2] = {-1, -1}, self = tini_os_pidfd_open(getpid());

	*hidden = (tini_hidden){.pidfd = -1, .lifeline = -1};
	if (self < 0)
		return TINI_FAIL_ERRNO(TINE_ESYSTEM, -self, "pidfd_open");
	int rc = tini_os_pipe(ends);
	if (rc < 0) {
		tini_os_close(self);
		return TINI_FAIL_ERRNO(TINE_ESYSTEM, -rc, "pipe");
	}
	hidden->lifeline = ends[1];
	birth_plan plan = {NULL, name, keep, self, ends[0], main, arg};
	rc = start(hidden, &plan);
	tini_os_close(self);
	tini_os_close(ends[0]);
	if (rc != 0)
		tini_hidden_close(hidden, true);
	return rc;
}
