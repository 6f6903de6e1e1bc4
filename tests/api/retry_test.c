/* SPDX-License-Identifier: MIT */
/* Further tries: how many, of what, and what they see; workers that are replaced after some items. */
#include "scenario.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 40 };

/* What an item does in its first tries; then it is well. */
typedef enum ending { CRASH, EXIT, HANG, CODE, ENDINGS } ending;
typedef struct order {
	ending how;
	int bad_tries;
} order;

static _Atomic int *tries; /* shared: begun, by item */

static int stumbles(const void *arg, void *result)
{
	const order *o = arg;
	size_t i = tine_task_index();
	int this_try = atomic_fetch_add(&tries[i], 1) + 1;
	char *bytes = result;

	if (tine_task_attempt() != this_try)
		return 60;
	for (int k = 0; k < 8; k++)
		if (this_try > 1 && bytes[k] != 0)
			return 61; /* what a lost try has left */
	memset(bytes, this_try, 8);
	if (this_try > o->bad_tries)
		return 0;
	switch (o->how) {
	case CRASH:
		raise(SIGKILL);
		break;
	case EXIT:
		exit(3);
	case HANG:
		pause();
		break;
	default:
		break;
	}
	return 5;
}

static const int code_of[ENDINGS] = {TINE_ECRASHED, TINE_EEXITED, TINE_EDEADLINE, 5};
static const int bit_of[ENDINGS] = {TINE_RETRY_CRASH, TINE_RETRY_CRASH, TINE_RETRY_DEADLINE,
				    TINE_RETRY_CODE};

/* The pool's retries, the call's, and what is tried again. */
typedef struct rule {
	int pool_retries, retries, retry_on;
} rule;

static void check_item(const rule *r, const order *o, int status, const char *result, int begun,
		       const tine_failure *failure)
{
	int retries = r->retries == 0 ? r->pool_retries : r->retries < 0 ? 0 : r->retries;
	int on = r->retry_on ? r->retry_on : TINE_RETRY_CRASH | TINE_RETRY_DEADLINE;
	int most = on & bit_of[o->how] ? retries + 1 : 1, needed = o->bad_tries + 1;

	if (needed <= most) {
		kit_expect(status == 0 && begun == needed && result[7] == needed);
		return;
	}
	kit_expect(status == code_of[o->how] && begun == most && result[0] == 0 && result[7] == 0);
	kit_expect(failure->code == status && failure->attempts == most);
	if (most > 1)
		kit_expect(strstr(failure->text, "attempts"));
}

static void run_rule(const rule *r, tine_pool_kind kind, size_t chunk)
{
	order in[N];
	char out[N][8];
	int codes[N];
	tine_failure failures[N];
	size_t failed = 0, k = 0;
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .retries = r->pool_retries,
						  .retry_on = r->retry_on, .kind = kind));

	memset((void *)tries, 0, N * sizeof(*tries));
	for (int i = 0; i < N;
	     i++) /* hangs are slow, and in the host they and deaths are its own */
		in[i] = (order){IN_HOST(kind) || (i % ENDINGS == HANG && i > 3)
					? CODE
					: (ending)(i % ENDINGS),
				i % 5 == 0   ? 3
				: i % 7 == 0 ? 1
					     : i % 2};
	(void)tine_map(pool, stumbles, in, N, sizeof(*in), out, .result_size = sizeof(*out),
		       .retries = r->retries, .statuses = codes, .failures = failures,
		       .max_failures = N, .failure_count = &failed, .chunk = chunk,
		       .timeout = IN_HOST(kind) ? 0 : 0.15);
	for (int i = 0; i < N; i++)
		check_item(r, &in[i], codes[i], out[i], atomic_load(&tries[i]),
			   &failures[codes[i] ? k++ : 0]);
	kit_expect(k == failed);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
}

