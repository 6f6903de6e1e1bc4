/* SPDX-License-Identifier: MIT */
/* tine_process_*: a function in a process of its own. */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>

typedef struct order {
	int code, signal;
	double nap;
	char text[100];
} order;

static int *volatile nowhere;
static int global = 5;

static int obeys(void *arg)
{
	const order *o = arg;

	if (!o)
		return 77;
	nap(o->nap);
	if (o->signal)
		raise(o->signal);
	return o->code;
}

static tine_process *start(order o)
{
	return NEED_NEW(tine_process_start(obeys, &o, sizeof(o), .daemon = true));
}

static tine_process_state state_of(tine_process *process)
{
	tine_process_state state;

	memset(&state, 0xa5, sizeof(state));
	NEED(0, tine_process_status(process, &state));
	return state;
}

/* ---- how it ends ---- */

static int exits_inside(void *arg)
{
	exit(*(int *)arg);
}

static int aborts_inside(void *arg)
{
	*nowhere = *(int *)arg;
	return 0;
}

static int execs_inside(void *arg)
{
	(void)arg;
	execl("/bin/sh", "sh", "-c", "exit 9", (char *)NULL);
	return 1;
}

static int sees_null(void *arg)
{
	return arg ? 1 : 0;
}

static void expect_end(tine_process *process, int code, int signal)
{
	NEED(0, tine_process_join(process, 10));
	tine_process_state s = state_of(process);
	kit_expect(!s.running && s.exited == (signal == 0) && s.signalled == (signal != 0));
	kit_expect(s.code == code && s.signal == signal);
	NEED(0, tine_process_join(process, 0)); /* may be repeated */
	NEED(0, tine_process_kill(process));
	NEED(0, tine_process_terminate(process));
	kit_expect(state_of(process).code == code);
	tine_process_free(process);
}

static int every_end(void *arg)
{
	int code = 300;

	(void)arg;
	expect_end(start((order){.code = 0}), 0, 0);
	expect_end(start((order){.code = 17}), 17, 0);
	expect_end(start((order){.code = 256 + 9}), 9, 0); /* modulo 256 */
	expect_end(start((order){.code = -1}), 255, 0);
	expect_end(start((order){.signal = SIGKILL}), 0, SIGKILL);
	expect_end(start((order){.signal = SIGTERM}), 0, SIGTERM);
	expect_end(NEED_NEW(tine_process_start(exits_inside, &code, sizeof(code))), 300 % 256, 0);
	expect_end(NEED_NEW(tine_process_start(aborts_inside, &code, sizeof(code))), 0, SIGSEGV);
	expect_end(NEED_NEW(tine_process_start(execs_inside, NULL, 0)), 9, 0);
	expect_end(NEED_NEW(tine_process_start(sees_null, NULL, .name = "null")), 0, 0);
	expect_end(NEED_NEW(tine_process_start(sees_null, &code, .size = 0)), 0, 0);
	return 0;
}

/* ---- what it sees ---- */

typedef struct view { /* shared */
	pid_t pid, group;
	int global, private_value, open, closed;
	char name[32], text[100];
} view;

static view *the_view;
static int marked[2];

static int looks(void *arg)
{
	const order *o = arg;

	the_view->pid = getpid();
	the_view->group = getpgrp();
	the_view->global = global;
	the_view->open = fcntl(marked[0], F_GETFD) >= 0;
	the_view->closed = fcntl(marked[1], F_GETFD) < 0;
	memcpy(the_view->text, o->text, sizeof(the_view->text));
	FILE *comm = fopen("/proc/self/comm", "re");
	if (comm && fgets(the_view->name, sizeof(the_view->name), comm))
		fclose(comm);
	global = 99; /* its own */
	return 0;
}

