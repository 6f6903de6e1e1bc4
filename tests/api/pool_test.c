/* SPDX-License-Identifier: MIT */
/* Opening, closing and looking at pools. */
#include "scenario.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct board { /* shared: what workers tell */
	_Atomic int inits, exits, begun;
	_Atomic bool go;
	int secret;
} board;

static board *new_board(void)
{
	return NEED_NEW(tine_shared_alloc(sizeof(board), .zero = true));
}

static int add_one(const void *arg, void *result)
{
	*(int *)result = *(const int *)arg + 1;
	return 0;
}

/* ---- open and close ---- */

static int a_hundred_times(void *kind)
{
	int descriptors = 0, in = 1, out = 0;
	size_t in_use = 0;

	for (int i = 0; i < 100; i++) {
		tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .kind = KIND(kind)));

		if (i % 3 == 0)
			NEED(0, tine_map(pool, add_one, &in, 1, sizeof(in), &out,
					 .result_size = sizeof(out)));
		NEED(0, i % 2 ? tine_pool_terminate(pool) : tine_pool_close(pool, TINE_FOREVER));
		if (i == 0) {
			descriptors = kit_descriptors();
			in_use = heap_in_use();
		}
	}
	kit_expect(kit_descriptors() == descriptors && kit_children() == 0);
	kit_expect(heap_in_use() == in_use);
	return 0;
}

static int several_at_once(void *kind)
{
	enum { POOLS = 8 };
	tine_pool *pools[POOLS];
	int in = 1, out = 0;

	for (int i = 0; i < POOLS; i++)
		pools[i] = NEED_NEW(tine_pool_open(.workers = 1 + i % 2, .kind = KIND(kind)));
	for (int i = 0; i < POOLS; i++) { /* in another order */
		int k = i * 3 % POOLS;

		NEED(0, tine_map(pools[k], add_one, &in, 1, sizeof(in), &out,
				 .result_size = sizeof(out)));
		kit_expect(out == 2);
		NEED(0, tine_pool_close(pools[k], TINE_FOREVER));
	}
	return 0;
}

static int opens_fifty(void *kind)
{
	for (int i = 0; i < 50; i++) {
		int in = i, out = 0;
		tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .kind = KIND(kind)));

		NEED(0,
		     tine_map(pool, add_one, &in, 1, sizeof(in), &out, .result_size = sizeof(out)));
		kit_expect(out == i + 1);
		NEED(0, tine_pool_close(pool, TINE_FOREVER));
	}
	return 0;
}

static void *opens_fifty_thread(void *kind)
{
	opens_fifty(kind);
	return NULL;
}

static int from_two_threads(void *kind)
{
	pthread_t other;

	pthread_create(&other, NULL, opens_fifty_thread, kind);
	opens_fifty(kind);
	pthread_join(other, NULL);
	return 0;
}

static int thousand_workers(void *arg)
{
	enum { WORKERS = 1000, N = 5000 };
	int *in = calloc(N, sizeof(*in)), *out = calloc(N, sizeof(*out));
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = WORKERS));

	(void)arg;
	kit_expect(tine_pool_workers(pool) == WORKERS);
	NEED(0, tine_map(pool, add_one, in, N, sizeof(*in), out, .result_size = sizeof(*out),
			 .chunk = 1));
	for (int i = 0; i < N; i++)
		kit_expect(out[i] == 1);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- init, exit, context ---- */

static int counts_init(void *context)
{
	board *b = context;

	atomic_fetch_add(&b->inits, 1);
	b->secret = 4711;
	return 0;
}

static void counts_exit(void *context)
{
	atomic_fetch_add(&((board *)context)->exits, 1);
}

static int reads_secret(const void *arg, void *result)
{
	const board *b = tine_task_context();

	(void)arg;
	*(int *)result = b->secret;
	return 0;
}

