/* SPDX-License-Identifier: MIT */
/* The host forks, execs, ends or is killed with a pool open; and what it may notice of a pool: nothing. */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

static int sleeps_for_ever(const void *arg, void *result)
{
	(void)arg;
	(void)result;
	for (;;)
		pause();
	return 0;
}

static int dies(const void *arg, void *result)
{
	(void)result;
	raise(*(const int *)arg);
	return 0;
}

static tine_pool *open_family(int workers)
{
	return NEED_NEW(tine_pool_open(.workers = workers, .init = tells_family));
}

/* ---- fork ---- */

static void child_may_not_touch(tine_pool *pool)
{
	tine_pool_figures figures = {.struct_size = sizeof(figures)};
	int in = 1, out;

	NEED(TINE_ESTATE,
	     tine_map(pool, add_one, &in, 1, sizeof(in), &out, .result_size = sizeof(out)));
	NEED_NULL(TINE_ESTATE,
		  tine_submit(pool, add_one, &in, sizeof(in), .result_size = sizeof(out)));
	NEED(TINE_ESTATE, tine_pool_close(pool, TINE_FOREVER));
	NEED(TINE_ESTATE, tine_pool_terminate(pool));
	NEED(TINE_ESTATE, tine_pool_stats(pool, &figures));
	NEED(TINE_ESTATE, tine_pool_workers(pool));
}

/* The child of a fork() cannot use the pool, does not harm it by ending, and may have pools of its own. */
static int forks(void *arg)
{
	int status;
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2));

	(void)arg;
	works(pool);
	for (int how = 0; how < 4; how++) {
		pid_t pid = fork();

		if (pid == 0) {
			child_may_not_touch(pool);
			if (how >= 2) {
				tine_pool *own = NEED_NEW(tine_pool_open(.workers = 2));

				works(own);
				if (how == 3)
					NEED(0, tine_pool_close(own, TINE_FOREVER));
			}
			if (how == 0)
				_exit(0);
			exit(0);
		}
		kit_expect(waitpid(pid, &status, 0) == pid && status == 0);
		works(pool);
	}
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* With a child of the host that lives on, the host's end is the end of the pool all the same. */
static int forked_child_outlives_the_host(void *arg)
{
	(void)arg;
	the_family = new_family();
	pid_t host = fork();
	if (host == 0) {
		open_family(2);
		pid_t child = fork();

		if (child == 0)
			nap(1);
		_exit(0);
	}
	kit_expect(waitpid(host, NULL, 0) == host && all_gone(0.8));
	return 0;
}

/* ---- the host's end ---- */

enum { BY_RETURN, BY_EXIT, BY_UNDERSCORE_EXIT, BY_SEGV, BY_KILL, BY_TERM, BY_EXEC, WAYS };
enum { IDLE, IN_MAP, WITH_FUTURES };

static int ends_itself(int way)
{
	if (way == BY_EXIT)
		exit(0);
	if (way == BY_UNDERSCORE_EXIT)
		_exit(0);
	if (way == BY_SEGV) {
		signal(SIGSEGV, SIG_DFL); /* cmocka catches it */
		raise(SIGSEGV);
	}
	if (way == BY_EXEC)
		execl("/bin/sleep", "sleep", "30", (char *)NULL);
	return 0;
}

static _Noreturn void be_a_host(int way, int busy)
{
	tine_pool *pool = open_family(3);

	if (busy == WITH_FUTURES)
		for (int i = 0; i < 20; i++)
			NEED_NEW(tine_submit(pool, sleeps_for_ever, NULL, 0, .retries = -1));
	if (busy == IN_MAP) /* the other ways end from a signal handler or from outside */
		tine_map(pool, sleeps_for_ever, NULL, 100, 0, NULL, .chunk = 1);
	if (way == BY_KILL || way == BY_TERM)
		for (;;)
			pause();
	exit(ends_itself(way));
}

static int ends(void *number)
{
	int way = NUMBER(number) % WAYS, busy = NUMBER(number) / WAYS;

	the_family = new_family();
	pid_t host = fork();
	if (host == 0) {
		setpgid(0, 0);
		be_a_host(way, busy);
	}
	for (double end = now() + 5; atomic_load(&the_family->workers) < 3 && now() < end;)
		nap(0.001);
	kit_expect(atomic_load(&the_family->workers) == 3);
	if (way == BY_KILL || way == BY_TERM) {
		nap(0.01);
		kit_expect(lives(the_family->supervisor) && lives(the_family->worker[2]));
		kill(host, way == BY_KILL ? SIGKILL : SIGTERM);
	}
	bool gone = all_gone(2); /* while one that has done an exec still runs */
	if (way == BY_EXEC)
		kit_expect(kill(host, 0) == 0 && waitpid(host, NULL, WNOHANG) == 0 &&
			   kill(host, SIGKILL) == 0);
	kit_expect(waitpid(host, NULL, 0) == host && gone);
	return 0;
}

