/* SPDX-License-Identifier: MIT */
/* The wrappers of the operating system.  What changes limits, users or signals runs in a process of
 * its own. */
#include "kit/kit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/os.h"

static const long PAGE = 4096, MIB = 1 << 20;
enum { NOBODY = 65534 };

/* ---- memory */

static void test_map_shared(void **state)
{
	int fd = tini_os_memfd("test");
	void *room;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(tini_os_truncate(fd, 4 * PAGE), 0);
	assert_int_equal(tini_os_map_private(&room, 4 * PAGE), 0);
	assert_int_equal(tini_os_map_shared(room, PAGE, fd, 0), -EEXIST);
	assert_int_equal(tini_os_unmap(room, 4 * PAGE), 0);
	assert_int_equal(tini_os_map_shared(room, 4 * PAGE, fd, 0), 0);
	memset(room, 7, 4 * PAGE);
	char byte = 0;
	assert_int_equal(pread(fd, &byte, 1, 3 * PAGE), 1);
	assert_int_equal(byte, 7);
	assert_int_equal(tini_os_advise(room, 4 * PAGE, MADV_DONTDUMP), 0);
	assert_int_equal(tini_os_punch(fd, 0, 2 * PAGE), 0);
	assert_int_equal(((char *)room)[0], 0);
	assert_int_equal(((char *)room)[3 * PAGE], 7);
	assert_int_equal(tini_os_protect_none(room, PAGE), 0);
	assert_int_equal(tini_os_unmap(room, 4 * PAGE), 0);
	assert_int_equal(tini_os_close(fd), 0);
}

/* ---- files */

