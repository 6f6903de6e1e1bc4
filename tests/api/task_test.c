/* SPDX-License-Identifier: MIT */
/* What a task can ask and say about itself, and blocks that go with its result. */
#include "scenario.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct self {
	size_t index;
	int attempt, worker, pid;
	bool cancelled;
	void *context;
} self;

static int look_at_self(const void *arg, void *result)
{
	(void)arg;
	*(self *)result = (self){tine_task_index(), tine_task_attempt(),   tine_task_worker(),
				 (int)getpid(),     tine_task_cancelled(), tine_task_context()};
	return 0;
}

static void check_self(const self *s, size_t index, int workers, const void *context)
{
	kit_expect(s->index == index && s->attempt == 1 && !s->cancelled && s->context == context);
	kit_expect(s->worker >= 0 && s->worker < workers);
}

static int questions(void *kind)
{
	enum { N = 200 };
	self out[N], one;
	int *context = NEED_NEW(tine_shared_alloc(16)), *other = NEED_NEW(tine_shared_alloc(16));
	tine_pool *pool =
		NEED_NEW(tine_pool_open(.workers = 3, .kind = KIND(kind), .context = context));
	bool serial = KIND(kind) == TINE_SERIAL;

	NEED(0, tine_map(pool, look_at_self, NULL, N, 0, out, .result_size = sizeof(*out)));
	for (size_t i = 0; i < N; i++) {
		check_self(&out[i], i, serial ? 1 : 3, context);
		kit_expect((out[i].pid == getpid()) == IN_HOST(KIND(kind)));
	}
	NEED(0, tine_map(pool, look_at_self, NULL, N, 0, out, .result_size = sizeof(*out),
			 .context = other));
	check_self(&out[N - 1], N - 1, 3, other);
	tine_future *f = NEED_NEW(tine_submit(pool, look_at_self, NULL, 0,
					      .result_size = sizeof(one), .context = other));
	NEED(0, tine_future_get(f, &one, TINE_FOREVER));
	check_self(&one, 0, 3, other);
	tine_future_free(f);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int outside_a_task(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2; i++) {
		kit_expect(tine_task_index() == 0 && tine_task_attempt() == 0 &&
			   tine_task_worker() == -1);
		kit_expect(!tine_task_cancelled() && !tine_task_context());
		kit_expect(tine_task_fail(5, "not in a task") == 5 &&
			   tine_task_fail(0, "x") == TINE_ETASK);
		NEED_NULL(TINE_ESTATE, tine_result_alloc(10));
		tine_pool *pool =
			NEED_NEW(tine_pool_open(.workers = 1)); /* also with a pool in the house */
		NEED(0, tine_pool_close(pool, TINE_FOREVER));
	}
	return 0;
}

static int says(const void *arg, void *result)
{
	static const char long_text[] =
		"0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789012345678901234567890123456789";

	(void)result;
	switch (*(const int *)arg) {
	case 0:
		return tine_task_fail(42, "no row %d in %s", 17, "the table");
	case 1:
		return tine_task_fail(TINE_ESHAPE, "%s", long_text);
	case 2:
		return tine_task_fail(0, "zero is no failure");
	case 3:
		return tine_task_fail(-4711, "not a code");
	case 4:
		tine_task_fail(42, "said but not meant");
		return 0;
	case 5:
		return tine_task_fail(42, NULL);
	default:
		return 3; /* what another item of this worker said is not told here */
	}
}

static int own_words(void *kind)
{
	enum { N = 7 };
	static const int codes[N] = {42, TINE_ESHAPE, TINE_ETASK, TINE_ETASK, 0, 42, 3};
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .kind = KIND(kind)));
	int in[N], got[N];
	tine_failure f[N];

	for (int i = 0; i < N; i++)
		in[i] = i;
	NEED(TINE_EITEMS, tine_map(pool, says, in, N, sizeof(*in), NULL, .statuses = got,
				   .failures = f, .max_failures = N));
	kit_expect(memcmp(got, codes, sizeof(codes)) == 0);
	kit_expect(strstr(f[0].text, "no row 17 in the table"));
	kit_expect(strstr(f[1].text, "0123456789") && strlen(f[1].text) < sizeof(f[1].text));
	kit_expect(strstr(f[2].text, "zero is no failure") && strstr(f[3].text, "not a code"));
	kit_expect(f[4].index == 5 && strlen(f[4].text) > 0 && !strstr(f[4].text, "said but"));
	kit_expect(f[5].index == 6 && !strstr(f[5].text, "said but") && strstr(f[5].text, "3"));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* The library's own last error becomes the story where the task passes the code on. */
static int passes_on(const void *arg, void *result)
{
	(void)arg;
	(void)result;
	return tine_shared_alloc((size_t)1 << 60) ? 0 : tine_last_code();
}

static int passed_on_errors(void *kind)
{
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .kind = KIND(kind)));
	tine_failure f;

	NEED(TINE_EITEMS,
	     tine_map(pool, passes_on, NULL, 1, 0, NULL, .failures = &f, .max_failures = 1));
	kit_expect(f.code == TINE_ENOMEM && strstr(f.text, "ENOMEM"));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* A thread that an item starts belongs to its item. */