static int surroundings(void *arg)
{
	order o = {.text = "an argument from the stack"};

	(void)arg;
	kit_expect(pipe(marked) == 0 && fcntl(marked[1], F_SETFD, FD_CLOEXEC) == 0);
	the_view = NEED_NEW(tine_shared_alloc(sizeof(*the_view), .zero = true));
	global = 6;
	tine_process *process = NEED_NEW(
		tine_process_start(looks, &o, sizeof(o), .name = "a name that is too long"));
	memset(&o, 0, sizeof(o)); /* it was copied */
	int pid = tine_process_pid(process);
	expect_end(process, 0, 0);
	kit_expect(the_view->pid == pid && pid != getpid() && the_view->global == 6 && global == 6);
	kit_expect(strcmp(the_view->text, "an argument from the stack") == 0);
	kit_expect(strncmp(the_view->name, "a name that is ", 15) == 0);
	kit_expect(the_view->group == getpgrp() && the_view->open && the_view->closed);
	return 0;
}

static _Atomic int *cell; /* shared */

static int counts(void *arg)
{
	for (int i = 0; i < *(int *)arg; i++)
		atomic_fetch_add(cell, 1);
	return 0;
}

static int shares_the_heap(void *arg)
{
	enum { PROCESSES = 5 };
	tine_process *list[PROCESSES];
	int n = 10000;

	(void)arg;
	cell = NEED_NEW(tine_shared_alloc(sizeof(*cell), .zero = true));
	for (int i = 0; i < PROCESSES; i++)
		list[i] = NEED_NEW(tine_process_start(counts, &n, sizeof(n), .daemon = i % 2));
	for (int i = 0; i < PROCESSES; i++)
		expect_end(list[i], 0, 0);
	kit_expect(atomic_load(cell) == PROCESSES * n);
	return 0;
}

/* ---- waiting and signalling ---- */

static int waiting(void *arg)
{
	tine_process *process = start((order){.nap = 0.2, .code = 3});
	struct pollfd p = {.fd = tine_process_fd(process), .events = POLLIN};
	double begin = now();

	(void)arg;
	kit_expect(p.fd >= 0 && poll(&p, 1, 0) == 0 && state_of(process).running);
	NEED(TINE_ETIMEDOUT, tine_process_join(process, 0));
	NEED(TINE_ETIMEDOUT, tine_process_join(process, 0.05));
	kit_expect(now() - begin >= 0.05 && now() - begin < 0.18);
	kit_expect(poll(&p, 1, 5000) == 1 && now() - begin >= 0.19);
	kit_expect(!state_of(process).running && state_of(process).code == 3); /* there at once */
	kit_expect(poll(&p, 1, 0) == 1);
	expect_end(process, 3, 0);
	return 0;
}

static void *joins(void *process)
{
	NEED(0, tine_process_join(process, 10));
	return NULL;
}

static int several_wait(void *arg)
{
	pthread_t threads[3];
	tine_process *process = start((order){.nap = 0.05});

	(void)arg;
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, joins, process);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	expect_end(process, 0, 0);
	return 0;
}

static int signalling(void *arg)
{
	tine_process *process = start((order){.nap = 100});

	(void)arg;
	NEED(0, tine_process_terminate(process));
	expect_end(process, 0, SIGTERM);
	process = start((order){.signal = SIGSTOP, .nap = 0});
	nap(0.02);
	NEED(0, tine_process_terminate(process));
	NEED(TINE_ETIMEDOUT, tine_process_join(process, 0.05)); /* stopped: the signal waits */
	NEED(0, tine_process_kill(process));
	expect_end(process, 0, SIGKILL);
	return 0;
}

