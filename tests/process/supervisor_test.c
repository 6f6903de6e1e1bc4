/* SPDX-License-Identifier: MIT */
/* The supervisor, or every worker at once, is killed or stopped from outside. */
#include "scenario.h"

#include <pthread.h>

static int naps_a_little(const void *arg, void *result)
{
	nap(0.001);
	atomic_fetch_add(&the_family->items, 1);
	return add_one(arg, result);
}

static tine_pool *open_family(int workers)
{
	the_family = new_family();
	return NEED_NEW(tine_pool_open(.workers = workers, .init = tells_family));
}

static void *kills_supervisor_soon(void *ignored)
{
	(void)ignored;
	nap(0.05);
	signal_known(the_family->supervisor, SIGKILL);
	return NULL;
}

static void check_lost(const int *codes, const int *out, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++) {
		kit_expect(codes[i] == 0 || codes[i] == TINE_ELOST);
		kit_expect(out[i] == (codes[i] ? 0 : i + 1));
		kept += codes[i] == 0;
	}
	kit_expect(kept > 0 && kept < n);
}

static void numbers(int *in, int n)
{
	for (int i = 0; i < n; i++)
		in[i] = i;
}

/* A map and futures that lose it end at once, keep what had finished, and say so; then the pool is of no more use. */
static int lost_in_a_map(void *number)
{
	enum { N = 5000 };
	static int in[N], out[N], codes[N];
	pthread_t thread;
	tine_pool *pool = open_family(2);
	tine_failure first;

	numbers(in, N);
	pthread_create(&thread, NULL, kills_supervisor_soon, NULL);
	if (NUMBER(number))
		signal_known(the_family->worker[1], SIGSTOP);
	double begin = now();
	NEED(TINE_ELOST,
	     tine_map(pool, naps_a_little, in, N, sizeof(*in), out, .result_size = sizeof(*out),
		      .statuses = codes, .failures = &first, .max_failures = 1));
	kit_expect(now() - begin < 1.5);
	check_lost(codes, out, N);
	kit_expect(first.code == TINE_ELOST && *first.text);
	pthread_join(thread, NULL);
	kit_expect(all_gone(2));
	NEED(TINE_ELOST,
	     tine_map(pool, naps_a_little, in, N, sizeof(*in), out, .result_size = sizeof(*out)));
	NEED_NULL(TINE_ELOST,
		  tine_submit(pool, naps_a_little, in, sizeof(*in), .result_size = sizeof(*out)));
	NEED(TINE_ELOST, tine_pool_close(pool, TINE_FOREVER));
	pool = NEED_NEW(tine_pool_open(.workers = 2)); /* a new one is as good as ever */
	works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int lost_with_futures(void *arg)
{
	enum { N = 200 };
	tine_future *list[N];
	int codes[N], out[N];
	pthread_t thread;
	tine_pool *pool = open_family(2);

	(void)arg;
	for (int i = 0; i < N; i++)
		list[i] = NEED_NEW(
			tine_submit(pool, naps_a_little, &i, sizeof(i), .result_size = sizeof(i)));
	pthread_create(&thread, NULL, kills_supervisor_soon, NULL);
	double begin = now();
	for (int i = 0; i < N; i++)
		codes[i] = tine_future_get(list[i], &out[i], 10);
	kit_expect(now() - begin < 2);
	check_lost(codes, out, N);
	kit_expect(tine_future_failure(list[N - 1]) &&
		   tine_future_status(list[N - 1]) == TINE_ELOST);
	pthread_join(thread, NULL);
	NEED(0, tine_pool_terminate(pool));
	for (int i = 0; i < N; i++)
		tine_future_free(list[i]);
	return 0;
}

static int lost_while_idle(void *arg)
{
	int in = 1, out;

	(void)arg;
	for (int how = 0; how < 3; how++) {
		tine_pool *pool = open_family(2);

		works(pool);
		signal_known(the_family->supervisor, SIGKILL);
		kit_expect(all_gone(2));
		if (how == 1)
			NEED(TINE_ELOST, tine_map(pool, add_one, &in, 1, sizeof(in), &out,
						  .result_size = sizeof(out)));
		if (how == 2)
			NEED(0, tine_pool_terminate(pool));
		else
			NEED(TINE_ELOST, tine_pool_close(pool, TINE_FOREVER));
	}
	return 0;
}

/* The default pool's handle is nobody's: a lost one is replaced. */
static int tells_parent(const void *arg, void *result)
{
	(void)arg;
	*(known *)result = know(getppid());
	return 0;
}

static int lost_default_pool(void *arg)
{
	known first, second;

	(void)arg;
	NEED(0, tine_map(NULL, tells_parent, NULL, 1, 0, &first, .result_size = sizeof(first)));
	signal_known(first, SIGKILL);
	nap(0.05);
	NEED(0, tine_map(NULL, tells_parent, NULL, 1, 0, &second, .result_size = sizeof(second)));
	kit_expect(second.pid > 0 && second.pid != first.pid);
	return 0;
}

/* ---- the workers ---- */

static void signal_workers(int workers, int signal)
{
	for (int i = 0; i < workers; i++)
		signal_known(the_family->worker[i], signal);
}

static int killed_while_idle(void *arg)
{
	tine_pool *pool = open_family(4);

	(void)arg;
	for (int round = 0; round < 10; round++) {
		works(pool);
		nap(0.001 * round);
		signal_workers(4, round % 2 ? SIGKILL : SIGSEGV);
	}
	works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* After a few items each time: workers that die before they can begin would break the pool, rightly. */
static void *kills_workers_often(void *end)
{
	for (int round = 0; !atomic_load((_Atomic int *)end); round++) {
		for (int items = atomic_load(&the_family->items) + 20;
		     atomic_load(&the_family->items) < items && !atomic_load((_Atomic int *)end);)
			nap(0.001);
		signal_workers(3, round % 2 ? SIGKILL : SIGBUS);
	}
	return NULL;
}

static int killed_while_busy(void *arg)
{
	enum { N = 400 };
	static int in[N], out[N], codes[N];
	static _Atomic int end;
	pthread_t thread;
	size_t failed;
	tine_pool *pool = open_family(3);

	(void)arg;
	numbers(in, N);
	pthread_create(&thread, NULL, kills_workers_often, &end);
	int rc = tine_map(pool, naps_a_little, in, N, sizeof(*in), out, .result_size = sizeof(*out),
			  .statuses = codes, .failure_count = &failed);
	kit_expect(rc == TINE_EITEMS && failed > 0 && failed < N);
	for (int i = 0; i < N; i++)
		kit_expect((codes[i] == 0 || codes[i] == TINE_ECRASHED) &&
			   out[i] == (codes[i] ? 0 : i + 1));
	NEED(0, tine_map(pool, naps_a_little, in, N, sizeof(*in), out, .result_size = sizeof(*out),
			 .retries = 100));
	atomic_store(&end, 1);
	pthread_join(thread, NULL);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static void *lets_go_on_soon(void *ignored)
{
	nap(0.1);
	signal_workers(2, SIGCONT);
	signal_known(the_family->supervisor, SIGCONT);
	return ignored;
}

/* Stopped for a while, in whatever state: late, and nothing else. */
static int stopped_for_a_while(void *arg)
{
	pthread_t thread;
	tine_pool *pool = open_family(2);

	(void)arg;
	for (int round = 0; round < 4; round++) {
		if (round != 1)
			signal_workers(2, SIGSTOP);
		if (round != 0)
			signal_known(the_family->supervisor, SIGSTOP);
		pthread_create(&thread, NULL, lets_go_on_soon, NULL);
		if (round < 3)
			works(pool);
		else
			NEED(0, tine_pool_close(pool, TINE_FOREVER));
		pthread_join(thread, NULL);
	}
	return 0;
}

/* One stopped worker of two does not hold what it has not begun. */
static int one_stopped(void *arg)
{
	tine_pool *pool = open_family(2);

	(void)arg;
	works(pool);
	signal_known(the_family->worker[0], SIGSTOP);
	for (int i = 0; i < 5; i++)
		works(pool);
	signal_known(the_family->worker[0], SIGCONT);
	works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int terminated_while_stopped(void *arg)
{
	tine_pool *pool = open_family(2);
	double begin = now();

	(void)arg;
	signal_workers(2, SIGSTOP);
	NEED(0, tine_pool_terminate(pool));
	kit_expect(now() - begin < 1 && all_gone(1));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO_WITH(lost_in_a_map, 0), SCENARIO_WITH(lost_in_a_map, 1),
		SCENARIO(lost_with_futures),     SCENARIO(lost_while_idle),
		SCENARIO(lost_default_pool),     SCENARIO(killed_while_idle),
		SCENARIO(killed_while_busy),     SCENARIO(stopped_for_a_while),
		SCENARIO(one_stopped),           SCENARIO(terminated_while_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