static void *asks(void *out)
{
	look_at_self(NULL, out);
	return NULL;
}

static int starts_a_thread(const void *arg, void *result)
{
	pthread_t thread;

	(void)arg;
	if (pthread_create(&thread, NULL, asks, result) != 0)
		return 1;
	return pthread_join(thread, NULL);
}

static int threads_of_an_item(void *arg)
{
	enum { N = 50 };
	self out[N];
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2));

	(void)arg;
	NEED(0, tine_map(pool, starts_a_thread, NULL, N, 0, out, .result_size = sizeof(*out),
			 .chunk = 1));
	for (size_t i = 0; i < N; i++)
		check_self(&out[i], i, 2, NULL);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- tine_result_alloc() ---- */

enum { BLOCK = 10000 };

/* How the item ends that has made two blocks. */
enum { WELL, FAILS, CRASHES, EXITS, HANGS };

static int makes_blocks(const void *arg, void *result)
{
	int how = *(const int *)arg;
	char *extra = tine_result_alloc(0), *block = tine_result_alloc(BLOCK);

	if (!block || !extra || !tine_is_shared(block) || block[BLOCK - 1] != 0)
		return 50;
	memset(block, how + 1, BLOCK);
	*(char **)result = block;
	if (how == CRASHES)
		raise(SIGKILL);
	if (how == EXITS)
		exit(0);
	while (how == HANGS)
		pause();
	return how == FAILS ? 1 : 0;
}

static int makes_one_block(const void *arg, void *result)
{
	(void)arg;
	char *block = tine_result_alloc(BLOCK);
	if (!block)
		return 50;
	memset(block, 7, BLOCK);
	*(char **)result = block;
	return 0;
}

static int blocks_of_a_map(void *kind)
{
	enum { N = 30 };
	char *out[N];
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .kind = KIND(kind)));
	size_t before = heap_in_use();

	NEED(0, tine_map(pool, makes_one_block, NULL, N, 0, out, .result_size = sizeof(*out)));
	for (int i = 0; i < N; i++) {
		kit_expect(out[i][0] == 7 && out[i][BLOCK - 1] == 7);
		tine_shared_free(out[i]);
	}
	kit_expect(heap_settles(before));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* Whatever ends the item: its blocks go back, and the worker's death orphans none. */
static int blocks_of_failed_items(void *arg)
{
	static const int how[] = {FAILS, CRASHES, EXITS, HANGS, FAILS, CRASHES};
	enum { N = sizeof(how) / sizeof(*how) };
	char *out[N];
	int codes[N];
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .timeout = 0.1));
	size_t before = heap_in_use();
	tine_heap_figures figures = {.struct_size = sizeof(figures)};

	(void)arg;
	NEED(TINE_EITEMS, tine_map(pool, makes_blocks, how, N, sizeof(*how), out,
				   .result_size = sizeof(*out), .statuses = codes, .chunk = 2));
	kit_expect(codes[0] == 1 && codes[1] == TINE_ECRASHED && codes[2] == TINE_EEXITED &&
		   codes[3] == TINE_EDEADLINE);
	for (int i = 0; i < N; i++)
		kit_expect(!out[i]);
	kit_expect(heap_settles(before));
	NEED(0, tine_heap_stats(&figures));
	kit_expect(figures.orphaned == 0);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int blocks_of_futures(void *kind)
{
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .kind = KIND(kind)));
	size_t before = heap_in_use();
	int in = FAILS;
	char *block;

	/* fetched: the caller's, also after the future is freed */
	tine_future *f =
		NEED_NEW(tine_submit(pool, makes_one_block, NULL, 0, .result_size = sizeof(block)));
	NEED(0, tine_future_get(f, &block, TINE_FOREVER));
	tine_future_free(f);
	kit_expect(block[BLOCK - 1] == 7);
	tine_shared_free(block);
	/* never fetched */
	f = NEED_NEW(tine_submit(pool, makes_one_block, NULL, 0, .result_size = sizeof(block)));
	NEED(0, tine_future_wait(f, TINE_FOREVER));
	tine_future_free(f);
	/* failed */
	f = NEED_NEW(
		tine_submit(pool, makes_blocks, &in, sizeof(in), .result_size = sizeof(block)));
	NEED(1, tine_future_get(f, &block, TINE_FOREVER));
	kit_expect(!block);
	tine_future_free(f);
	kit_expect(heap_settles(before));
	/* never fetched, and the pool closes first */
	f = NEED_NEW(tine_submit(pool, makes_one_block, NULL, 0, .result_size = sizeof(block)));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	tine_future_free(f);
	kit_expect(heap_in_use() < before);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO_EACH(questions),         SCENARIO(outside_a_task),
		SCENARIO_EACH(own_words),         SCENARIO_EACH(passed_on_errors),
		SCENARIO(threads_of_an_item),     SCENARIO_EACH(blocks_of_a_map),
		SCENARIO(blocks_of_failed_items), SCENARIO_EACH(blocks_of_futures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
