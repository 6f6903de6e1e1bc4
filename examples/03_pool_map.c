/* SPDX-License-Identifier: MIT */
/*
 * A pool calls one function for many arguments; the results stand in order.
 *
 * Python:  roots = Pool().map(sqrt, range(100))
 */
#include <math.h>
#include <stdio.h>
#include <tine.h>

enum { COUNT = 100 };

static int root(const void *arg, void *result)
{
	*(double *)result = sqrt(*(const int *)arg);
	return 0;
}

int main(void)
{
	int numbers[COUNT];
	double roots[COUNT];
	tine_pool *pool = tine_pool_open(); /* one worker per CPU */

	for (int i = 0; i < COUNT; i++)
		numbers[i] = i;
	if (!pool || tine_map(pool, root, numbers, COUNT, sizeof(int), roots, sizeof(double)) != 0)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	for (int i = 0; i < COUNT; i++)
		printf("%.4f%c", roots[i], i % 10 == 9 ? '\n' : ' ');
	return tine_pool_close(pool, TINE_FOREVER) != 0;
}
