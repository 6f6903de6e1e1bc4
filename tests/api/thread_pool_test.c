/* SPDX-License-Identifier: MIT */
/* What is particular to pools of threads; what they share with the others is in the tests beside. */
#include "scenario.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPEN(...) NEED_NEW(tine_pool_open(.kind = TINE_THREADS, __VA_ARGS__))

static int threads_here(void)
{
	DIR *folder = opendir("/proc/self/task");
	int n = 0;

	kit_expect(folder);
	for (struct dirent *entry; (entry = readdir(folder));)
		n += entry->d_name[0] != '.';
	closedir(folder);
	return n;
}

static int add_one(const void *arg, void *result)
{
	*(int *)result = *(const int *)arg + 1;
	return 0;
}

static void still_works(tine_pool *pool)
{
	int in[20], out[20];

	for (int i = 0; i < 20; i++)
		in[i] = i;
	NEED(0, tine_map(pool, add_one, in, 20, sizeof(*in), out, .result_size = sizeof(*out),
			 .chunk = 1));
	for (int i = 0; i < 20; i++)
		kit_expect(out[i] == i + 1);
}

/* What tasks tell; plain memory of this process. */
static _Atomic int begun, ended, inits, exits;
static _Atomic bool go;

static bool soon(_Atomic int *counter, int n)
{
	for (double end = now() + 10; atomic_load(counter) < n && now() < end;)
		nap(0.0005);
	return atomic_load(counter) >= n;
}

static int waits_for_go(const void *arg, void *result)
{
	(void)arg;
	(void)result;
	atomic_fetch_add(&begun, 1);
	while (!atomic_load(&go))
		nap(0.001);
	atomic_fetch_add(&ended, 1);
	return 0;
}

/* Returns when it is asked to. */
static int listens(const void *arg, void *result)
{
	(void)result;
	atomic_fetch_add(&begun, 1);
	while (!tine_task_cancelled())
		nap(0.001);
	atomic_fetch_add(&ended, 1);
	return arg ? *(const int *)arg : 0;
}

/* ---- the workers ---- */

static int opens_and_closes(void *arg)
{
	int before = threads_here(), descriptors;

	(void)arg;
	tine_pool *pool = OPEN(.workers = 3);
	descriptors = kit_descriptors();
	kit_expect(tine_pool_workers(pool) == 3 && threads_here() == before + 3);
	kit_expect(kit_children() == 0);
	still_works(pool);
	kit_expect(threads_here() == before + 3);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	kit_expect(threads_here() == before);
	pool = OPEN(.workers = 3);
	NEED(0, tine_pool_terminate(pool));
	kit_expect(threads_here() == before && kit_descriptors() == descriptors);
	return 0;
}

static int numbers_of_workers(void *arg)
{
	static const int asked[] = {1, 7, 500};

	(void)arg;
	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
		tine_pool *pool = OPEN(.workers = asked[i]);

		kit_expect(tine_pool_workers(pool) == asked[i]);
		kit_expect(pool_figures(pool).workers == asked[i]);
		still_works(pool);
		NEED(0, tine_pool_close(pool, TINE_FOREVER));
	}
	for (int less = 0; less <= 3; less++) {
		tine_pool *pool = OPEN(.workers = -less);
		int expected = less ? tine_cpu_count() + 1 - less : tine_cpu_count();

		kit_expect(tine_pool_workers(pool) == (expected < 1 ? 1 : expected));
		NEED(0, tine_pool_close(pool, TINE_FOREVER));
	}
	return 0;
}

typedef struct looks {
	char name[32];
	int threads, cpus;
	sigset_t mask;
	pid_t pid;
} looks;

static int look(const void *arg, void *result)
{
	looks *l = result;
	cpu_set_t set;
	FILE *comm = fopen("/proc/thread-self/comm", "re");

	(void)arg;
	if (!comm || !fgets(l->name, sizeof(l->name), comm))
		return 1;
	fclose(comm);
	l->threads = tine_num_threads();
	sched_getaffinity(0, sizeof(set), &set);
	l->cpus = CPU_COUNT(&set);
	pthread_sigmask(SIG_SETMASK, NULL, &l->mask);
	l->pid = getpid();
	tine_threads_pop(); /* there is nothing of the library's to be popped */
	return tine_num_threads() == l->threads ? 0 : 2;
}

