/* SPDX-License-Identifier: MIT */
/*
 * A nameless file on a private tmpfs that uses huge pages.
 *
 * A memfd gets huge pages only where the administrator has said so for the whole machine; a tmpfs
 * of our own is mounted with huge=always.  The mount is attached nowhere: it lives as long as the
 * file does, and has no path. Mounting takes CAP_SYS_ADMIN, which a user namespace gives.  A helper
 * process enters one for us, so that the host stays where it is: it shares our memory, sends no
 * signal when it ends, and hands the file over through a socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/os.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { STACK_SIZE = 64 * 1024 };

static int result(long value)
{
	return value < 0 ? -errno : (int)value;
}

/* ---- the file; also run by the helper: no allocation, no lock */

static int configure(int fs, const char *size)
{
	if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "huge", "always", 0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", size, 0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0700", 0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	return 0;
}

static int open_in(int mount)
{
	return result(openat(mount, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

static int make_file(const char *size)
{
	int fs = result(syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC));
	if (fs < 0)
		return fs;
	int r = configure(fs, size);
	if (!r)
		r = result(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
				   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
	close(fs);
	if (r < 0)
		return r;
	int file = tini_os_above_standard(open_in(r));
	close(r);
	return file;
}

/* ---- the helper */

typedef struct errand {
	int socket;    /* the helper's end */
	char size[32]; /* of the tmpfs, for mount */
	char uid_map[32], gid_map[32];
} errand;

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = result(write(fd, text, strlen(text)));
	close(fd);
	return r < 0 ? r : 0;
}

static int file_in_namespace(const errand *e)
{
	int r = write_text("/proc/self/setgroups",
			   "deny"); /* the kernel asks for it before a gid_map */

	if (!r)
		r = write_text("/proc/self/uid_map", e->uid_map);
	if (!r)
		r = write_text("/proc/self/gid_map", e->gid_map);
	return r ? r : make_file(e->size);
}

typedef union handover {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(sizeof(int))];
} handover;

static int helper(void *arg)
{
	const errand *e = arg;
	int r = file_in_namespace(e);
	handover control = {.bytes = {0}};
	struct iovec code = {&r, sizeof(r)};
	struct msghdr message = {.msg_iov = &code, .msg_iovlen = 1};

	if (r >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &r, sizeof(r));
	}
	sendmsg(e->socket, &message, MSG_NOSIGNAL);
	return 0;
}

/* What the helper, which has ended, left in the socket: the file or an error. */
static int receive(int socket)
{
	int r = 0, file = -1;
	handover control;
	struct iovec code = {&r, sizeof(r)};
	struct msghdr message = {.msg_iov = &code,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};

	if (recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != sizeof(r))
		return -EPERM; /* it died before it could say anything */
	const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(&file, CMSG_DATA(header), sizeof(file));
	if (file >= 0)
		return tini_os_above_standard(file);
	return r < 0 ? r : -EMFILE; /* no room for the descriptor here */
}

static void run_helper(errand *e, char *stack)
{
	/* The kernel refuses unshare(CLONE_NEWUSER) to a process that shares its memory, but not
	 * clone() with it. */
	const int flags = CLONE_VM | CLONE_VFORK | CLONE_NEWUSER | CLONE_NEWNS;
	sigset_t all, before;
	int cancel;

	/* It runs with this thread's thread-local state: neither handlers nor a pending cancel may
	 * act in it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pid_t pid = clone(helper, stack + STACK_SIZE, flags, e);
	if (pid < 0) {
		int r = -errno;
		send(e->socket, &r, sizeof(r), MSG_NOSIGNAL | MSG_DONTWAIT);
	} else {
		while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
			;
	}
	pthread_setcancelstate(cancel, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int file_by_helper(errand *e)
{
	int ends[2], r;
	void *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED)
		return -errno;
	r = result(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	if (!r) {
		e->socket = ends[1];
		run_helper(e, stack);
		r = receive(ends[0]);
		close(ends[0]);
		close(ends[1]);
	}
	munmap(stack, STACK_SIZE);
	return r;
}

int tini_os_huge_tmpfs_file(size_t limit)
{
	errand e;

	if (tini_fault_now(TINI_FAULT_SYSTEM))
		return -EPERM;
	snprintf(e.size, sizeof(e.size), "%zu", limit);
	snprintf(e.uid_map, sizeof(e.uid_map), "0 %lu 1", (unsigned long)geteuid());
	snprintf(e.gid_map, sizeof(e.gid_map), "0 %lu 1", (unsigned long)getegid());
	int file = make_file(e.size);
	if (file == -EPERM && !SANITIZED)
		file = file_by_helper(&e);
	return file;
}
