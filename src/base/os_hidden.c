/* SPDX-License-Identifier: MIT */
/*
 * clone(CLONE_VM | CLONE_VFORK, no exit signal) -> helper -> fork() -> the hidden process; the
 * helper ends.
 *
 * The helper runs in our memory while our thread is suspended, so libc's locks and atfork handlers
 * are as they should be; a raw clone() of the hidden process itself would find malloc's lock held
 * for ever.  The hidden process is an orphan from birth.
 */
#include "base/os_hidden.h"

#include "base/fault.h"
#include "base/os.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK = 512 * 1024 };

typedef struct request {
	void (*child)(void *arg);
	void *arg;
	int error;
} request;

/* The memory says that rseq is registered; the kernel forgot it with the helper's CLONE_VM. Without
 * this sched_getcpu() would tell one CPU for ever. */
static void register_rseq(void)
{
#ifdef SYS_rseq
	if (__rseq_size != 0)
		syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, 32, 0,
			RSEQ_SIG);
#endif
}

static int helper(void *p)
{
	request *r = p;
	pid_t pid = tini_os_fork();

	if (pid == 0) {
		register_rseq();
		r->child(r->arg);
		_exit(127);
	}
	r->error = pid < 0 ? -(int)pid : 0;
	return 0;
}

static bool must_be_visible(void)
{
	int subreaper = 0;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return true; /* they follow neither the helper's stack nor its shared memory */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	return true;
#endif
#endif
	return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper);
}

static int fork_visible(request *r)
{
	pid_t pid = tini_os_fork();

	if (pid == 0) {
		r->child(r->arg);
		_exit(127);
	}
	return (int)pid;
}

static int fork_through_helper(request *r)
{
	void *stack;
	int rc = tini_os_map_private(&stack, STACK);

	if (rc < 0)
		return rc;
	pid_t pid = clone(helper, (char *)stack + STACK, CLONE_VM | CLONE_VFORK, r);
	rc = pid < 0 ? -errno : 0;
	if (pid > 0) {
		while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
			continue;
		rc = -r->error;
	}
	tini_os_unmap(stack, STACK);
	return rc;
}

int tini_os_fork_hidden(void (*child)(void *arg), void *arg, pid_t *visible)
{
	request r = {child, arg, 0};
	sigset_t all, before;

	if (tini_fault_now(TINI_FAULT_SYSTEM))
		return -EAGAIN;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int rc = must_be_visible() ? fork_visible(&r) : fork_through_helper(&r);
	*visible = rc > 0 ? rc : 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc < 0 ? rc : 0;
}
