/* SPDX-License-Identifier: MIT */
/* Limits of an item's time, CPU time and memory: only the guilty item ends. */
#include "scenario.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 40 };

static int add_one(const void *arg, void *result)
{
	*(int *)result = *(const int *)arg + 1;
	return 0;
}

static volatile unsigned long spun;

static int spins(double seconds)
{
	for (double end = now() + seconds; now() < end;)
		for (int i = 0; i < 1000; i++)
			spun++;
	return 0;
}

/* Items that end in time, and each tenth that does not. */
static int naps_for_ever(const void *arg, void *result)
{
	while (*(const int *)arg % 10 == 7)
		pause();
	return add_one(arg, result);
}

static int spins_for_ever(const void *arg, void *result)
{
	if (*(const int *)arg % 10 == 7)
		spins(100);
	return add_one(arg, result);
}

static int stops_itself(const void *arg, void *result)
{
	if (*(const int *)arg % 10 == 7)
		raise(SIGSTOP);
	return add_one(arg, result);
}

static int blocks_everything(const void *arg, void *result)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	return naps_for_ever(arg, result);
}

static void numbers(int *in, int n)
{
	for (int i = 0; i < n; i++)
		in[i] = i;
}

static void check(const int *codes, const int *out, const tine_failure *f, size_t failed, int code)
{
	size_t k = 0;

	for (int i = 0; i < N; i++) {
		kit_expect(codes[i] == (i % 10 == 7 ? code : 0));
		kit_expect(out[i] == (codes[i] ? 0 : i + 1));
		if (codes[i] == 0)
			continue;
		kit_expect(f[k].index == (size_t)i && f[k].pid > 0 && f[k].attempts == 1);
		kit_expect(strstr(f[k].text, "limit"));
		k++;
	}
	kit_expect(k == failed && failed == N / 10);
}

static int timeouts(void *arg)
{
	static tine_task *const tasks[] = {naps_for_ever, spins_for_ever, stops_itself,
					   blocks_everything};
	int in[N], out[N], codes[N];
	tine_failure f[N];
	size_t failed;

	(void)arg;
	numbers(in, N);
	for (size_t t = 0; t < sizeof(tasks) / sizeof(*tasks); t++) {
		bool by_call = t % 2;
		tine_pool *pool =
			NEED_NEW(tine_pool_open(.workers = 2, .timeout = by_call ? 100 : 0.1));
		double begin = now();

		NEED(TINE_EITEMS,
		     tine_map(pool, tasks[t], in, N, sizeof(*in), out, .result_size = sizeof(*out),
			      .statuses = codes, .failures = f, .max_failures = N,
			      .failure_count = &failed, .timeout = by_call ? 0.1 : 0,
			      .chunk = t * 3));
		kit_expect(now() - begin < 3);
		check(codes, out, f, failed, TINE_EDEADLINE);
		kit_expect(pool_figures(pool).overtime == N / 10 &&
			   pool_figures(pool).crashed == 0);
		NEED(0, tine_pool_close(pool, TINE_FOREVER));
	}
	return 0;
}

static int timeout_of_a_future(void *arg)
{
	int in = 7, out = 99;
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .name = "slow"));
	double begin = now();
	tine_future *f = NEED_NEW(tine_submit(pool, naps_for_ever, &in, sizeof(in),
					      .result_size = sizeof(out), .timeout = 0.05));

	(void)arg;
	NEED(TINE_EDEADLINE, tine_future_get(f, &out, TINE_FOREVER));
	kit_expect(out == 0 && now() - begin >= 0.05 && now() - begin < 1);
	kit_expect(strstr(tine_future_failure(f)->text, "0.05"));
	tine_future_free(f);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int naps_a_little(const void *arg, void *result)
{
	nap(0.15);
	return add_one(arg, result);
}