static void test_descriptors(void **state)
{
	int before = kit_descriptors(), ends[2];
	struct stat file;

	(void)state;
	assert_int_equal(tini_os_pipe(ends), 0);
	assert_true(fcntl(ends[0], F_GETFD) & FD_CLOEXEC && fcntl(ends[1], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fstat(ends[0], &file), 0);
	assert_int_equal(tini_os_same_file(ends[0], file.st_dev, file.st_ino), 1);
	assert_int_equal(tini_os_same_file(0, file.st_dev, file.st_ino), 0);
	assert_int_equal(tini_os_close(ends[0]), 0);
	assert_int_equal(tini_os_same_file(ends[0], file.st_dev, file.st_ino), 0);
	assert_int_equal(tini_os_same_file(-1, file.st_dev, file.st_ino), 0);
	assert_int_equal(tini_os_close(ends[1]), 0);
	assert_int_equal(tini_os_close(-1), 0);
	assert_int_equal(tini_os_close(1 << 20), -EBADF);
	assert_int_equal(kit_descriptors(), before);
}

static void test_read_file(void **state)
{
	char text[16];

	(void)state;
	assert_int_equal(tini_os_read_file("/proc/self/stat", text, sizeof(text)), 15);
	assert_int_equal(strlen(text), 15);
	assert_int_equal(tini_os_read_file("/dev/null", text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(tini_os_read_file("/no/such", text, sizeof(text)), -ENOENT);
	assert_int_equal(tini_os_read_file("/proc/self", text, sizeof(text)), -EISDIR);
	assert_int_equal(tini_os_read_file("/dev/null", text, 0), -EINVAL);
}

static int under_file_limit(void *arg)
{
	const struct rlimit limit = {2 * PAGE, RLIM_INFINITY},
			    none = {RLIM_INFINITY, RLIM_INFINITY};
	int fd = tini_os_memfd("test");

	(void)arg;
	kit_expect(!tini_os_truncate(fd, 8 * PAGE));
	kit_expect(!setrlimit(RLIMIT_FSIZE, &limit));
	kit_expect(
		!tini_os_truncate(fd, 4 * PAGE)); /* smaller than it was: no limit is in the way */
	kit_expect(tini_os_truncate(fd, 5 * PAGE) == -EFBIG);
	kit_expect(tini_os_allocate(fd, 4 * PAGE, PAGE) == -EFBIG);
	kit_expect(!tini_os_truncate(fd, 0));
	kit_expect(!tini_os_truncate(fd, 2 * PAGE));
	kit_expect(!tini_os_allocate(fd, 0, 2 * PAGE));
	kit_expect(!setrlimit(RLIMIT_FSIZE, &none));
	kit_expect(tini_os_truncate(fd, -1) == -EINVAL);
	return 0;
}

static int with_pending_signal(void *arg)
{
	sigset_t one, pending;
	int fd = tini_os_memfd("test");

	(void)arg;
	sigemptyset(&one);
	sigaddset(&one, SIGXFSZ);
	pthread_sigmask(SIG_BLOCK, &one, NULL);
	raise(SIGXFSZ);
	kit_expect(!tini_os_truncate(fd, PAGE));
	sigpending(&pending);
	kit_expect(sigismember(&pending, SIGXFSZ) == 1); /* the host's own signal is still there */
	return 0;
}

static volatile sig_atomic_t ticks;

static void tick(int signal)
{
	(void)signal;
	ticks++;
}

/* fallocate() starts anew at each signal: with a fast timer it would never end */
static int under_a_timer(void *arg)
{
	const struct itimerval fast = {{0, 1000}, {0, 1000}};
	const struct sigaction action = {.sa_handler = tick};
	int fd = tini_os_memfd("test");

	(void)arg;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &fast, NULL);
	kit_expect(!tini_os_allocate(fd, 0, 64 * MIB));
	kit_expect(!tini_os_punch(fd, 0, 64 * MIB));
	while (!ticks)
		;
	return 0;
}

static void test_file_limit(void **state)
{
	(void)state;
	kit_run_clean(under_file_limit, NULL, 10);
	kit_run_clean(with_pending_signal, NULL, 10);
	kit_run_clean(under_a_timer, NULL, 20);
}

/* ---- the tmpfs */

static bool may_be_missing(int r)
{
	return r == -EPERM || r == -EACCES || r == -ENOSYS || r == -EINVAL || r == -ENOSPC ||
	       r == -EUSERS;
}

static void sized_file(int fd)
{
	struct stat file;
	void *at;

	kit_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	kit_expect(!fstat(fd, &file) && file.st_nlink == 0);
	kit_expect(!tini_os_truncate(fd, (off_t)1 << 30));
	kit_expect(!tini_os_allocate(fd, 0, 4 * MIB));
	kit_expect(tini_os_allocate(fd, 0, 16 * MIB) == -ENOSPC); /* the limit of the mount */
	kit_expect(!tini_os_map_private(&at, 4 * MIB) && !tini_os_unmap(at, 4 * MIB));
	kit_expect(!tini_os_map_shared(at, 4 * MIB, fd, 0));
	memset(at, 1, 4 * MIB);
}

static int huge_file(void *arg)
{
	const struct sigaction action = {.sa_handler = tick};
	int before, fd;

	(void)arg;
	sigaction(SIGCHLD, &action, NULL);
	before = kit_descriptors();
	fd = tini_os_huge_tmpfs_file(8 * MIB);
	if (fd < 0) {
		kit_expect(may_be_missing(fd));
		kit_expect(kit_descriptors() == before);
	} else {
		sized_file(fd);
		kit_expect(kit_descriptors() == before + 1);
	}
	kit_expect(!ticks); /* no SIGCHLD */
	kit_expect(waitpid(-1, NULL, __WALL) < 0 && errno == ECHILD);
	return 0;
}

static int huge_file_of_nobody(void *arg)
{
	if (!geteuid()) {
		kit_expect(!setresgid(NOBODY, NOBODY, NOBODY) &&
			   !setresuid(NOBODY, NOBODY, NOBODY));
		kit_expect(!prctl(PR_SET_DUMPABLE, 1)); /* as after an exec */
	}
	return huge_file(arg);
}

static int huge_file_on_old_kernel(void *arg)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsopen, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {sizeof(steps) / sizeof(steps[0]), steps};

	(void)arg;
	kit_expect(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		kit_expect(tini_os_huge_tmpfs_file(8 * MIB) == -ENOSYS);
	return 0;
}

static void test_huge_file(void **state)
{
	(void)state;
	kit_run_clean(huge_file, NULL, 10);
	kit_run_clean(huge_file_of_nobody, NULL, 10);
	kit_run_clean(huge_file_on_old_kernel, NULL, 10);
}

/* ---- processes */

static int children(void *arg)
{
	int status;

	(void)arg;
	kit_expect(tini_os_start_time(getpid()) > 0);
	kit_expect(tini_os_start_time(0) == 0 && tini_os_start_time(-1) == 0 &&
		   tini_os_start_time(1 << 30) == 0);
	pid_t pid = tini_os_fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	kit_expect(pid > 0 && tini_os_start_time(pid) >= tini_os_start_time(getpid()));
	int pidfd = tini_os_pidfd_open(pid);
	kit_expect(pidfd >= 0 && fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
	kit_expect(!tini_os_pidfd_signal(pidfd, SIGKILL));
	kit_expect(!waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT));
	kit_expect(tini_os_start_time(pid) == 0); /* a zombie */
	kit_expect(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL);
	kit_expect(tini_os_pidfd_signal(pidfd, SIGKILL) == -ESRCH);
	kit_expect(tini_os_pidfd_open(pid) == -ESRCH);
	return 0;
}

static int odd_name(void *arg)
{
	uint64_t start = tini_os_start_time(getpid());

	(void)arg;
	kit_expect(!prctl(PR_SET_NAME, "a) Z 1 (b) Z"));
	kit_expect(start && tini_os_start_time(getpid()) == start);
	return 0;
}

static void test_processes(void **state)
{
	(void)state;
	int self = tini_os_pidfd_open(getpid());
	if (self == -ENOSYS)
		skip(); /* valgrind 3.19 does not know it */
	tini_os_close(self);
	kit_run_clean(children, NULL, 10);
	kit_run_clean(odd_name, NULL, 10);
}

/* ---- faults */

#define FAILS(call, error)                                                \
	do {                                                              \
		tini_fault_arm(TINI_FAULT_SYSTEM, 1);                     \
		assert_int_equal(call, error);                            \
		assert_int_equal(tini_fault_calls(TINI_FAULT_SYSTEM), 1); \
		tini_fault_arm(TINI_FAULT_SYSTEM, 0);                     \
	} while (0)

/* ---- threads */

static void *tell_mask(void *mask)
{
	pthread_sigmask(SIG_SETMASK, NULL, mask);
	return mask;
}

static void *post(void *arg)
{
	sem_post(arg);
	return NULL;
}

static void test_threads(void **state)
{
	sigset_t before, after, inside;
	pthread_t thread;
	void *returned;
	sem_t done;

	(void)state;
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(tini_os_thread(&thread, tell_mask, &inside), 0);
	assert_int_equal(pthread_join(thread, &returned), 0);
	assert_ptr_equal(returned, &inside);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int signal = 1; signal < 32; signal++) {
		bool is_fault = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE ||
				signal == SIGILL || signal == SIGTRAP || signal == SIGSYS;

		assert_int_equal(sigismember(&after, signal), sigismember(&before, signal));
		if (signal != SIGKILL && signal != SIGSTOP)
			assert_int_equal(sigismember(&inside, signal), !is_fault);
	}
	sem_init(&done, 0, 0);
	assert_int_equal(tini_os_thread(NULL, post, &done), 0);
	while (sem_wait(&done) != 0)
		continue;
	sem_destroy(&done);
}

static void test_faults(void **state)
{
	int before = kit_descriptors(), ends[2];
	char text[8];
	pthread_t thread;
	void *at;

	(void)state;
	FAILS(tini_os_map_shared(NULL, PAGE, -1, 0), -ENOMEM);
	FAILS(tini_os_map_private(&at, PAGE), -ENOMEM);
	FAILS(tini_os_unmap(NULL, PAGE), -ENOMEM);
	FAILS(tini_os_protect_none(NULL, PAGE), -ENOMEM);
	FAILS(tini_os_advise(NULL, PAGE, MADV_DONTDUMP), -ENOMEM);
	FAILS(tini_os_memfd("test"), -EMFILE);
	FAILS(tini_os_huge_tmpfs_file(PAGE), -EPERM);
	FAILS(tini_os_truncate(-1, 0), -EFBIG);
	FAILS(tini_os_allocate(-1, 0, PAGE), -ENOSPC);
	FAILS(tini_os_punch(-1, 0, PAGE), -ENOMEM);
	FAILS(tini_os_read_file("/dev/null", text, sizeof(text)), -EIO);
	FAILS(tini_os_fork(), -EAGAIN);
	FAILS(tini_os_pidfd_open(getpid()), -EMFILE);
	FAILS(tini_os_pidfd_signal(-1, 0), -EPERM);
	FAILS(tini_os_pipe(ends), -EMFILE);
	FAILS(tini_os_thread(&thread, tell_mask, &at), -EAGAIN);
	assert_int_equal(kit_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map_shared), cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_read_file),  cmocka_unit_test(test_file_limit),
		cmocka_unit_test(test_huge_file),  cmocka_unit_test(test_processes),
		cmocka_unit_test(test_threads),    cmocka_unit_test(test_faults),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
