/* SPDX-License-Identifier: MIT */
/* tine_submit() and what can be done with a future before, while and after its item runs. */
#include "scenario.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GARBAGE = 0xa5 };

typedef struct board { /* shared: what tasks tell */
	_Atomic int begun, ended;
	_Atomic bool go;
} board;

static board *the_board;

static tine_pool *open_pool(void *kind, int workers)
{
	the_board = NEED_NEW(tine_shared_alloc(sizeof(*the_board), .zero = true));
	return NEED_NEW(tine_pool_open(.workers = workers, .kind = KIND(kind)));
}

static bool soon(_Atomic int *counter, int value)
{
	for (double end = now() + 5; now() < end; nap(0.0005))
		if (atomic_load(counter) >= value)
			return true;
	return false;
}

static int sum_bytes(const void *arg, void *result)
{
	const unsigned char *bytes = arg;
	uint64_t size, sum = 0;

	memcpy(&size, bytes, sizeof(size));
	for (uint64_t i = sizeof(size); i < size; i++)
		sum += bytes[i];
	for (uint64_t i = 0; i < size; i += sizeof(sum))
		memcpy((char *)result + i, &sum, sizeof(sum));
	return 0;
}

static int add_one(const void *arg, void *result)
{
	*(int *)result = *(const int *)arg + 1;
	return 0;
}

static int waits_for_go(const void *arg, void *result)
{
	atomic_fetch_add(&the_board->begun, 1);
	while (!atomic_load(&the_board->go))
		nap(0.0005);
	atomic_fetch_add(&the_board->ended, 1);
	*(int *)result = *(const int *)arg + 1;
	return 0;
}

/* 0: it does what it likes; 1: it stops when asked and returns a code; 2: it stops and says that it is well. */
static int listens(const void *arg, void *result)
{
	int how = *(const int *)arg;

	atomic_fetch_add(&the_board->begun, 1);
	while (how == 0 || !tine_task_cancelled())
		nap(0.0005);
	*(int *)result = 55;
	atomic_fetch_add(&the_board->ended, 1);
	return how == 1 ? 9 : 0;
}

static int fails(const void *arg, void *result)
{
	memset(result, GARBAGE, sizeof(int));
	return *(const int *)arg;
}

/* ---- arguments and results ---- */

static void submit_size(tine_pool *pool, uint64_t size, bool shared)
{
	unsigned char *arg = shared ? NEED_NEW(tine_shared_alloc(size)) : NEED_NEW(malloc(size));
	unsigned char *result = malloc(size);
	uint64_t sum = 0;

	memcpy(arg, &size, sizeof(size));
	for (uint64_t i = sizeof(size); i < size; i++)
		sum += arg[i] = (unsigned char)(i * 7);
	tine_future *f = NEED_NEW(tine_submit(pool, sum_bytes, arg, size, .result_size = size));
	if (!shared)
		memset(arg, GARBAGE, size); /* it was copied */
	memset(result, 0, size);
	NEED(0, tine_future_get(f, result, TINE_FOREVER));
	kit_expect(memcmp(result, &sum, sizeof(sum)) == 0);
	kit_expect(memcmp(result + size - sizeof(sum), &sum, sizeof(sum)) == 0);
	tine_future_free(f);
	free(result);
	if (shared)
		tine_shared_free(arg);
	else
		free(arg);
}

