/* SPDX-License-Identifier: MIT */
/* Memory, nameless files and processes: thin wrappers that give -errno.  The tmpfs file is in
 * os_tmpfs.c. */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"

static bool fails(void)
{
	return tini_fault_now(TINI_FAULT_SYSTEM);
}

static int result(long value)
{
	return value < 0 ? -errno : (int)value;
}

/* ---- memory */

int tini_os_map_shared(void *address, size_t length, int fd, off_t offset)
{
	if (fails())
		return -ENOMEM;
	void *at = mmap(address, length, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, fd, offset);
	if (at == MAP_FAILED)
		return -errno;
	if (at != address) { /* a kernel before 4.17 takes the address as a mere hint */
		munmap(at, length);
		return -EEXIST;
	}
	return 0;
}

int tini_os_map_private(void **address, size_t length)
{
	if (fails())
		return -ENOMEM;
	void *at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return -errno;
	*address = at;
	return 0;
}

int tini_os_unmap(void *address, size_t length)
{
	return fails() ? -ENOMEM : result(munmap(address, length));
}

int tini_os_protect_none(void *address, size_t length)
{
	return fails() ? -ENOMEM : result(mprotect(address, length, PROT_NONE));
}

int tini_os_advise(void *address, size_t length, int advice)
{
	return fails() ? -ENOMEM : result(madvise(address, length, advice));
}

/* ---- files without a name */

int tini_os_above_standard(int fd)
{
	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	int up = result(fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
	close(fd);
	return up;
}

int tini_os_memfd(const char *name)
{
	return fails() ? -EMFILE : tini_os_above_standard(result(memfd_create(name, MFD_CLOEXEC)));
}

/* What a file call needs around it to send no signal and take none. */
typedef struct quiet {
	sigset_t before; /* the thread's mask */
	bool pending;    /* a SIGXFSZ waited already: it is not ours */
} quiet;

static void quiet_begin(quiet *q)
{
	sigset_t all, pending;

	/* all of them, not SIGXFSZ alone: fallocate gives up and starts again for any, and a timer
	 * would starve it */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &q->before);
	sigemptyset(&pending);
	sigpending(&pending);
	q->pending = sigismember(&pending, SIGXFSZ) == 1;
}

static void quiet_end(const quiet *q)
{
	const struct timespec now = {0, 0};
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, SIGXFSZ);
	if (!q->pending)
		while (sigtimedwait(&one, NULL, &now) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &q->before, NULL);
}

/* True where a file that grows to `size` goes over RLIMIT_FSIZE. */
static bool too_big(int fd, off_t size)
{
	struct rlimit limit;
	struct stat file;

	if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur == RLIM_INFINITY || size < 0)
		return false;
	return (rlim_t)size > limit.rlim_cur && !fstat(fd, &file) && size > file.st_size;
}

int tini_os_truncate(int fd, off_t size)
{
	quiet q;
	int r;

	if (fails() || too_big(fd, size))
		return -EFBIG;
	quiet_begin(&q);
	do
		r = result(ftruncate(fd, size));
	while (r == -EINTR);
	quiet_end(&q);
	return r;
}

int tini_os_allocate(int fd, off_t offset, off_t length)
{
	quiet q;
	off_t end;
	int r;

	if (fails())
		return -ENOSPC;
	if (__builtin_add_overflow(offset, length, &end) || too_big(fd, end))
		return -EFBIG;
	quiet_begin(&q);
	do
		r = result(fallocate(fd, 0, offset, length));
	while (r == -EINTR);
	quiet_end(&q);
	return r;
}

int tini_os_punch(int fd, off_t offset, off_t length)
{
	int r;

	if (fails())
		return -ENOMEM;
	do
		r = result(
			fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length));
	while (r == -EINTR);
	return r;
}

int tini_os_same_file(int fd, dev_t device, ino_t inode)
{
	struct stat file;

	return fd >= 0 && !fstat(fd, &file) && file.st_dev == device && file.st_ino == inode;
}

int tini_os_close(int fd)
{
	return fd < 0 ? 0 : result(close(fd)); /* never again after EINTR: Linux has closed it */
}

static ssize_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (used < size - 1 && n > 0) {
		n = read(fd, text + used, size - 1 - used);
		if (n > 0)
			used += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	ssize_t r = n < 0 ? -errno : (ssize_t)used;
	close(fd);
	text[used] = '\0';
	return r;
}

ssize_t tini_os_read_file(const char *path, char *text, size_t size)
{
	if (!size)
		return -EINVAL;
	text[0] = '\0';
	return fails() ? -EIO : read_file(path, text, size);
}

/* ---- processes */

pid_t tini_os_fork(void)
{
	return fails() ? -EAGAIN : result(fork());
}

int tini_os_pidfd_open(pid_t pid)
{
	if (fails())
		return -EMFILE;
	return tini_os_above_standard(result(syscall(SYS_pidfd_open, pid, 0)));
}

int tini_os_pidfd_signal(int pidfd, int signal)
{
	return fails() ? -EPERM : result(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

int tini_os_pipe(int ends[2])
{
	int r = fails() ? -EMFILE : result(pipe2(ends, O_CLOEXEC));

	if (r < 0)
		return r;
	ends[0] = tini_os_above_standard(ends[0]);
	ends[1] = tini_os_above_standard(ends[1]);
	if (ends[0] >= 0 && ends[1] >= 0)
		return 0;
	tini_os_close(ends[0]);
	tini_os_close(ends[1]);
	return -EMFILE;
}

/* The field of that number in a /proc/PID/stat, whose field 2 may hold blanks and ')'; NULL: there
 * is none. */
static const char *stat_field(const char *stat, int number)
{
	const char *at = strrchr(stat, ')');

	for (int i = 2; at && i < number; i++) {
		at = strchr(at, ' ');
		if (at)
			at++;
	}
	return at;
}

uint64_t tini_os_start_time(pid_t pid)
{
	char path[64], stat[2048];

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	if (pid <= 0 || read_file(path, stat, sizeof(stat)) <= 0)
		return 0;
	const char *state = stat_field(stat, 3), *start = stat_field(stat, 22);
	if (!state || strchr("ZXx", *state) || !start)
		return 0;
	return strtoull(start, NULL, 10);
}

/* ---- threads */

static int start_thread(pthread_t *thread, bool detached, void *(*main)(void *arg), void *arg)
{
	pthread_attr_t attributes;

	int r = pthread_attr_init(&attributes);
	if (r != 0)
		return -r;
	if (detached)
		pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	r = pthread_create(thread, &attributes, main, arg);
	pthread_attr_destroy(&attributes);
	return -r;
}

int tini_os_thread(pthread_t *thread, void *(*main)(void *arg), void *arg)
{
	/* Blocked, a fault would end the process without a call of the host's handler. */
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
	sigset_t mask, before;
	pthread_t unnamed;

	if (fails())
		return -EAGAIN;
	sigfillset(&mask);
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
		sigdelset(&mask, faults[i]);
	/* Inherited: there is no moment in which the new thread could take a signal. */
	pthread_sigmask(SIG_SETMASK, &mask, &before);
	int r = start_thread(thread ? thread : &unnamed, !thread, main, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}