static int init_and_exit(void *kind)
{
	int expected = KIND(kind) == TINE_SERIAL ? 1 : 3, out[10];

	for (int terminate = 0; terminate < 2; terminate++) {
		board *b = new_board();
		tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 3, .kind = KIND(kind),
							  .init = counts_init, .exit = counts_exit,
							  .context = b));

		kit_expect(atomic_load(&b->inits) == expected && atomic_load(&b->exits) == 0);
		NEED(0,
		     tine_map(pool, reads_secret, NULL, 10, 0, out, .result_size = sizeof(*out)));
		kit_expect(out[0] == 4711 && out[9] == 4711);
		NEED(0,
		     terminate ? tine_pool_terminate(pool) : tine_pool_close(pool, TINE_FOREVER));
		kit_expect(atomic_load(&b->inits) == expected);
		kit_expect(atomic_load(&b->exits) == (terminate ? 0 : expected));
		tine_shared_free(b);
	}
	return 0;
}

static int dies(const void *arg, void *result)
{
	(void)arg;
	(void)result;
	raise(SIGKILL);
	return 0;
}

/* A worker that takes the place of a dead one gets its init too. */
static int init_of_replacements(void *arg)
{
	board *b = new_board();
	int out;
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .init = counts_init,
						  .exit = counts_exit, .context = b));

	(void)arg;
	NEED(TINE_EITEMS, tine_map(pool, dies, NULL, 5, 0, NULL, .chunk = 1));
	NEED(0, tine_map(pool, reads_secret, NULL, 1, 0, &out, .result_size = sizeof(out)));
	for (double end = now() + 5; atomic_load(&b->inits) < 7 && now() < end;)
		nap(0.001);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	kit_expect(atomic_load(&b->inits) == 7 && atomic_load(&b->exits) == 2);
	return 0;
}

static int refuses(void *context)
{
	int how = *(int *)context;

	if (how < 0)
		return tine_task_fail(-how, "no licence for %d workers", 3);
	return how;
}

static int refused_by_init(void *kind)
{
	static const int hows[] = {1, 7, -9};
	int *how = NEED_NEW(tine_shared_alloc(sizeof(*how)));
	char number[16];

	NEED(0, tine_pool_close(NEED_NEW(tine_pool_open(.workers = 1, .kind = KIND(kind))),
				TINE_FOREVER));
	int descriptors = kit_descriptors();
	size_t in_use = heap_in_use();
	for (size_t i = 0; i < sizeof(hows) / sizeof(*hows); i++) {
		*how = hows[i];
		snprintf(number, sizeof(number), "%d", abs(hows[i]));
		NEED_NULL(TINE_EINIT, tine_pool_open(.workers = 2, .kind = KIND(kind),
						     .init = refuses, .context = how));
		kit_expect(strstr(tine_last_error(), number));
		kit_expect(hows[i] > 0 || strstr(tine_last_error(), "no licence for 3 workers"));
	}
	kit_expect(kit_descriptors() == descriptors && heap_in_use() == in_use);
	return 0;
}

/* ---- closing while there is work ---- */

static int waits_for_go(const void *arg, void *result)
{
	board *b = tine_task_context();

	atomic_fetch_add(&b->begun, 1);
	while (!atomic_load(&b->go))
		nap(0.001);
	return add_one(arg, result);
}

static int close_finishes_the_work(void *kind)
{
	enum { N = 50 };
	board *b = new_board();
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .context = b, .kind = KIND(kind)));
	tine_future *list[N];
	int out;

	for (int i = 0; i < N; i++)
		list[i] = NEED_NEW(
			tine_submit(pool, waits_for_go, &i, sizeof(i), .result_size = sizeof(i)));
	double begin = now();
	NEED(TINE_ETIMEDOUT, tine_pool_close(pool, 0));
	NEED(TINE_ETIMEDOUT, tine_pool_close(pool, 0.1));
	kit_expect(now() - begin >= 0.1 && now() - begin < 2);
	kit_expect(tine_pool_workers(pool) == 2 &&
		   pool_figures(pool).workers == 2); /* the handle is valid */
	NEED(TINE_EPENDING, tine_future_status(list[N - 1]));
	atomic_store(&b->go, true);
	NEED(0, tine_pool_close(pool, 10));
	for (int i = 0; i < N; i++) {
		NEED(0, tine_future_get(list[i], &out, 0));
		kit_expect(out == i + 1);
		tine_future_free(list[i]);
	}
	return 0;
}