static int every_size(void *kind)
{
	static const uint64_t sizes[] = {8,  16,  40,   48,   56,     88,
					 96, 104, 1000, 4096, 100000, 3 << 20};
	tine_pool *pool = open_pool(kind, 2);
	size_t before = heap_in_use();

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (int shared = 0; shared < 2; shared++)
			submit_size(pool, sizes[i], shared);
	kit_expect(heap_settles(before));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int repeated_get(void *kind)
{
	tine_pool *pool = open_pool(kind, 1);
	int in = 41, out = 0;
	tine_future *f =
		NEED_NEW(tine_submit(pool, add_one, &in, sizeof(in), .result_size = sizeof(out)));

	for (int i = 0; i < 3; i++) {
		out = 0;
		NEED(0, tine_future_get(f, &out, 10));
		kit_expect(out == 42);
		NEED(0, tine_future_get(f, NULL, 0));
		NEED(0, tine_future_wait(f, 0));
		NEED(0, tine_future_status(f));
		NEED(0, tine_future_cancel(f, 0)); /* too late */
	}
	kit_expect(!tine_future_failure(f));
	tine_future_free(f);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int pending(void *arg)
{
	tine_pool *pool = open_pool(arg, 1);
	int in = 1, out = 77;
	tine_future *f = NEED_NEW(
		tine_submit(pool, waits_for_go, &in, sizeof(in), .result_size = sizeof(out)));
	double begin = now();

	NEED(TINE_EPENDING, tine_future_status(f));
	kit_expect(!tine_future_failure(f));
	NEED(TINE_ETIMEDOUT, tine_future_get(f, &out, 0));
	NEED(TINE_ETIMEDOUT, tine_future_get(f, &out, 0.05));
	NEED(TINE_ETIMEDOUT, tine_future_wait(f, 0.05));
	kit_expect(now() - begin >= 0.1 && now() - begin < 2 && out == 77);
	atomic_store(&the_board->go, true);
	NEED(0, tine_future_get(f, &out, TINE_FOREVER));
	kit_expect(out == 2);
	tine_future_free(f);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int failing(void *kind)
{
	static const int codes[] = {
		1, 3, 2147483647, TINE_ESHAPE, TINE_ECRASHED, -5000, TINE_EPENDING};
	tine_pool *pool = open_pool(kind, 2);

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		int out = GARBAGE, expected = codes[i] == -5000 ? TINE_ETASK : codes[i];
		tine_future *f = NEED_NEW(tine_submit(pool, fails, &codes[i], sizeof(int),
						      .result_size = sizeof(out)));

		NEED(expected, tine_future_get(f, &out, TINE_FOREVER));
		kit_expect(out == 0);
		NEED(0, tine_future_wait(f, TINE_FOREVER));
		kit_expect(tine_future_status(f) == expected);
		const tine_failure *why = NEED_NEW((void *)(uintptr_t)tine_future_failure(f));
		kit_expect(why == tine_future_failure(f));
		kit_expect(why->code == expected && why->index == 0 && why->attempts == 1 &&
			   why->worker >= 0);
		kit_expect(why->pid > 0 && why->signal == 0 && strstr(why->text, "item 0"));
		tine_future_free(f);
	}
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- cancelling ---- */

static int cancel_before_it_begins(void *arg)
{
	tine_pool *pool = open_pool(arg, 1);
	int in = 1, out = GARBAGE;
	tine_future *first = NEED_NEW(
		tine_submit(pool, waits_for_go, &in, sizeof(in), .result_size = sizeof(out)));

	kit_expect(soon(&the_board->begun, 1));
	tine_future *second = NEED_NEW(
		tine_submit(pool, waits_for_go, &in, sizeof(in), .result_size = sizeof(out)));
	NEED(0, tine_future_cancel(second, 0));
	NEED(TINE_ECANCELLED, tine_future_get(second, &out, 0)); /* at once */
	kit_expect(out == 0);
	const tine_failure *why = tine_future_failure(second);
	kit_expect(why && why->attempts == 0 && why->worker == -1 && why->pid == 0);
	atomic_store(&the_board->go, true);
	NEED(0, tine_future_get(first, &out, TINE_FOREVER));
	kit_expect(out == 2);
	tine_future_free(first);
	tine_future_free(second);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	kit_expect(atomic_load(&the_board->begun) == 1);
	return 0;
}

static tine_future *running(tine_pool *pool, int how)
{
	int before = atomic_load(&the_board->begun);
	tine_future *f =
		NEED_NEW(tine_submit(pool, listens, &how, sizeof(how), .result_size = sizeof(how)));

	kit_expect(soon(&the_board->begun, before + 1));
	return f;
}

/* What a running item does with the grace it gets, and what the future then ends with. */
static int cancel_while_it_runs(void *arg)
{
	static const struct {
		int how;
		double grace;
		int code, out;
	} rows[] = {{0, 0, TINE_ECANCELLED, 0},
		    {0, 0.05, TINE_ECANCELLED, 0},
		    {1, 5, 9, 0},
		    {2, 5, 0, 55},
		    {1, TINE_FOREVER, 9, 0},
		    {2, TINE_FOREVER, 0, 55}};
	tine_pool *pool = open_pool(arg, 1);

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int out = GARBAGE;
		tine_future *f = running(pool, rows[i].how);
		double begin = now();

		NEED(0, tine_future_cancel(f, rows[i].grace));
		kit_expect(now() - begin < 1);
		NEED(rows[i].code, tine_future_get(f, &out, 4));
		kit_expect(out == rows[i].out && now() - begin < 2);
		tine_future_free(f);
	}
	kit_expect(pool_figures(pool).overtime == 0);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* One that was only asked first may be given less grace later. */
static int cancel_harder(void *arg)
{
	tine_pool *pool = open_pool(arg, 1);
	tine_future *f = running(pool, 0);

	NEED(0, tine_future_cancel(f, TINE_FOREVER));
	NEED(TINE_ETIMEDOUT, tine_future_wait(f, 0.05));
	NEED(0, tine_future_cancel(f, 0.01));
	NEED(TINE_ECANCELLED, tine_future_get(f, NULL, 4));
	tine_future_free(f);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- freeing ---- */

static int free_while_it_runs(void *arg)
{
	tine_pool *pool = open_pool(arg, 2);
	int in = 1;
	size_t before = heap_in_use();

	for (int i = 0; i < 10; i++)
		tine_future_free(NEED_NEW(
			tine_submit(pool, waits_for_go, &in, sizeof(in), .result_size = 5000)));
	kit_expect(soon(&the_board->begun, 2));
	atomic_store(&the_board->go, true);
	kit_expect(soon(&the_board->ended, 10)); /* they run on, also those that had not begun */
	kit_expect(heap_settles(before));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int readable_after_the_end(void *kind)
{
	enum { N = 20 };
	tine_future *list[N];
	size_t nothing = heap_in_use();

	for (int terminate = 0; terminate < 2; terminate++) {
		tine_pool *pool = open_pool(kind, 2);
		for (int i = 0; i < N; i++)
			list[i] = NEED_NEW(tine_submit(pool, add_one, &i, sizeof(i),
						       .result_size = sizeof(i)));
		if (terminate)
			NEED(0, tine_wait(list, N, TINE_ALL, NULL, TINE_FOREVER));
		NEED(0,
		     terminate ? tine_pool_terminate(pool) : tine_pool_close(pool, TINE_FOREVER));
		for (int i = 0; i < N; i++) {
			int out = 0;

			NEED(0, tine_future_status(list[i]));
			NEED(0, tine_future_get(list[i], &out, 0));
			kit_expect(out == i + 1);
			tine_future_free(list[i]);
		}
		tine_shared_free(the_board);
		kit_expect(heap_in_use() == nothing || nothing == 0);
		nothing = heap_in_use();
	}
	return 0;
}

static int terminate_ends_the_rest(void *arg)
{
	tine_pool *pool = open_pool(arg, 1);
	int in = 1, out;
	tine_future *done =
		NEED_NEW(tine_submit(pool, add_one, &in, sizeof(in), .result_size = sizeof(in)));
	NEED(0, tine_future_wait(done, TINE_FOREVER));
	tine_future *runs = running(pool, 0);
	tine_future *queued =
		NEED_NEW(tine_submit(pool, add_one, &in, sizeof(in), .result_size = sizeof(in)));
	double begin = now();

	NEED(0, tine_pool_terminate(pool));
	kit_expect(now() - begin < 1);
	NEED(0, tine_future_get(done, &out, 0));
	kit_expect(out == 2);
	NEED(TINE_ECANCELLED, tine_future_get(runs, &out, 0));
	kit_expect(out == 0);
	NEED(TINE_ECANCELLED, tine_future_get(queued, &out, 0));
	kit_expect(tine_future_failure(queued) && tine_future_failure(runs));
	tine_future_free(done);
	tine_future_free(runs);
	tine_future_free(queued);
	return 0;
}

/* ---- several ---- */

static int wait_modes(void *arg)
{
	enum { N = 5 };
	tine_pool *pool = open_pool(arg, 2);
	tine_future *list[N];
	size_t index = 99;
	int in = 0, out;

	list[0] = NEED_NEW(
		tine_submit(pool, waits_for_go, &in, sizeof(in), .result_size = sizeof(in)));
	NEED(TINE_ETIMEDOUT, tine_wait(list, 1, TINE_ANY, &index, 0.02));
	NEED(TINE_ETIMEDOUT, tine_wait(list, 1, TINE_ALL, &index, 0));
	for (in = 1; in < 4; in++)
		list[in] = NEED_NEW(
			tine_submit(pool, add_one, &in, sizeof(in), .result_size = sizeof(in)));
	in = 6;
	NEED(0, tine_wait(list, 4, TINE_ANY, &index, TINE_FOREVER));
	kit_expect(index >= 1 && index < 4);
	NEED(0, tine_wait(list + 1, 3, TINE_FIRST_ERROR, NULL, TINE_FOREVER));
	NEED(0, tine_wait(list + 1, 3, TINE_ALL, &index, TINE_FOREVER));
	kit_expect(index < 3);
	list[4] = NEED_NEW(tine_submit(pool, fails, &in, sizeof(in), .result_size = sizeof(in)));
	NEED(6, tine_wait(list, N, TINE_FIRST_ERROR, &index, TINE_FOREVER));
	kit_expect(index == 4);
	NEED(6, tine_wait(list + 4, 1, TINE_ANY, &index, TINE_FOREVER));
	kit_expect(index == 0);
	NEED(TINE_ETIMEDOUT, tine_wait(list, N, TINE_ALL, &index, 0.05));
	atomic_store(&the_board->go, true);
	NEED(0, tine_wait(list, N, TINE_ALL, &index, TINE_FOREVER)); /* 0, however they ended */
	kit_expect(index == 0);
	NEED(0, tine_future_get(list[0], &out, 0));
	for (int i = 0; i < N; i++)
		tine_future_free(list[i]);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int wait_across_pools(void *arg)
{
	tine_pool *one = open_pool(arg, 1), *other = open_pool(arg, 1);
	int in = 1;
	size_t index;
	tine_future *list[2];

	list[0] = NEED_NEW(
		tine_submit(one, waits_for_go, &in, sizeof(in), .result_size = sizeof(in)));
	list[1] = NEED_NEW(tine_submit(other, add_one, &in, sizeof(in), .result_size = sizeof(in)));
	NEED(0, tine_wait(list, 2, TINE_ANY, &index, TINE_FOREVER));
	kit_expect(index == 1);
	NEED(0, tine_future_cancel(list[0], 0));
	NEED(0, tine_wait(list, 2, TINE_ALL, &index, TINE_FOREVER));
	tine_future_free(list[0]);
	tine_future_free(list[1]);
	NEED(0, tine_pool_close(one, TINE_FOREVER));
	NEED(0, tine_pool_close(other, TINE_FOREVER));
	return 0;
}

static int many(void *kind)
{
	enum { N = 100000 };
	tine_pool *pool = open_pool(kind, 2);
	tine_future **list = malloc(N * sizeof(tine_future *));
	size_t before = heap_in_use(), index = N;

	for (int i = 0; i < N; i++)
		list[i] = NEED_NEW(
			tine_submit(pool, add_one, &i, sizeof(i), .result_size = sizeof(i)));
	NEED(0, tine_wait(list, N, TINE_ALL, &index, TINE_FOREVER));
	kit_expect(index < N);
	for (int i = 0; i < N; i++) {
		int out = 0;

		NEED(0, tine_future_get(list[i], &out, TINE_FOREVER));
		kit_expect(out == i + 1);
		tine_future_free(list[i]);
	}
	free(list);
	kit_expect(heap_in_use() >= before);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	kit_expect(heap_in_use() < before);
	return 0;
}

static void *submits_many(void *pool)
{
	for (int i = 0; i < 2000; i++) {
		int out = 0;
		tine_future *f = NEED_NEW(
			tine_submit(pool, add_one, &i, sizeof(i), .result_size = sizeof(i)));

		NEED(0, tine_future_get(f, &out, TINE_FOREVER));
		kit_expect(out == i + 1);
		tine_future_free(f);
	}
	return NULL;
}

static int three_threads(void *kind)
{
	pthread_t threads[3];
	tine_pool *pool = open_pool(kind, 2);

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, submits_many, pool);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int strangers(void *arg)
{
	int in = 1, out = 0, status;
	tine_pool *pool = open_pool(arg, 1);
	tine_future *f =
		NEED_NEW(tine_submit(pool, add_one, &in, sizeof(in), .result_size = sizeof(in)));
	pid_t pid = fork();

	if (pid == 0) {
		NEED(TINE_ESTATE, tine_future_get(f, &out, 0));
		NEED(TINE_ESTATE, tine_future_wait(f, 0));
		NEED(TINE_ESTATE, tine_future_status(f));
		NEED(TINE_ESTATE, tine_future_cancel(f, 0));
		NEED_NULL(TINE_ESTATE, tine_future_failure(f));
		NEED(TINE_ESTATE, tine_wait(&f, 1, TINE_ALL, NULL, 0));
		tine_future_free(f); /* ignored */
		_exit(0);
	}
	kit_expect(waitpid(pid, &status, 0) == pid && status == 0);
	NEED(0, tine_future_get(f, &out, TINE_FOREVER));
	kit_expect(out == 2);
	tine_future_free(f);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO_EACH(every_size),
		SCENARIO_EACH(repeated_get),
		SCENARIO_WORKERS(pending),
		SCENARIO_EACH(failing),
		SCENARIO_WORKERS(cancel_before_it_begins),
		SCENARIO(cancel_while_it_runs),
		SCENARIO(cancel_harder),
		SCENARIO_WORKERS(free_while_it_runs),
		SCENARIO_EACH(readable_after_the_end),
		SCENARIO(terminate_ends_the_rest),
		SCENARIO_WORKERS(wait_modes),
		SCENARIO(wait_across_pools),
		SCENARIO_EACH(many),
		SCENARIO_EACH(three_threads),
		SCENARIO_EACH(strangers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