static int rules(void *kind)
{
	static const rule all[] = {
		{0, 0, 0},
		{2, 0, 0},
		{0, 2, 0},
		{3, -1, 0},
		{3, 1, TINE_RETRY_CRASH},
		{0, 3, TINE_RETRY_CODE},
		{0, 3, TINE_RETRY_DEADLINE},
		{5, 0, TINE_RETRY_CRASH | TINE_RETRY_DEADLINE | TINE_RETRY_CODE},
	};

	tries = NEED_NEW(tine_shared_alloc(N * sizeof(*tries), .zero = true));
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		run_rule(&all[i], KIND(kind), i % 2 ? 1 : 7);
	return 0;
}

static int futures(void *arg)
{
	order in = {CRASH, 2};
	char out[8];
	tine_pool *pool;

	(void)arg;
	tries = NEED_NEW(tine_shared_alloc(sizeof(*tries), .zero = true));
	pool = NEED_NEW(tine_pool_open(.workers = 1, .retries = 1));
	tine_future *f = NEED_NEW(
		tine_submit(pool, stumbles, &in, sizeof(in), .result_size = 8, .retries = 2));
	NEED(0, tine_future_get(f, out, TINE_FOREVER));
	kit_expect(out[7] == 3 && !tine_future_failure(f));
	tine_future_free(f);
	for (int by_call = -1; by_call < 1; by_call++) { /* none; the pool's one */
		atomic_store(tries, 0);
		f = NEED_NEW(tine_submit(pool, stumbles, &in, sizeof(in), .result_size = 8,
					 .retries = by_call));
		NEED(TINE_ECRASHED, tine_future_get(f, out, TINE_FOREVER));
		kit_expect(out[7] == 0 && tine_future_failure(f)->attempts == by_call + 2);
		tine_future_free(f);
	}
	tine_pool_figures figures = pool_figures(pool);
	kit_expect(figures.retried == 3 && figures.crashed == 5);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- tasks_per_worker ---- */

static int tells_pid(const void *arg, void *result)
{
	*(int *)result = *(const int *)arg < 0 ? 0 : (int)getpid();
	return 0;
}

static void check_lives(const int *pids, int count, int most)
{
	int different = 0;

	for (int i = 0; i < count; i++) {
		int same = 0, first = 1;

		for (int k = 0; k < count; k++) {
			same += pids[k] == pids[i];
			first &= k >= i || pids[k] != pids[i];
		}
		kit_expect(pids[i] > 0 && same <= most);
		different += first;
	}
	kit_expect(different >= (count + most - 1) / most);
}

static int short_lives(void *arg)
{
	enum { ITEMS = 60 };
	static const size_t chunks[] = {1, 7, 0, 60}, lives[] = {1, 4, 10};
	int in[ITEMS] = {0}, out[ITEMS];

	(void)arg;
	for (size_t l = 0; l < sizeof(lives) / sizeof(*lives); l++) {
		tine_pool *pool =
			NEED_NEW(tine_pool_open(.workers = 2, .tasks_per_worker = lives[l]));

		for (size_t c = 0; c < sizeof(chunks) / sizeof(*chunks); c++) {
			memset(out, 0, sizeof(out));
			NEED(0, tine_map(pool, tells_pid, in, ITEMS, sizeof(*in), out,
					 .result_size = sizeof(*out), .chunk = chunks[c]));
			check_lives(out, ITEMS, (int)lives[l]);
		}
		kit_expect(pool_figures(pool).crashed == 0 &&
			   pool_figures(pool).items == 4 * ITEMS);
		NEED(0, tine_pool_close(pool, TINE_FOREVER));
	}
	return 0;
}

static int short_lives_of_futures(void *arg)
{
	enum { ITEMS = 12 };
	int in = 0, out[ITEMS];
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .tasks_per_worker = 3));

	(void)arg;
	for (int i = 0; i < ITEMS; i++) {
		tine_future *f = NEED_NEW(
			tine_submit(pool, tells_pid, &in, sizeof(in), .result_size = sizeof(in)));

		NEED(0, tine_future_get(f, &out[i], TINE_FOREVER));
		tine_future_free(f);
	}
	check_lives(out, ITEMS, 3);
	kit_expect(out[0] == out[2] && out[2] != out[3]);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO_EACH(rules),
		SCENARIO(futures),
		SCENARIO(short_lives),
		SCENARIO(short_lives_of_futures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