static int open_after_a_close_that_ran_out(void *kind)
{
	board *b = new_board();
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .context = b, .kind = KIND(kind)));
	int in = 1, out = 0;
	tine_future *f = NEED_NEW(
		tine_submit(pool, waits_for_go, &in, sizeof(in), .result_size = sizeof(in)));

	NEED(TINE_ETIMEDOUT, tine_pool_close(pool, 0.01));
	atomic_store(&b->go, true);
	NEED(0, tine_future_get(f, &out, TINE_FOREVER));
	tine_future_free(f);
	NEED(0, tine_map(pool, add_one, &in, 1, sizeof(in), &out,
			 .result_size = sizeof(out))); /* it stays open */
	kit_expect(out == 2);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static void *terminates_soon(void *pool)
{
	nap(0.05);
	NEED(0, tine_pool_terminate(pool));
	return NULL;
}

static int terminate_under_a_map(void *arg)
{
	enum { N = 10 };
	board *b = new_board();
	int in[N] = {0}, out[N], codes[N];
	pthread_t thread;
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .context = b));

	(void)arg;
	pthread_create(&thread, NULL, terminates_soon, pool);
	NEED(TINE_ECANCELLED, tine_map(pool, waits_for_go, in, N, sizeof(*in), out,
				       .result_size = sizeof(*out), .statuses = codes, .chunk = 1));
	pthread_join(thread, NULL);
	for (int i = 0; i < N; i++)
		kit_expect(codes[i] == TINE_ECANCELLED && out[i] == 0);
	return 0;
}

/* ---- figures ---- */

static int mixed(const void *arg, void *result)
{
	int i = *(const int *)arg;

	nap(0.002);
	if (i == 3)
		raise(SIGKILL);
	if (i == 4)
		exit(1);
	while (i == 5)
		pause();
	return i == 6 ? 9 : add_one(arg, result);
}