static int free_while_running(void *arg)
{
	(void)arg;
	cell = NEED_NEW(tine_shared_alloc(sizeof(*cell), .zero = true));
	for (int i = 0; i < 20; i++) {
		int n = 1000;

		tine_process_free(
			NEED_NEW(tine_process_start(counts, &n, sizeof(n), .daemon = i % 2)));
	}
	for (double end = now() + 5; atomic_load(cell) < 20000 && now() < end;)
		nap(0.001);
	kit_expect(atomic_load(cell) == 20000 && kit_children() == 0);
	return 0;
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int a_thousand(void *arg)
{
	int descriptors = 0;
	size_t in_use = 0;

	(void)arg;
	for (int i = 0; i < 1000; i++) {
		tine_process *process =
			NEED_NEW(tine_process_start(nothing, &i, sizeof(i), .daemon = true));

		NEED(0, tine_process_join(process, 10));
		tine_process_free(process);
		if (i == 10) {
			descriptors = kit_descriptors();
			in_use = heap_in_use();
		}
	}
	kit_expect(kit_descriptors() == descriptors && heap_settles(in_use) && kit_children() == 0);
	return 0;
}

/* ---- the host ends or forks ---- */

static int tells_and_naps(void *arg)
{
	the_family->worker[0] = know(getpid());
	the_family->supervisor = know(getppid());
	atomic_fetch_add(&the_family->workers, 1);
	nap(*(double *)arg);
	atomic_fetch_add(&the_family->workers, 1);
	return 0;
}

enum { DAEMON = 1, FREED = 2, KILLED = 4, EXEC = 8 };

/* A daemon ends with its host, however the host ends; another goes on. */
static int host_ends(void *number)
{
	int how = NUMBER(number), status;
	double nap_time = how & DAEMON ? 100 : 0.3;

	the_family = new_family();
	pid_t host = fork();
	if (host == 0) {
		tine_process *process = NEED_NEW(tine_process_start(
			tells_and_naps, &nap_time, sizeof(nap_time), .daemon = how & DAEMON));

		if (how & FREED)
			tine_process_free(process);
		while (atomic_load(&the_family->workers) == 0)
			nap(0.001);
		if (how & EXEC)
			execl("/bin/sleep", "sleep", "1", (char *)NULL);
		if (how & KILLED)
			raise(SIGKILL);
		_exit(0);
	}
	if (how & EXEC)
		nap(0.3);
	else
		kit_expect(waitpid(host, &status, 0) == host);
	if (how & DAEMON && !(how & EXEC && how & FREED))
		kit_expect(all_gone(2) && atomic_load(&the_family->workers) == 1);
	for (double end = now() + 5;
	     !(how & DAEMON) && atomic_load(&the_family->workers) < 2 && now() < end;)
		nap(0.001);
	kit_expect(how & DAEMON || (atomic_load(&the_family->workers) == 2 && all_gone(2)));
	if (how & EXEC)
		kit_expect(waitpid(host, &status, 0) == host);
	return 0;
}

static int strangers(void *arg)
{
	int status;
	tine_process *process = start((order){.nap = 0.05, .code = 4});
	pid_t pid = fork();

	(void)arg;
	if (pid == 0) {
		tine_process_state s;

		NEED(TINE_ESTATE, tine_process_join(process, 0));
		NEED(TINE_ESTATE, tine_process_status(process, &s));
		NEED(TINE_ESTATE, tine_process_kill(process));
		NEED(TINE_ESTATE, tine_process_terminate(process));
		kit_expect(tine_process_pid(process) == -1 && tine_last_code() == TINE_ESTATE);
		kit_expect(tine_process_fd(process) == -1);
		tine_process_free(process);                  /* ignored */
		expect_end(start((order){.code = 8}), 8, 0); /* its own */
		_exit(0);
	}
	kit_expect(waitpid(pid, &status, 0) == pid && status == 0);
	expect_end(process, 4, 0);
	return 0;
}

static int lost_monitor(void *arg)
{
	double nap_time = 100;

	(void)arg;
	the_family = new_family();
	tine_process *process =
		NEED_NEW(tine_process_start(tells_and_naps, &nap_time, sizeof(nap_time)));
	while (atomic_load(&the_family->workers) == 0)
		nap(0.001);
	signal_known(the_family->supervisor, SIGKILL);
	double begin = now();
	NEED(TINE_ELOST, tine_process_join(process, TINE_FOREVER));
	kit_expect(now() - begin < 1 && all_gone(2));
	struct pollfd p = {.fd = tine_process_fd(process), .events = POLLIN};
	kit_expect(poll(&p, 1, 1000) == 1);
	tine_process_free(process);
	expect_end(start((order){.code = 8}), 8, 0);
	return 0;
}

/* In a process of tine_process_start everything works: it is a host of its own. */
static int uses_a_pool(void *arg)
{
	(void)arg;
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2));
	works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	expect_end(start((order){.code = 3}), 3, 0);
	return 21;
}