/* TINE_FOREVER lifts the pool's limit; the limit counts from the item's start, not from the call. */
static int lifted_and_own_time(void *arg)
{
	int in[6], out[6];
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .timeout = 0.1));

	(void)arg;
	numbers(in, 6);
	NEED(0, tine_map(pool, naps_a_little, in, 2, sizeof(*in), out, .result_size = sizeof(*out),
			 .timeout = TINE_FOREVER));
	NEED(0, tine_map(pool, naps_a_little, in, 6, sizeof(*in), out, .result_size = sizeof(*out),
			 .timeout = 0.4, .chunk = 3));
	NEED(TINE_EITEMS,
	     tine_map(pool, naps_a_little, in, 2, sizeof(*in), out, .result_size = sizeof(*out)));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* Quick items under a limit far above them: nobody innocent is ended, stopped or slowed down. */
static int innocents(void *arg)
{
	enum { MANY = 200000 };
	int *in = calloc(MANY, sizeof(*in)), *out = calloc(MANY, sizeof(*out));
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .timeout = 2));

	(void)arg;
	NEED(0, tine_map(pool, add_one, in, MANY, sizeof(*in), out, .result_size = sizeof(*out)));
	NEED(0, tine_map(pool, add_one, in, MANY / 10, sizeof(*in), out,
			 .result_size = sizeof(*out), .chunk = 1));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	free(in);
	free(out);
	return 0;
}

/* Without a limit a stopped item is only late: it goes on when it is let go on. */
static _Atomic int *stopped_pid; /* shared */

static int stops_once(const void *arg, void *result)
{
	if (*(const int *)arg == 3) {
		atomic_store(stopped_pid, (int)getpid());
		raise(SIGSTOP);
	}
	return add_one(arg, result);
}

static int stopped_without_a_limit(void *arg)
{
	int in = 3, out = 0;

	(void)arg;
	stopped_pid = NEED_NEW(tine_shared_alloc(sizeof(*stopped_pid), .zero = true));
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1));
	tine_future *f = NEED_NEW(
		tine_submit(pool, stops_once, &in, sizeof(in), .result_size = sizeof(out)));
	NEED(TINE_ETIMEDOUT, tine_future_get(f, &out, 0.1));
	kit_expect(atomic_load(stopped_pid) > 0);
	kill(atomic_load(stopped_pid), SIGCONT); /* unreaped: the pool is open */
	NEED(0, tine_future_get(f, &out, 5));
	kit_expect(out == 4);
	tine_future_free(f);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* The call's own deadline ends what is stopped, and waits for it no longer. */
static int stopped_with_a_deadline(void *arg)
{
	int in[N], out[N], codes[N];
	double begin = now();
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2));

	(void)arg;
	numbers(in, N);
	NEED(TINE_EDEADLINE,
	     tine_map(pool, stops_itself, in, N, sizeof(*in), out, .result_size = sizeof(*out),
		      .statuses = codes, .deadline = 0.1, .chunk = 1));
	kit_expect(now() - begin < 2 && codes[0] == 0 && out[0] == 1 &&
		   codes[7] == TINE_EDEADLINE && out[7] == 0);
	NEED(0, tine_map(pool, add_one, in, N, sizeof(*in), out, .result_size = sizeof(*out)));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- memory ---- */

typedef struct amount {
	size_t bytes;
	bool crash;
} amount;

static char *volatile escaped; /* or the compiler would do without malloc() */

static int takes_memory(const void *arg, void *result)
{
	const amount *a = arg;
	char *p = escaped = malloc(a->bytes);

	*(bool *)result = p != NULL;
	if (!p && a->crash)
		return TINE_ENOMEM;
	if (p)
		memset(p, 1, a->bytes);
	free(p);
	return 0;
}

