/* SPDX-License-Identifier: MIT */
/*
 * What workers need before their first item is made once in each of them; what all share comes as
 * the context.
 *
 * Python:  Pool(2, initializer=make_table, initargs=(settings,)); the end of a worker has no hook
 */
#include <stdatomic.h>
#include <stdio.h>
#include <tine.h>

enum { COUNT = 12 };

typedef struct settings { /* in the shared heap */
	int factor;
	atomic_int begun, ended;
} settings;

static int table[COUNT]; /* each worker's own */

static int make_table(void *context)
{
	settings *shared = context;

	for (int i = 0; i < COUNT; i++)
		table[i] = shared->factor * i;
	atomic_fetch_add(&shared->begun, 1);
	return 0;
}

static void count_end(void *context)
{
	settings *shared = context;

	atomic_fetch_add(&shared->ended, 1);
}

static int look_up(const void *arg, void *result)
{
	(void)arg;
	*(int *)result = table[tine_task_index()];
	return 0;
}

int main(void)
{
	settings *shared = tine_shared_alloc(sizeof(*shared), .zero = true);
	int results[COUNT];

	if (!shared)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	shared->factor = 7;
	tine_pool *pool = tine_pool_open(.workers = 2, .init = make_table, .exit = count_end,
					 .context = shared);
	if (!pool || tine_map(pool, look_up, NULL, COUNT, 0, results, sizeof(int)) != 0)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	for (int i = 0; i < COUNT; i++)
		printf("%d%c", results[i], i == COUNT - 1 ? '\n' : ' ');
	int code = tine_pool_close(pool, TINE_FOREVER);
	printf("init ran in %d workers, exit in %d\n", shared->begun, shared->ended);
	tine_shared_free(shared);
	return code != 0;
}
