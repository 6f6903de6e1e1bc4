/* SPDX-License-Identifier: MIT */
#include "process/child.h"

#include "base/memory.h"
#include "base/os.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *const thread_functions[] = {"omp_set_num_threads", "openblas_set_num_threads",
					       "MKL_Set_Num_Threads", "bli_thread_set_num_threads"};
static const char *const thread_variables[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
					       "MKL_NUM_THREADS", "BLIS_NUM_THREADS"};
enum { THREAD_FUNCTIONS = sizeof thread_functions / sizeof *thread_functions };
static void *_Atomic found[THREAD_FUNCTIONS]; /* any thread may look for them again */
static void *_Atomic found_openmp;            /* omp_get_max_threads */
static int null_device = -1;

void tini_child_find_threads(void)
{
	for (int i = 0; i < THREAD_FUNCTIONS; i++)
		atomic_store(&found[i], dlsym(RTLD_DEFAULT, thread_functions[i]));
	atomic_store(&found_openmp, dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
}

static bool is_thread_variable(const char *entry)
{
	for (int i = 0; i < THREAD_FUNCTIONS; i++) {
		size_t length = strlen(thread_variables[i]);

		if (strncmp(entry, thread_variables[i], length) == 0 && entry[length] == '=')
			return true;
	}
	return false;
}

/* Not by setenv(): its lock may have been held by another thread of the host at the fork, and is
 * then held for ever. */
static void set_environment(int threads)
{
	static char text[THREAD_FUNCTIONS][48];
	size_t count = 0, kept = 0;

	while (environ && environ[count])
		count++;
	char **fresh = tini_alloc(count + THREAD_FUNCTIONS + 1, sizeof *fresh);
	if (!fresh)
		return; /* a preference: the loaded libraries are told by their functions */
	for (size_t i = 0; i < count; i++)
		if (!is_thread_variable(environ[i]))
			fresh[kept++] = environ[i];
	for (int i = 0; i < THREAD_FUNCTIONS; i++) {
		snprintf(text[i], sizeof text[i], "%s=%d", thread_variables[i], threads);
		fresh[kept++] = text[i];
	}
	environ = fresh;
}

void tini_child_prepare(int threads)
{
	set_environment(threads);
	null_device = tini_os_above_standard(open("/dev/null", O_RDWR | O_CLOEXEC));
}

static void limit_library(int which, int n)
{
	void *function = atomic_load(&found[which]);

	if (!function)
		return;
	if (strncmp(thread_functions[which], "bli_", 4) == 0) {
		void (*set)(long) = NULL; /* BLIS counts in dim_t */
		memcpy(&set, &function, sizeof set);
		set(n);
	} else {
		void (*set)(int) = NULL;
		memcpy(&set, &function, sizeof set);
		set(n);
	}
}

void tini_child_limit_threads(int n)
{
	for (int i = 0; i < THREAD_FUNCTIONS; i++)
		limit_library(i, n);
}

void tini_child_limit_thread(int n)
{
	limit_library(0, n); /* OpenMP; the others' numbers are the host's too */
}

int tini_child_swap_thread_limit(int n)
{
	void *function = atomic_load_explicit(&found_openmp, memory_order_relaxed); /* once found */
	int (*get)(void) = NULL;

	if (!function)
		return 0;
	memcpy(&get, &function, sizeof get);
	int before = get();
	if (before != n)
		tini_child_limit_thread(n);
	return before;
}

/* The first handler to run at exit(): the host's handlers would clean up what is the host's. */
static void on_exit_first(int code, void *context)
{
	(void)context;
	tini_child_flush();
	_exit(code);
}

static void quiet_terminal(void)
{
	static const int ignored[] = {SIGINT, SIGTSTP, SIGTTIN, SIGTTOU};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		sigaction(ignored[i], &ignore, NULL);
	if (null_device < 0) {
		close(STDIN_FILENO);
		return;
	}
	dup2(null_device, STDIN_FILENO);
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0) /* what an item opens must not become its output */
			dup2(null_device, fd);
	close(null_device);
}

static void be_first_to_kill(void)
{
	char text[16];
	int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	ssize_t n = read(fd, text, sizeof text - 1);
	int score = 0;
	if (n > 0) {
		text[n] = '\0';
		score = (int)strtol(text, NULL, 10);
	}
	int length = snprintf(text, sizeof text, "%d", score + 500 > 1000 ? 1000 : score + 500);
	if (pwrite(fd, text, (size_t)length, 0) < 0)
		(void)0; /* a preference, not a need */
	close(fd);
}

void tini_child_begin(const tini_child_plan *plan)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != plan->parent)
		_exit(1); /* it died before the line above */
	setpgid(0, plan->group);
	close(plan->watch->host_pidfd);
	close(plan->watch->lifeline);
	close(plan->watch->signals);
	if (plan->quiet_terminal)
		quiet_terminal();
	if (plan->first_to_kill)
		be_first_to_kill();
	__fpurge(stdout); /* what the host has not written yet is the host's to write */
	on_exit(on_exit_first, NULL);
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
}

int tini_child_run(void *(*main)(void *arg), void *arg)
{
	pthread_t thread;
	int rc = pthread_create(&thread, NULL, main, arg);

	if (rc == 0)
		pthread_join(thread, NULL);
	return rc;
}

void tini_child_flush(void)
{
	fflush(stdout);
}

void tini_host_flush(void)
{
	if (ftrylockfile(stdout) != 0)
		return;
	fflush_unlocked(stdout);
	funlockfile(stdout);
}

size_t tini_child_data(void)
{
	char text[4096];

	if (tini_os_read_file("/proc/self/status", text, sizeof text) <= 0)
		return 0;
	const char *line = strstr(text, "\nVmData:");
	return line ? strtoul(line + 8, NULL, 10) * 1024 : 0;
}
