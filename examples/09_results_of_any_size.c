/* SPDX-License-Identifier: MIT */
/*
 * Results whose size only the task knows: the task allocates them, the result is the pointer.
 *
 * Python:  return any list; there it is pickled, sent through a pipe and built again
 *
 * If an item fails, what it has allocated with tine_result_alloc() goes back by itself.
 */
#include <stdio.h>
#include <tine.h>

enum { COUNT = 6 };

typedef struct divisors {
	size_t count;
	int *list;
} divisors;

static int find_divisors(const void *arg, void *result)
{
	int n = *(const int *)arg;
	divisors *found = result;

	for (int d = 1; d <= n; d++)
		found->count += n % d == 0;
	found->list = tine_result_alloc(found->count * sizeof(int));
	if (!found->list)
		return TINE_ENOMEM;
	for (int d = 1, *next = found->list; d <= n; d++)
		if (n % d == 0)
			*next++ = d;
	return 0;
}

int main(void)
{
	const int numbers[COUNT] = {1, 12, 97, 360, 1001, 4096};
	divisors results[COUNT];
	tine_pool *pool = tine_pool_open();

	if (tine_map(pool, find_divisors, numbers, COUNT, sizeof(int), results, sizeof(divisors)) !=
	    0)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	for (int i = 0; i < COUNT; i++) {
		printf("%d:", numbers[i]);
		for (size_t k = 0; k < results[i].count; k++)
			printf(" %d", results[i].list[k]);
		printf("\n");
		tine_shared_free(results[i].list);
	}
	return tine_pool_close(pool, TINE_FOREVER) != 0;
}