static int figures(void *arg)
{
	enum { N = 20 };
	int in[N], out[N];
	double begin = now();
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .timeout = 0.1));
	tine_pool_figures f = pool_figures(pool);

	(void)arg;
	kit_expect(f.items == 0 && f.failed == 0 && f.crashed == 0 && f.workers == 2 &&
		   f.busy_seconds == 0);
	for (int i = 0; i < N; i++)
		in[i] = i;
	NEED(TINE_EITEMS, tine_map(pool, mixed, in, N, sizeof(*in), out,
				   .result_size = sizeof(*out), .retries = 1, .chunk = 1));
	nap(0.05);
	f = pool_figures(pool);
	double took = now() - begin;
	kit_expect(f.items == N && f.failed == 4);
	kit_expect(f.crashed == 4 && f.overtime == 2 && f.retried == 3);
	kit_expect(f.busy_seconds > 0.03 && f.busy_seconds < 2 * took &&
		   f.waiting_seconds < 2.1 * took);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int figures_in_the_host(void *kind)
{
	int in[4] = {6, 1, 2, 6}, out[4];
	tine_pool *pool = NEED_NEW(tine_pool_open(.kind = KIND(kind), .retry_on = TINE_RETRY_CODE));

	NEED(TINE_EITEMS, tine_map(pool, mixed, in, 4, sizeof(*in), out,
				   .result_size = sizeof(*out), .retries = 2));
	tine_pool_figures f = pool_figures(pool);
	kit_expect(f.items == 4 && f.failed == 2 && f.crashed == 0 && f.retried == 4);
	kit_expect(f.busy_seconds > 0.01);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- what workers are like ---- */

typedef struct looks {
	char comm[32];
	pid_t pid, group;
	int cpus, threads, oom_score, omp_threads;
	bool stdin_is_empty, ignores_interrupt, has_open, has_cloexec;
} looks;

static int marked[2]; /* descriptors: one that an exec would keep, one that it would close */

static int read_number(const char *path)
{
	char text[32] = "";
	FILE *file = fopen(path, "re");

	if (!file || !fgets(text, sizeof(text), file))
		return -9999;
	fclose(file);
	return atoi(text);
}

static int look(const void *arg, void *result)
{
	looks *l = result;
	cpu_set_t set;
	struct sigaction action;
	char byte;

	(void)arg;
	FILE *comm = fopen("/proc/self/comm", "re");
	if (!comm || !fgets(l->comm, sizeof(l->comm), comm))
		return 1;
	fclose(comm);
	l->pid = getpid();
	l->group = getpgrp();
	sched_getaffinity(0, sizeof(set), &set);
	l->cpus = CPU_COUNT(&set);
	l->threads = tine_num_threads();
	l->omp_threads = getenv("OMP_NUM_THREADS") ? atoi(getenv("OMP_NUM_THREADS")) : 0;
	l->oom_score = read_number("/proc/self/oom_score_adj");
	l->stdin_is_empty = read(STDIN_FILENO, &byte, 1) == 0;
	sigaction(SIGINT, NULL, &action);
	l->ignores_interrupt = action.sa_handler == SIG_IGN;
	l->has_open = fcntl(marked[0], F_GETFD) >= 0;
	l->has_cloexec = fcntl(marked[1], F_GETFD) >= 0;
	return 0;
}

static int workers_surroundings(void *arg)
{
	looks l[8];

	(void)arg;
	kit_expect(pipe(marked) == 0 && fcntl(marked[1], F_SETFD, FD_CLOEXEC) == 0);
	kit_expect(dup2(marked[0], STDIN_FILENO) == STDIN_FILENO); /* a stdin that would block */
	int here = read_number("/proc/self/oom_score_adj");
	tine_pool *pool =
		NEED_NEW(tine_pool_open(.workers = 2, .name = "mill", .threads_per_worker = 3));
	NEED(0, tine_map(pool, look, NULL, 8, 0, l, .result_size = sizeof(*l), .chunk = 1));
	for (int i = 0; i < 8; i++) {
		kit_expect(l[i].pid != getpid() && l[i].group == l[i].pid);
		kit_expect(l[i].threads == 3 && l[i].omp_threads == 3);
		kit_expect(l[i].oom_score > here || here == 1000);
		kit_expect(l[i].stdin_is_empty && l[i].ignores_interrupt);
		kit_expect(l[i].has_open && !l[i].has_cloexec);
	}
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int name_in_process_lists(void *arg)
{
	looks l;
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .name = "mill"));

	(void)arg;
	kit_expect(pipe(marked) == 0);
	NEED(0, tine_map(pool, look, NULL, 1, 0, &l, .result_size = sizeof(l), .chunk = 1));
	kit_expect(strstr(l.comm, "mill"));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int pinned(void *arg)
{
	static const tine_pin pins[] = {TINE_PIN_SPREAD, TINE_PIN_COMPACT};
	looks l[4];

	(void)arg;
	kit_expect(pipe(marked) == 0);
	for (int i = 0; i < 2; i++) {
		tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 5, .pin = pins[i]));

		NEED(0, tine_map(pool, look, NULL, 4, 0, l, .result_size = sizeof(*l), .chunk = 1));
		for (int k = 0; k < 4; k++)
			kit_expect(l[k].cpus == 1);
		NEED(0, tine_pool_close(pool, TINE_FOREVER));
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO_EACH(a_hundred_times),
		SCENARIO_EACH(several_at_once),
		SCENARIO_EACH(from_two_threads),
		SCENARIO(thousand_workers),
		SCENARIO_EACH(init_and_exit),
		SCENARIO(init_of_replacements),
		SCENARIO_EACH(refused_by_init),
		SCENARIO_WORKERS(close_finishes_the_work),
		SCENARIO_WORKERS(open_after_a_close_that_ran_out),
		SCENARIO(terminate_under_a_map),
		SCENARIO(figures),
		SCENARIO_SERIAL(figures_in_the_host),
		SCENARIO_THREADS(figures_in_the_host),
		SCENARIO(workers_surroundings),
		SCENARIO(name_in_process_lists),
		SCENARIO(pinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
