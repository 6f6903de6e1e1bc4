/* SPDX-License-Identifier: MIT */
/*
 * Three ways to stop early: a deadline for a whole map, a flag that anyone may raise, and
 * cancelling one future with a grace in which it can still give what it has.
 *
 * Python:  map_async().get(timeout) and Future.cancel() stop waiting; the work itself goes on
 */
#include <stdatomic.h>
#include <stdio.h>
#include <tine.h>
#include <unistd.h>

enum { COUNT = 6 };

/* Short or far too long. */
static int nap(const void *arg, void *result)
{
	(void)result;
	sleep(*(const unsigned *)arg);
	return 0;
}

static void show_deadline(tine_pool *pool)
{
	const unsigned seconds[COUNT] = {0, 0, 60, 0, 60, 60};
	int statuses[COUNT];
	int code = tine_map(pool, nap, seconds, COUNT, sizeof(seconds[0]), NULL, 0, .chunk = 1,
			    .deadline = 2, .statuses = statuses);

	printf("deadline: the map %s\n", code == TINE_EDEADLINE ? "ran out of time" : "went well");
	for (int i = 0; i < COUNT; i++)
		printf("  item %d: %s\n", i, statuses[i] == 0 ? "done" : "not finished");
}

typedef struct search {
	tine_cancel *cancel;
	int found;
} search;

/* Each item looks at one number; who finds it stops all others. */
static int look(const void *arg, void *result)
{
	search *shared = tine_task_context();

	(void)result;
	if (*(const unsigned *)arg == 4711) {
		shared->found = 4711;
		tine_cancel_request(shared->cancel);
	}
	sleep(60);
	return 0;
}

static void show_flag(tine_pool *pool)
{
	const unsigned numbers[] = {4711, 1, 2, 3};
	search *shared = tine_shared_alloc(sizeof(*shared), .zero = true);

	shared->cancel = tine_cancel_new();
	int code = tine_map(pool, look, numbers, 4, sizeof(numbers[0]), NULL, 0, .chunk = 1,
			    .context = shared, .cancel = shared->cancel);
	printf("flag: found %d, the map %s\n", shared->found,
	       code == TINE_ECANCELLED ? "was cancelled" : "went on");
	tine_cancel_free(shared->cancel);
	tine_shared_free(shared);
}

/* Better with every round, and good enough at any time. */
static int improve(const void *arg, void *result)
{
	atomic_bool *begun = tine_task_context();
	int *quality = result;

	(void)arg;
	for (*quality = 1; !tine_task_cancelled(); *quality = 2)
		atomic_store(begun, true);
	return 0;
}

static void show_grace(tine_pool *pool)
{
	atomic_bool *begun = tine_shared_alloc(sizeof(*begun), .zero = true);
	tine_future *future = tine_submit(pool, improve, NULL, 0, sizeof(int), .context = begun);
	int quality = 0;

	while (!atomic_load(begun))
		tine_future_wait(future, 0.01);
	tine_future_cancel(future, 10);
	int code = tine_future_get(future, &quality, TINE_FOREVER);
	printf("grace: %s, quality %d\n", code == 0 ? "it returned in time" : "it was killed",
	       quality);
	tine_future_free(future);
	tine_shared_free(begun);
}

int main(void)
{
	tine_pool *pool = tine_pool_open(.workers = 2);

	if (!pool)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	show_deadline(pool);
	show_flag(pool);
	show_grace(pool);
	return tine_pool_close(pool, TINE_FOREVER) != 0;
}