static int killed_with_a_stopped_worker(void *arg)
{
	(void)arg;
	the_family = new_family();
	pid_t host = fork();
	if (host == 0)
		be_a_host(BY_KILL, IN_MAP);
	for (double end = now() + 5; atomic_load(&the_family->workers) < 3 && now() < end;)
		nap(0.001);
	signal_known(the_family->worker[1], SIGSTOP);
	nap(0.01);
	kill(host, SIGKILL);
	kit_expect(waitpid(host, NULL, 0) == host && all_gone(2));
	return 0;
}

/* What items have left behind, in sessions of their own, ends with the host too. */
static int forks_sessions(const void *arg, void *result)
{
	(void)arg;
	(void)result;
	for (int i = 0; i < 3; i++)
		if (fork() == 0) {
			setsid();
			if (fork() == 0)
				sleeps_for_ever(NULL, NULL);
			_exit(0);
		}
	return 0;
}

static int killed_with_grandchildren(void *arg)
{
	(void)arg;
	pid_t host = fork();
	if (host == 0) {
		NEED(0, tine_map(open_family(2), forks_sessions, NULL, 5, 0, NULL, .chunk = 1));
		raise(SIGKILL);
	}
	kit_expect(waitpid(host, NULL, 0) == host);
	return 0; /* the runner looks for them */
}

/* ---- what the host notices ---- */

static volatile sig_atomic_t child_signals;

static void counts_children(int signal)
{
	(void)signal;
	child_signals++;
}

static void handles(int signal)
{
	(void)signal;
}

static void use_a_pool(void)
{
	int in[3] = {SIGSEGV, SIGKILL, 0}, codes[3];
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .tasks_per_worker = 3));

	NEED(TINE_EITEMS,
	     tine_map(pool, dies, in, 3, sizeof(*in), NULL, .statuses = codes, .chunk = 1));
	works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
}

/* No SIGCHLD, nothing for wait(), the same handlers and mask. */
static int sees_no_children(void *arg)
{
	struct sigaction before[64], after, child = {.sa_handler = counts_children};
	sigset_t mask_before, mask_after;
	int status;

	(void)arg;
	sigaction(SIGCHLD, &child, NULL);
	signal(SIGUSR1, handles);
	sigemptyset(&mask_before);
	sigaddset(&mask_before, SIGUSR2);
	sigprocmask(SIG_SETMASK, &mask_before, NULL);
	memset(before, 0, sizeof(before));
	for (int s = 1; s < 64; s++)
		sigaction(s, NULL, &before[s]);
	for (int i = 0; i < 3; i++) {
		use_a_pool();
		errno = 0;
		kit_expect(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD);
	}
	kit_expect(child_signals == 0);
	sigprocmask(SIG_SETMASK, NULL, &mask_after);
	for (int s = 1; s < 64; s++) {
		memset(&after, 0, sizeof(after));
		sigaction(s, NULL, &after);
		kit_expect(after.sa_handler == before[s].sa_handler &&
			   after.sa_flags == before[s].sa_flags);
		kit_expect(sigismember(&mask_before, s) == sigismember(&mask_after, s));
	}
	return 0;
}

/* The host's own children are its own to wait for. */
static int keeps_its_children(void *arg)
{
	int status;

	(void)arg;
	for (int i = 0; i < 5; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(40 + i);
		use_a_pool();
		kit_expect(waitpid(-1, &status, 0) == pid && WEXITSTATUS(status) == 40 + i);
	}
	return 0;
}

enum {
	IGNORES_CHILDREN = 1,
	BLOCKS_SIGNALS,
	IGNORES_ALL,
	SUBREAPER,
	NO_STDIN,
	NO_STDIO,
	LOW_PRIORITY
};

static int strange_host(void *number)
{
	sigset_t all;

	switch (NUMBER(number)) {
	case IGNORES_CHILDREN:
		signal(SIGCHLD, SIG_IGN);
		break;
	case BLOCKS_SIGNALS:
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, NULL);
		break;
	case IGNORES_ALL:
		for (int s = 1; s < 64; s++)
			signal(s, SIG_IGN);
		break;
	case SUBREAPER:
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		break;
	case NO_STDIN:
		close(STDIN_FILENO);
		break;
	case NO_STDIO:
		close(STDIN_FILENO);
		close(STDOUT_FILENO);
		break;
	default:
		break;
	}
	for (int i = 0; i < 3; i++)
		use_a_pool();
	kit_expect(kit_children() == 0);
	return 0;
}