static int pools_inside(void *arg)
{
	(void)arg;
	expect_end(NEED_NEW(tine_process_start(uses_a_pool, NULL, .daemon = true)), 21, 0);
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2)); /* and beside a pool */
	expect_end(NEED_NEW(tine_process_start(uses_a_pool, NULL, .daemon = false)), 21, 0);
	works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- what the host notices, and wrong calls ---- */

static volatile sig_atomic_t child_signals;

static void counts_children(int signal)
{
	(void)signal;
	child_signals++;
}

static int unseen(void *subreaper)
{
	signal(SIGCHLD, counts_children);
	if (NUMBER(subreaper))
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (int i = 0; i < 5; i++)
		expect_end(start((order){.code = i, .signal = i == 3 ? SIGKILL : 0}),
			   i == 3 ? 0 : i, i == 3 ? SIGKILL : 0);
	errno = 0;
	kit_expect(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	kit_expect(NUMBER(subreaper) || child_signals == 0);
	return 0;
}

static int bad_input(void *arg)
{
	tine_process_state s;
	tine_process_start_args none = {0};
	int one = 1;

	(void)arg;
	NEED_NULL(TINE_EINVAL, tine_process_start_with(NULL));
	NEED_NULL(TINE_EINVAL, tine_process_start_with(&none));
	NEED_NULL(TINE_EINVAL, tine_process_start(NULL, &one, sizeof(one)));
	NEED_NULL(TINE_EINVAL, tine_process_start(nothing, NULL, sizeof(one)));
	(void)NEED(TINE_ENOMEM, tine_process_start(nothing, &one, SIZE_MAX) ? 0
				: tine_last_code() == TINE_EINVAL           ? TINE_ENOMEM
									    : tine_last_code());
	NEED(TINE_EINVAL, tine_process_join(NULL, 0));
	NEED(TINE_EINVAL, tine_process_status(NULL, &s));
	NEED(TINE_EINVAL, tine_process_kill(NULL));
	NEED(TINE_EINVAL, tine_process_terminate(NULL));
	kit_expect(tine_process_pid(NULL) == -1 && tine_last_code() == TINE_EINVAL);
	kit_expect(tine_process_fd(NULL) == -1);
	tine_process_free(NULL);
	tine_process *process = start((order){.code = 2});
	NEED(TINE_EINVAL, tine_process_join(process, NAN));
	NEED(TINE_EINVAL, tine_process_status(process, NULL));
	expect_end(process, 2, 0);
	return 0;
}

/* A large argument is copied whole. */
typedef struct page {
	unsigned char bytes[5 << 20];
} page;

static int sums(void *arg)
{
	const page *p = arg;
	unsigned sum = 0;

	for (size_t i = 0; i < sizeof(*p); i++)
		sum += p->bytes[i];
	return sum == 3u * sizeof(*p) ? 50 : 51;
}

static int large_argument(void *arg)
{
	page *p = malloc(sizeof(*p));

	(void)arg;
	memset(p, 3, sizeof(*p));
	tine_process *process = NEED_NEW(tine_process_start(sums, p, sizeof(*p)));
	memset(p, 0, sizeof(*p));
	expect_end(process, 50, 0);
	free(p);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO(every_end),
		SCENARIO(surroundings),
		SCENARIO(shares_the_heap),
		SCENARIO(waiting),
		SCENARIO(several_wait),
		SCENARIO(signalling),
		SCENARIO(free_while_running),
		SCENARIO(a_thousand),
		SCENARIO_WITH(host_ends, 0),
		SCENARIO_WITH(host_ends, FREED),
		SCENARIO_WITH(host_ends, KILLED),
		SCENARIO_WITH(host_ends, EXEC),
		SCENARIO_WITH(host_ends, DAEMON),
		SCENARIO_WITH(host_ends, DAEMON | FREED),
		SCENARIO_WITH(host_ends, DAEMON | KILLED),
		SCENARIO_WITH(host_ends, DAEMON | KILLED | FREED),
		SCENARIO_WITH(host_ends, DAEMON | EXEC),
		SCENARIO(strangers),
		SCENARIO(lost_monitor),
		SCENARIO(pools_inside),
		SCENARIO_WITH(unseen, 0),
		SCENARIO_WITH(unseen, 1),
		SCENARIO(bad_input),
		SCENARIO(large_argument),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