/* malloc() gives NULL, which is the task's own affair. */
static int memory_limit(void *arg)
{
	static char ballast[32 << 20]; /* what the host has already does not count */
	amount in[4] = {{1 << 20, false}, {256 << 20, false}, {4 << 20, false}, {256 << 20, true}};
	bool out[4];
	int codes[4];
	tine_pool *pool;

	(void)arg;
	memset(ballast, 1, sizeof(ballast));
	pool = NEED_NEW(tine_pool_open(.workers = 2, .memory_limit = 64 << 20));
	NEED(TINE_EITEMS, tine_map(pool, takes_memory, in, 4, sizeof(*in), out,
				   .result_size = sizeof(*out), .statuses = codes, .chunk = 1));
	kit_expect(out[0] && codes[0] == 0 && !out[1] && codes[1] == 0 && out[2] &&
		   codes[3] == TINE_ENOMEM);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* A tiny limit must not keep workers from starting, nor the pool from working. */
static int tiny_memory_limit(void *arg)
{
	int in = 1, out = 0;
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .memory_limit = 1));

	(void)arg;
	NEED(0, tine_map(pool, add_one, &in, 1, sizeof(in), &out, .result_size = sizeof(out)));
	kit_expect(out == 2);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- CPU time ---- */

static int works_and_naps(const void *arg, void *result)
{
	if (*(const int *)arg % 10 == 7)
		spins(100);
	if (*(const int *)arg == 1)
		nap(0.3); /* costs no CPU time */
	spins(0.02);      /* each item has a budget of its own */
	return add_one(arg, result);
}

static int cpu_limit(void *arg)
{
	enum { ITEMS = 20 };
	int in[ITEMS], out[ITEMS], codes[ITEMS];
	tine_failure f[ITEMS];
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .cpu_limit = 0.15));
	double begin = now();

	(void)arg;
	numbers(in, ITEMS);
	NEED(TINE_EITEMS, tine_map(pool, works_and_naps, in, ITEMS, sizeof(*in), out,
				   .result_size = sizeof(*out), .statuses = codes, .failures = f,
				   .max_failures = ITEMS, .chunk = 5));
	for (int i = 0; i < ITEMS; i++)
		kit_expect(codes[i] == (i % 10 == 7 ? TINE_EDEADLINE : 0) &&
			   out[i] == (codes[i] ? 0 : i + 1));
	kit_expect(strstr(f[0].text, "CPU") && strstr(f[0].text, "0.15") && f[0].index == 7);
	kit_expect(now() - begin < 10);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- serial and threads: seen when the item returns or asks ---- */

static int asks_and_spins(const void *arg, void *result)
{
	int i = *(const int *)arg;

	*(int *)result = 77;
	for (double end = now() + 2; i % 10 == 7 && now() < end;)
		if (tine_task_cancelled())
			return 0; /* EDEADLINE all the same */
	return add_one(arg, result);
}

static int returns_late(const void *arg, void *result)
{
	if (*(const int *)arg % 10 == 7)
		nap(0.06);
	return add_one(arg, result);
}

static int timeouts_in_the_host(void *kind)
{
	int in[N], out[N], codes[N];
	tine_failure f[N];
	size_t failed;
	double begin = now();
	tine_pool *pool = NEED_NEW(tine_pool_open(.kind = KIND(kind), .timeout = 0.04));

	numbers(in, N);
	NEED(TINE_EITEMS, tine_map(pool, asks_and_spins, in, N, sizeof(*in), out,
				   .result_size = sizeof(*out), .statuses = codes, .failures = f,
				   .max_failures = N, .failure_count = &failed));
	kit_expect(now() - begin < 1);
	check(codes, out, f, failed, TINE_EDEADLINE);
	NEED(TINE_EITEMS, tine_map(pool, returns_late, in, N, sizeof(*in), out,
				   .result_size = sizeof(*out), .statuses = codes, .failures = f,
				   .max_failures = N, .failure_count = &failed));
	check(codes, out, f, failed, TINE_EDEADLINE);
	NEED(0, tine_map(pool, returns_late, in, N, sizeof(*in), out, .result_size = sizeof(*out),
			 .timeout = TINE_FOREVER));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO(timeouts),
		SCENARIO(timeout_of_a_future),
		SCENARIO(lifted_and_own_time),
		SCENARIO(innocents),
		SCENARIO(stopped_without_a_limit),
		SCENARIO(stopped_with_a_deadline),
		SCENARIO(memory_limit),
		SCENARIO(tiny_memory_limit),
		SCENARIO(cpu_limit),
		SCENARIO_SERIAL(timeouts_in_the_host),
		SCENARIO_THREADS(timeouts_in_the_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