static int prints(const void *arg, void *result)
{
	(void)arg;
	(void)result;
	for (int i = 0; i < 1000; i++)
		printf("something that must not get into the heap\n");
	fflush(stdout);
	return write(STDERR_FILENO, "oops", 0) == 0 || errno == EBADF ? 0 : 1;
}

/* Descriptors 0 to 2 are free: what the library opens must not become the workers' standard streams. */
static int without_standard_streams(void *arg)
{
	(void)arg;
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	char *block = tine_shared_alloc(4 << 20, .zero = true);
	tine_pool *pool = tine_pool_open(.workers = 2);
	if (!block || !pool)
		return 1;
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return 10 + fd; /* it is one of the library's */
	if (tine_map(pool, prints, NULL, 4, 0, NULL, .chunk = 1) != 0)
		return 2;
	for (int i = 0; i < 4 << 20; i++)
		if (block[i] != 0)
			return 3;
	works(pool);
	return tine_pool_close(pool, TINE_FOREVER) == 0 ? 0 : 4;
}

/* A subreaper's pools are its children for a while: Tine waits for them by pid, the host's own stay its own. */
static int subreaper_waits_for_its_own(void *arg)
{
	int status;

	(void)arg;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t pid = fork();
	if (pid == 0)
		_exit(7);
	for (int i = 0; i < 3; i++)
		use_a_pool();
	kit_expect(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
	errno = 0;
	kit_expect(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD);
	return 0;
}

/* ---- PID 1 ---- */

static int as_first_process(void)
{
	if (getpid() != 1)
		return 5;
	for (int i = 0; i < 3; i++)
		use_a_pool();
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .timeout = 0.1));
	tine_future *f = NEED_NEW(tine_submit(pool, sleeps_for_ever, NULL, 0, .retries = -1));
	NEED(TINE_EDEADLINE, tine_future_get(f, NULL, 10));
	tine_future_free(f);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : 6;
}

/* `number`: with a /proc of its own, or (as containers may be) with that of the outside. */
static int first_process(void *number)
{
	int status;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) {
		fprintf(stderr, "not permitted here: %s\n", strerror(errno));
		return 0;
	}
	pid_t pid = fork();
	if (pid == 0) {
		if (NUMBER(number) && (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
				       mount("proc", "/proc", "proc", 0, NULL) != 0))
			_exit(4);
		exit(as_first_process());
	}
	kit_expect(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 4) {
		fprintf(stderr, "/proc cannot be mounted here (the root of a chroot is no mount)\n");
		return 0;
	}
	fprintf(stderr, "%s", status ? "the first process failed\n" : "");
	kit_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return 0;
}

#define ENDS(way, busy)                                                        \
	{                                                                      \
		"ends " #way ", " #busy, scenario_run, NULL, NULL, &(scenario) \
		{                                                              \
			ends, (way) + WAYS *(busy)                             \
		}                                                              \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO(forks),
		SCENARIO(forked_child_outlives_the_host),
		ENDS(BY_RETURN, IDLE),
		ENDS(BY_EXIT, WITH_FUTURES),
		ENDS(BY_UNDERSCORE_EXIT, IDLE),
		ENDS(BY_UNDERSCORE_EXIT, WITH_FUTURES),
		ENDS(BY_SEGV, WITH_FUTURES),
		ENDS(BY_KILL, IDLE),
		ENDS(BY_KILL, IN_MAP),
		ENDS(BY_KILL, WITH_FUTURES),
		ENDS(BY_TERM, IN_MAP),
		ENDS(BY_EXEC, IDLE),
		ENDS(BY_EXEC, WITH_FUTURES),
		SCENARIO(killed_with_a_stopped_worker),
		SCENARIO(killed_with_grandchildren),
		SCENARIO(sees_no_children),
		SCENARIO(keeps_its_children),
		SCENARIO_WITH(strange_host, IGNORES_CHILDREN),
		SCENARIO_WITH(strange_host, BLOCKS_SIGNALS),
		SCENARIO_WITH(strange_host, IGNORES_ALL),
		SCENARIO_WITH(strange_host, SUBREAPER),
		SCENARIO_WITH(strange_host, NO_STDIN),
		SCENARIO_WITH(strange_host, NO_STDIO),
		SCENARIO(without_standard_streams),
		SCENARIO(subreaper_waits_for_its_own),
		SCENARIO_WITH(first_process, 0),
		SCENARIO_WITH(first_process, 1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
