/* SPDX-License-Identifier: MIT */
/*
 * A task farm: tasks of very different length go to whichever worker is free, and a task that
 * cannot be done says why in its own words.
 *
 * Python:  pool.map(count_primes, limits, chunksize=1), with `raise ValueError(...)` in the task
 */
#include <stdio.h>
#include <tine.h>

enum { COUNT = 8 };

static int is_prime(int n)
{
	for (int d = 2; d * d <= n; d++)
		if (n % d == 0)
			return 0;
	return n > 1;
}

static int count_primes(const void *arg, void *result)
{
	int limit = *(const int *)arg, *count = result;

	if (limit < 0)
		return tine_task_fail(7, "there are no primes below %d", limit);
	for (int n = 0; n < limit; n++)
		*count += is_prime(n);
	return 0;
}

int main(void)
{
	const int limits[COUNT] = {10, 300000, 100, 1000, -5, 200000, 10000, 2};
	int counts[COUNT], statuses[COUNT];
	tine_failure failure;
	tine_pool *pool = tine_pool_open();

	if (!pool)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	int code =
		tine_map(pool, count_primes, limits, COUNT, sizeof(int), counts, sizeof(int),
			 .chunk = 1, .statuses = statuses, .failures = &failure, .max_failures = 1);
	for (int i = 0; i < COUNT; i++) {
		if (statuses[i] == 0)
			printf("%d primes below %d\n", counts[i], limits[i]);
		else
			printf("status %d: %s\n", statuses[i], failure.text);
	}
	return tine_pool_close(pool, TINE_FOREVER) != 0 || code != TINE_EITEMS;
}
