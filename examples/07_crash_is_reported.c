/* SPDX-License-Identifier: MIT */
/*
 * One item crashes, one calls exit(), one never ends.  Each is reported; all others have results.
 *
 * Python:  the same with multiprocessing.Pool.map() waits for ever; with ProcessPoolExecutor all
 *          results are lost (BrokenProcessPool).
 *
 * failures[i].text tells more, also where it crashed: the line, the address, the worker's pid.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tine.h>
#include <unistd.h>

enum { COUNT = 8 };

static int work(const void *arg, void *result)
{
	int item = *(const int *)arg, *volatile nowhere = NULL;

	if (item == 2)
		return *nowhere;
	if (item == 4)
		exit(3);
	if (item == 6)
		for (;;)
			pause();
	*(int *)result = 10 * item;
	return 0;
}

int main(void)
{
	int items[COUNT] = {0, 1, 2, 3, 4, 5, 6, 7}, results[COUNT], statuses[COUNT];
	tine_failure failures[COUNT];
	size_t failed;
	tine_pool *pool = tine_pool_open(.workers = 2, .timeout = 0.5);

	if (!pool)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	int code = tine_map(pool, work, items, COUNT, sizeof(int), results, sizeof(int),
			    .statuses = statuses, .failures = failures, .max_failures = COUNT,
			    .failure_count = &failed);
	printf("tine_map: %s\n", tine_strerror(code));
	for (int i = 0; i < COUNT; i++)
		printf("item %d: %s, result %d\n", i, tine_strerror(statuses[i]), results[i]);
	for (size_t i = 0; i < failed; i++)
		printf("failure of item %zu: code %d, signal: %s\n", failures[i].index,
		       failures[i].code,
		       failures[i].signal ? strsignal(failures[i].signal) : "none");
	return tine_pool_close(pool, TINE_FOREVER) != 0 || code != TINE_EITEMS;
}