static int surroundings(void *arg)
{
	looks l[12];

	(void)arg;
	tine_set_num_threads(9); /* the host's number */
	tine_pool *pool =
		OPEN(.workers = 3, .name = "a-long-name-of-a-mill", .threads_per_worker = 2);
	NEED(0, tine_map(pool, look, NULL, 12, 0, l, .result_size = sizeof(*l), .chunk = 1));
	for (int i = 0; i < 12; i++) {
		kit_expect(strncmp(l[i].name, "a-long-nam-", 11) == 0 && l[i].pid == getpid());
		kit_expect(l[i].threads == 2);
		kit_expect(sigismember(&l[i].mask, SIGTERM) && sigismember(&l[i].mask, SIGUSR1));
		kit_expect(sigismember(&l[i].mask, SIGALRM) && sigismember(&l[i].mask, SIGINT));
		kit_expect(!sigismember(&l[i].mask, SIGSEGV) && !sigismember(&l[i].mask, SIGFPE));
	}
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	kit_expect(tine_num_threads() == 9);
	pool = OPEN(.workers = 1000);
	NEED(0, tine_map(pool, look, NULL, 1, 0, l, .result_size = sizeof(*l)));
	kit_expect(l[0].threads == 1); /* at least one */
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int pinned(void *arg)
{
	static const tine_pin pins[] = {TINE_PIN_SPREAD, TINE_PIN_COMPACT, TINE_PIN_NONE};
	looks l[8];
	cpu_set_t before, after;

	(void)arg;
	sched_getaffinity(0, sizeof(before), &before);
	for (int i = 0; i < 3; i++) {
		tine_pool *pool = OPEN(.workers = 5, .pin = pins[i]);

		NEED(0, tine_map(pool, look, NULL, 8, 0, l, .result_size = sizeof(*l), .chunk = 1));
		for (int k = 0; k < 8; k++)
			kit_expect(l[k].cpus ==
				   (pins[i] == TINE_PIN_NONE ? CPU_COUNT(&before) : 1));
		NEED(0, tine_pool_close(pool, TINE_FOREVER));
	}
	sched_getaffinity(0, sizeof(after), &after);
	kit_expect(CPU_EQUAL(&before, &after));
	return 0;
}

/* The host's handlers run on the host's threads. */
static _Atomic int handled_by;

static void on_signal(int number)
{
	(void)number;
	atomic_store(&handled_by, gettid());
}

static int signals_are_the_hosts(void *arg)
{
	struct sigaction action = {.sa_handler = on_signal};
	tine_pool *pool = OPEN(.workers = 4);
	tine_future *f[4];

	(void)arg;
	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < 4; i++)
		f[i] = NEED_NEW(tine_submit(pool, waits_for_go, NULL, 0));
	kit_expect(soon(&begun, 4));
	for (int i = 0; i < 50; i++) {
		atomic_store(&handled_by, 0);
		kill(getpid(), SIGUSR1);
		for (double end = now() + 2; !atomic_load(&handled_by) && now() < end;)
			nap(0.0001);
		kit_expect(atomic_load(&handled_by) == getpid());
	}
	atomic_store(&go, true);
	for (int i = 0; i < 4; i++) {
		NEED(0, tine_future_get(f[i], NULL, TINE_FOREVER));
		tine_future_free(f[i]);
	}
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- private memory is the tasks' too ---- */

static int total; /* a global of the host */

static int links(const void *arg, void *result)
{
	int *const *p = arg;

	**p += (int)(size_t)tine_task_context();
	*(const void **)result = arg; /* where the argument lies */
	return 0;
}

static int private_memory(void *arg)
{
	enum { N = 1000 };
	int *numbers = calloc(N, sizeof(*numbers)), *in[N];
	const void *out[N];
	static const size_t chunks[] = {0, 1, 13, N, 5 * N};
	tine_pool *pool = OPEN(.workers = 3, .context = (void *)(size_t)2);
	size_t before = heap_in_use();

	(void)arg;
	for (int i = 0; i < N; i++)
		in[i] = &numbers[i];
	for (size_t c = 0; c < sizeof(chunks) / sizeof(*chunks); c++)
		NEED(0, tine_map(pool, links, in, N, sizeof(*in), out, .result_size = sizeof(*out),
				 .chunk = chunks[c]));
	for (int i = 0; i < N; i++)
		kit_expect(numbers[i] == 10 && out[i] == (const void *)&in[i]);
	NEED(0, tine_map(pool, links, in, 1, sizeof(*in), out, .result_size = sizeof(*out),
			 .context = (void *)(size_t)30));
	kit_expect(numbers[0] == 40);
	int *p = &total;
	tine_future *f =
		NEED_NEW(tine_submit(pool, links, &p, sizeof(p), .result_size = sizeof(*out)));
	p = NULL; /* an argument of a future is copied */
	NEED(0, tine_future_get(f, out, TINE_FOREVER));
	kit_expect(total == 2 && out[0] != (const void *)&p);
	tine_future_free(f);
	kit_expect(heap_settles(before));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	free(numbers);
	return 0;
}

/* ---- init, exit, renewal ---- */

static _Thread_local int lives; /* of the worker's thread */

static int counts_init(void *context)
{
	if (atomic_fetch_add(&inits, 1) + 1 == (int)(size_t)context)
		return tine_task_fail(7, "no licence for worker %d", tine_task_worker());
	lives++;
	return 0;
}

static void counts_exit(void *context)
{
	(void)context;
	kit_expect(lives > 0);
	lives--;
	atomic_fetch_add(&exits, 1);
}

static int tells_life(const void *arg, void *result)
{
	(void)arg;
	*(int *)result = lives;
	return 0;
}

static int renewed(void *arg)
{
	enum { N = 60 };
	static const size_t chunks[] = {1, 7, 0, N};
	int out[N];

	(void)arg;
	for (size_t most = 1; most <= 10; most += 3) {
		atomic_store(&inits, 0);
		atomic_store(&exits, 0);
		tine_pool *pool = OPEN(.workers = 2, .tasks_per_worker = most, .init = counts_init,
				       .exit = counts_exit);

		for (size_t c = 0; c < 4; c++) {
			NEED(0, tine_map(pool, tells_life, NULL, N, 0, out,
					 .result_size = sizeof(*out), .chunk = chunks[c]));
			for (int i = 0; i < N; i++)
				kit_expect(out[i] == 1);
		}
		kit_expect(pool_figures(pool).items == 4 * N);
		NEED(0, tine_pool_close(pool, TINE_FOREVER));
		kit_expect(atomic_load(&inits) == atomic_load(&exits));
		kit_expect(atomic_load(&inits) >= (int)(4 * N / most));
		kit_expect(atomic_load(&inits) <= (int)(4 * N / most) + 2);
	}
	return 0;
}

/* One of the first inits fails: the open tells why, and what had begun is undone. */
static int refused(void *arg)
{
	int before = threads_here();
	size_t nothing;

	(void)arg;
	NEED(0, tine_pool_close(OPEN(.workers = 1), TINE_FOREVER));
	nothing = heap_in_use();
	for (size_t which = 1; which <= 4; which++) {
		atomic_store(&inits, 0);
		atomic_store(&exits, 0);
		NEED_NULL(TINE_EINIT,
			  tine_pool_open(.kind = TINE_THREADS, .workers = 4, .init = counts_init,
					 .exit = counts_exit, .context = (void *)which));
		kit_expect(strstr(tine_last_error(), "no licence for worker") &&
			   strstr(tine_last_error(), "7"));
		kit_expect(atomic_load(&exits) == atomic_load(&inits) - 1);
		kit_expect(atomic_load(&inits) <= 4 && threads_here() == before);
		kit_expect(heap_in_use() == nothing);
	}
	return 0;
}

static int fails_from_now_on(void *context)
{
	return *(_Atomic bool *)context ? tine_task_fail(4, "the licence has run out") : 0;
}

/* No worker can be renewed any more: every wait ends, and says why. */
static int renewal_fails(void *arg)
{
	static _Atomic bool fail;
	int in[50] = {0}, out[50], codes[50], ended_well = 0;
	tine_pool *pool = OPEN(.workers = 1, .tasks_per_worker = 10, .init = fails_from_now_on,
			       .context = (void *)&fail);

	(void)arg;
	atomic_store(&fail, true);
	NEED(TINE_EBROKEN, tine_map(pool, add_one, in, 50, sizeof(*in), out,
				    .result_size = sizeof(*out), .statuses = codes, .chunk = 1));
	kit_expect(strstr(tine_last_error(), "the licence has run out"));
	for (int i = 0; i < 50; i++) {
		kit_expect(codes[i] == 0 || codes[i] == TINE_EBROKEN);
		ended_well += codes[i] == 0;
	}
	kit_expect(ended_well == 10);
	NEED_NULL(TINE_EBROKEN, tine_submit(pool, add_one, in, sizeof(*in)));
	NEED(TINE_EBROKEN, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* A future that nobody waits for ends too. */
static int renewal_fails_quietly(void *arg)
{
	static _Atomic bool fail;
	tine_pool *pool = OPEN(.workers = 1, .tasks_per_worker = 1, .init = fails_from_now_on,
			       .context = (void *)&fail);
	tine_future *f[2];

	(void)arg;
	for (int i = 0; i < 2; i++)
		f[i] = NEED_NEW(tine_submit(pool, waits_for_go, NULL, 0));
	atomic_store(&fail, true);
	atomic_store(&go, true);
	for (double end = now() + 5; now() < end && tine_future_status(f[1]) == TINE_EPENDING;)
		nap(0.001);
	NEED(0, tine_future_status(f[0]));
	kit_expect(tine_future_status(f[1]) == TINE_EBROKEN);
	tine_future_free(f[0]);
	tine_future_free(f[1]);
	NEED(0, tine_pool_terminate(pool));
	return 0;
}

/* ---- items that wait for items ---- */

typedef struct order {
	tine_pool *pool;
	int depth, how;
} order;

enum { BY_MAP, BY_GET, BY_WAIT, BY_ALL, BY_ANY, BY_FIRST_ERROR, WAYS };

static int deep(const void *arg, void *result);

static int waits_in_a_way(const order *below, int *result)
{
	if (below->how == BY_MAP)
		return tine_map(below->pool, deep, below, 1, sizeof(*below), result,
				.result_size = sizeof(*result));
	tine_future *f = tine_submit(below->pool, deep, below, sizeof(*below),
				     .result_size = sizeof(*result));
	if (!f)
		return tine_last_code();
	int rc = 0;
	if (below->how == BY_WAIT)
		rc = tine_future_wait(f, 20);
	else if (below->how >= BY_ALL)
		rc = tine_wait(&f, 1, (tine_wait_mode)(below->how - BY_ALL), NULL, TINE_FOREVER);
	if (rc == 0)
		rc = tine_future_get(f, result, TINE_FOREVER);
	tine_future_free(f);
	return rc;
}

static int deep(const void *arg, void *result)
{
	const order *o = arg;
	order below = {o->pool, o->depth - 1, o->how};
	int sum = 0, worker = tine_task_worker();
	size_t index = tine_task_index();

	if (o->depth == 0) {
		*(int *)result = 1;
		return 0;
	}
	int rc = waits_in_a_way(&below, &sum);
	*(int *)result = sum + 1;
	/* what it asks about itself is about itself again */
	return tine_task_worker() == worker && tine_task_index() == index ? rc : 99;
}

static int depth_of_fifty(void *arg)
{
	(void)arg;
	for (int workers = 1; workers <= 4; workers += 3)
		for (int how = 0; how < WAYS; how++) {
			tine_pool *pool = OPEN(.workers = workers);
			order in[3];
			int out[3];

			for (int i = 0; i < 3; i++)
				in[i] = (order){pool, 50, how};
			double begin = now();
			NEED(0, tine_map(pool, deep, in, 3, sizeof(*in), out,
					 .result_size = sizeof(*out), .chunk = 1));
			for (int i = 0; i < 3; i++)
				kit_expect(out[i] == 51);
			kit_expect(pool_figures(pool).items == 3 * 51);
			kit_expect(now() - begin < 2); /* not by a watchdog at each level */
			NEED(0, tine_pool_close(pool, TINE_FOREVER));
		}
	return 0;
}

/* A renewal counts what an item has run below itself, and comes when it has ended. */
static int deep_and_renewed(void *arg)
{
	order in;
	int out;

	(void)arg;
	atomic_store(&inits, 0);
	tine_pool *pool = OPEN(.workers = 1, .tasks_per_worker = 20, .init = counts_init,
			       .exit = counts_exit);
	in = (order){pool, 50, BY_GET};
	for (int i = 0; i < 5; i++) {
		NEED(0, tine_map(pool, deep, &in, 1, sizeof(in), &out, .result_size = sizeof(out)));
		kit_expect(out == 51);
	}
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	/* the last renewal may find the pool closing */
	kit_expect(atomic_load(&inits) == 5 || atomic_load(&inits) == 6);
	kit_expect(atomic_load(&inits) == atomic_load(&exits));
	return 0;
}

static tine_future *unrelated;

static int looks_for_unrelated(const void *arg, void *result)
{
	tine_pool *pool = *(tine_pool *const *)arg;
	int in = 1;

	unrelated = tine_submit(pool, waits_for_go, NULL, 0);
	tine_future *mine = tine_submit(pool, add_one, &in, sizeof(in), .result_size = sizeof(in));
	if (!unrelated || !mine)
		return 1;
	int rc = tine_future_get(mine, result, TINE_FOREVER);
	tine_future_free(mine);
	return rc != 0 ? rc : tine_future_status(unrelated) == TINE_EPENDING ? 0 : 2;
}

/* Only the job waited for is run: one that would wait for us is left alone. */
static int nothing_unrelated(void *arg)
{
	tine_pool *pool = OPEN(.workers = 1);
	int out = 0;

	(void)arg;
	NEED(0, tine_map(pool, looks_for_unrelated, &pool, 1, sizeof(pool), &out,
			 .result_size = sizeof(out)));
	kit_expect(out == 2);
	atomic_store(&go, true);
	NEED(0, tine_future_get(unrelated, NULL, TINE_FOREVER));
	tine_future_free(unrelated);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* While the pool is being closed, items still get what they need. */
static int maps_late(const void *arg, void *result)
{
	tine_pool *pool = *(tine_pool *const *)arg;
	int in = 1;

	atomic_fetch_add(&begun, 1);
	while (!atomic_load(&go))
		nap(0.001);
	return tine_map(pool, add_one, &in, 1, sizeof(in), result, .result_size = sizeof(in));
}

static void *goes_soon(void *arg)
{
	nap(0.05);
	atomic_store(&go, true);
	return arg;
}

static int work_while_closing(void *arg)
{
	tine_pool *pool = OPEN(.workers = 2);
	tine_future *f = NEED_NEW(
		tine_submit(pool, maps_late, &pool, sizeof(pool), .result_size = sizeof(int)));
	pthread_t thread;
	int out = 0;

	(void)arg;
	kit_expect(soon(&begun, 1));
	pthread_create(&thread, NULL, goes_soon, NULL);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	pthread_join(thread, NULL);
	NEED(0, tine_future_get(f, &out, 0));
	kit_expect(out == 2);
	tine_future_free(f);
	return 0;
}

/* A wait of 0 only looks. */
static int polls(const void *arg, void *result)
{
	tine_pool *pool = *(tine_pool *const *)arg;
	int in = 1;
	tine_future *f = tine_submit(pool, add_one, &in, sizeof(in), .result_size = sizeof(in));

	(void)result;
	if (!f || tine_future_get(f, NULL, 0) != TINE_ETIMEDOUT ||
	    tine_future_wait(f, 0) != TINE_ETIMEDOUT ||
	    tine_wait(&f, 1, TINE_ALL, NULL, 0) != TINE_ETIMEDOUT)
		return 1;
	int rc = tine_future_get(f, NULL, TINE_FOREVER);
	tine_future_free(f);
	return rc;
}

static int polling(void *arg)
{
	tine_pool *pool = OPEN(.workers = 1);

	(void)arg;
	NEED(0, tine_map(pool, polls, &pool, 1, sizeof(pool), NULL));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- below an item of another pool ---- */

typedef struct detour {
	tine_pool *outer, *inner;
} detour;

static int uses_outer(const void *arg, void *result)
{
	const detour *d = arg;
	int in = 4;

	if (tine_pool_close(d->outer, TINE_FOREVER) != TINE_EDEADLOCK)
		return 1;
	return tine_map(d->outer, add_one, &in, 1, sizeof(in), result, .result_size = sizeof(in));
}

static int uses_inner(const void *arg, void *result)
{
	const detour *d = arg;

	return tine_map(d->inner, uses_outer, d, 1, sizeof(*d), result, .result_size = sizeof(int));
}

static int by_a_serial_pool(void *arg)
{
	detour d = {OPEN(.workers = 1), NEED_NEW(tine_pool_open(.kind = TINE_SERIAL))};
	int out = 0;

	(void)arg;
	NEED(0, tine_map(d.outer, uses_inner, &d, 1, sizeof(d), &out, .result_size = sizeof(out)));
	kit_expect(out == 5);
	NEED(0, tine_pool_close(d.inner, TINE_FOREVER));
	NEED(0, tine_pool_close(d.outer, TINE_FOREVER));
	return 0;
}

static int opens_processes(const void *arg, void *result)
{
	tine_pool *pool = tine_pool_open(.workers = 2);

	if (!pool)
		return tine_last_code();
	int rc = tine_map(pool, add_one, arg, 1, sizeof(int), result, .result_size = sizeof(int));
	tine_pool_close(pool, TINE_FOREVER);
	return rc;
}

static int processes_below_threads(void *arg)
{
	int in[6] = {1, 2, 3, 4, 5, 6}, out[6];
	tine_pool *pool = OPEN(.workers = 3);

	(void)arg;
	NEED(0, tine_map(pool, opens_processes, in, 6, sizeof(*in), out,
			 .result_size = sizeof(*out), .chunk = 1));
	for (int i = 0; i < 6; i++)
		kit_expect(out[i] == in[i] + 1);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- limits and ends ---- */

static int refuses(void *arg)
{
	(void)arg;
	NEED_NULL(TINE_EUNSUPPORTED, tine_pool_open(.kind = TINE_THREADS, .memory_limit = 1));
	NEED_NULL(TINE_EUNSUPPORTED, tine_pool_open(.kind = TINE_THREADS, .cpu_limit = 0.1));
	NEED_NULL(TINE_EUNSUPPORTED, tine_pool_open(.kind = TINE_THREADS, .start = TINE_EXEC));
	NEED_NULL(TINE_EINVAL, tine_pool_open(.kind = TINE_THREADS, .start = (tine_start)7));
	NEED_NULL(TINE_EINVAL, tine_pool_open(.kind = TINE_THREADS, .workers = 1 << 20));
	return 0;
}

static int late_at_first(const void *arg, void *result)
{
	(void)arg;
	*(int *)result = tine_task_attempt();
	while (tine_task_attempt() < 3)
		if (tine_task_cancelled())
			return 0;
	return 0;
}

static int fails_at_first(const void *arg, void *result)
{
	(void)arg;
	*(int *)result = tine_task_attempt();
	return tine_task_attempt() < 3 ? 8 : 0;
}

static int tried_again(void *arg)
{
	int out = 0;
	tine_pool *pool = OPEN(.workers = 2, .timeout = 0.05, .retries = 2,
			       .retry_on = TINE_RETRY_CODE | TINE_RETRY_DEADLINE);

	(void)arg;
	NEED(0, tine_map(pool, late_at_first, NULL, 1, 0, &out, .result_size = sizeof(out)));
	kit_expect(out == 3);
	NEED(0, tine_map(pool, fails_at_first, NULL, 1, 0, &out, .result_size = sizeof(out)));
	kit_expect(out == 3);
	tine_future *f = NEED_NEW(tine_submit(pool, late_at_first, NULL, 0,
					      .result_size = sizeof(out), .retries = 1));
	NEED(TINE_EDEADLINE, tine_future_get(f, &out, TINE_FOREVER));
	kit_expect(out == 0 && tine_future_failure(f)->attempts == 2);
	tine_future_free(f);
	kit_expect(pool_figures(pool).retried == 5 && pool_figures(pool).overtime == 4);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* Each way in which a map ends early tells what runs, and ends what has not begun. */
static void *raises_soon(void *cancel)
{
	kit_expect(soon(&begun, 2));
	tine_cancel_request(cancel);
	return NULL;
}

static int ends_early(void *arg)
{
	enum { N = 30 };
	int codes[N];
	pthread_t thread;
	tine_cancel *cancel = NEED_NEW(tine_cancel_new());
	tine_pool *pool = OPEN(.workers = 2);

	(void)arg;
	NEED(TINE_EDEADLINE, tine_map(pool, listens, NULL, N, 0, NULL, .statuses = codes,
				      .deadline = 0.05, .chunk = 1));
	for (int i = 2; i < N; i++)
		kit_expect(codes[i] == TINE_EDEADLINE);
	kit_expect(atomic_load(&begun) == 2 && atomic_load(&ended) == 2);
	atomic_store(&begun, 0);
	pthread_create(&thread, NULL, raises_soon, cancel);
	NEED(TINE_ECANCELLED, tine_map(pool, listens, NULL, N, 0, NULL, .statuses = codes,
				       .cancel = cancel, .chunk = 1));
	pthread_join(thread, NULL);
	for (int i = 2; i < N; i++)
		kit_expect(codes[i] == TINE_ECANCELLED);
	tine_cancel_free(cancel);
	still_works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int cancelled_future(void *arg)
{
	int code = 11;
	tine_pool *pool = OPEN(.workers = 1);
	tine_future *runs = NEED_NEW(tine_submit(pool, listens, &code, sizeof(code)));
	tine_future *waits = NEED_NEW(tine_submit(pool, listens, &code, sizeof(code)));

	(void)arg;
	kit_expect(soon(&begun, 1));
	NEED(0, tine_future_cancel(waits, 0));
	NEED(TINE_ECANCELLED, tine_future_get(waits, NULL, 0));
	NEED(TINE_EPENDING, tine_future_status(runs));
	NEED(0, tine_future_cancel(runs, 0)); /* it is asked: nobody kills it */
	NEED(11, tine_future_get(runs, NULL, 10));
	kit_expect(atomic_load(&begun) == 1);
	tine_future_free(runs);
	tine_future_free(waits);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int terminated(void *arg)
{
	int before = threads_here();
	tine_pool *pool = OPEN(.workers = 2, .init = counts_init, .exit = counts_exit);
	tine_future *f[6];

	(void)arg;
	for (int i = 0; i < 6; i++)
		f[i] = NEED_NEW(tine_submit(pool, listens, NULL, 0));
	kit_expect(soon(&begun, 2));
	double begin = now();
	NEED(0, tine_pool_terminate(pool));
	kit_expect(now() - begin < 1 && threads_here() == before);
	kit_expect(atomic_load(&begun) == 2 && atomic_load(&ended) == 2);
	kit_expect(atomic_load(&inits) == 2 && atomic_load(&exits) == 0);
	for (int i = 0; i < 6; i++) {
		int code = tine_future_status(f[i]);

		kit_expect(i < 2 ? code == 0 : code == TINE_ECANCELLED);
		tine_future_free(f[i]);
	}
	return 0;
}

/* ---- the host ---- */

static void *maps_often(void *pool)
{
	for (int i = 0; i < 50; i++)
		still_works(pool);
	return NULL;
}

static int many_host_threads(void *arg)
{
	pthread_t threads[12];
	tine_pool *pool = OPEN(.workers = 3);

	(void)arg;
	for (int i = 0; i < 12; i++)
		kit_expect(pthread_create(&threads[i], NULL, maps_often, pool) == 0);
	for (int i = 0; i < 12; i++)
		pthread_join(threads[i], NULL);
	kit_expect(pool_figures(pool).items == 12L * 50 * 20);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int in_the_child(tine_pool *pool, tine_future *f)
{
	int in = 1, out;

	alarm(10);
	NEED(TINE_ESTATE,
	     tine_map(pool, add_one, &in, 1, sizeof(in), &out, .result_size = sizeof(out)));
	NEED_NULL(TINE_ESTATE, tine_submit(pool, add_one, &in, sizeof(in)));
	NEED(TINE_ESTATE, tine_pool_workers(pool));
	NEED(TINE_ESTATE, tine_pool_close(pool, TINE_FOREVER));
	NEED(TINE_ESTATE, tine_pool_terminate(pool));
	NEED(TINE_ESTATE, tine_future_get(f, &out, TINE_FOREVER));
	tine_pool *own = OPEN(.workers = 2);
	still_works(own);
	NEED(0, tine_pool_close(own, TINE_FOREVER));
	return 0;
}

static int host_forks(void *arg)
{
	tine_pool *pool = OPEN(.workers = 2);
	tine_future *f = NEED_NEW(tine_submit(pool, waits_for_go, NULL, 0));
	int status;

	(void)arg;
	kit_expect(soon(&begun, 1));
	pid_t child = fork();
	if (child == 0)
		_exit(in_the_child(pool, f));
	kit_expect(waitpid(child, &status, 0) == child && status == 0);
	atomic_store(&go, true);
	NEED(0, tine_future_get(f, NULL, TINE_FOREVER));
	tine_future_free(f);
	still_works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int forks(const void *arg, void *result)
{
	tine_pool *pool = *(tine_pool *const *)arg;
	pid_t child = fork();

	if (child == 0) /* a stranger, which returns and must not go on as a worker */
		return tine_pool_workers(pool) == TINE_ESTATE ? 0 : (_exit(7), 0);
	*(pid_t *)result = child;
	return child > 0 ? 0 : 1;
}

static int items_fork(void *arg)
{
	tine_pool *pool = OPEN(.workers = 2), *in[8];
	pid_t out[8];
	int status;

	(void)arg;
	for (int i = 0; i < 8; i++)
		in[i] = pool;
	NEED(0, tine_map(pool, forks, in, 8, sizeof(*in), out, .result_size = sizeof(*out),
			 .chunk = 1));
	for (int i = 0; i < 8; i++)
		kit_expect(waitpid(out[i], &status, 0) == out[i] && status == 0);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int calls_exit(const void *arg, void *result)
{
	(void)arg;
	(void)result;
	exit(23);
}

static int exit_in_an_item(void *arg)
{
	tine_pool *pool = OPEN(.workers = 3);

	(void)arg;
	(void)tine_map(pool, calls_exit, NULL, 10, 0, NULL, .chunk = 1);
	return 1;
}

/* It ends the program, as anywhere else in it. */
static void test_exit_in_an_item(void **state)
{
	(void)state;
	kit_outcome o = kit_run(exit_in_an_item, NULL, 10);

	assert_false(o.failed || o.timed_out);
	assert_int_equal(o.code, 23);
	assert_int_equal(o.left, 0);
}

/* Room for some of the threads only: a sentence that names the limits, and nothing is left. */
static int no_room_for_threads(void *arg)
{
	struct rlimit limit;
	unsigned long pages = 0;
	int before = threads_here();

	(void)arg;
	NEED(0, tine_pool_close(OPEN(.workers = 1), TINE_FOREVER)); /* the heap is there now */
	size_t nothing = heap_in_use();
	FILE *file = fopen("/proc/self/statm", "re");
	kit_expect(file && fscanf(file, "%lu", &pages) == 1);
	fclose(file);
	limit.rlim_cur = limit.rlim_max = pages * 4096 + (200UL << 20);
	kit_expect(setrlimit(RLIMIT_AS, &limit) == 0);
	NEED_NULL(TINE_ESYSTEM, tine_pool_open(.kind = TINE_THREADS, .workers = 1000,
					       .init = counts_init, .exit = counts_exit));
	kit_expect(strstr(tine_last_error(), "pthread_create") &&
		   strstr(tine_last_error(), "ulimit -v"));
	kit_expect(threads_here() == before && heap_in_use() == nothing);
	kit_expect(atomic_load(&inits) == 0);
	tine_pool *pool = OPEN(.workers = 2);
	still_works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO(opens_and_closes),
		SCENARIO(numbers_of_workers),
		SCENARIO(surroundings),
		SCENARIO(pinned),
		SCENARIO(signals_are_the_hosts),
		SCENARIO(private_memory),
		SCENARIO(renewed),
		SCENARIO(refused),
		SCENARIO(renewal_fails),
		SCENARIO(renewal_fails_quietly),
		SCENARIO(depth_of_fifty),
		SCENARIO(deep_and_renewed),
		SCENARIO(nothing_unrelated),
		SCENARIO(work_while_closing),
		SCENARIO(polling),
		SCENARIO(by_a_serial_pool),
		SCENARIO(processes_below_threads),
		SCENARIO(refuses),
		SCENARIO(tried_again),
		SCENARIO(ends_early),
		SCENARIO(cancelled_future),
		SCENARIO(terminated),
		SCENARIO(many_host_threads),
		SCENARIO(host_forks),
		SCENARIO(items_fork),
		SCENARIO(no_room_for_threads),
		cmocka_unit_test(test_exit_in_an_item),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
