/* SPDX-License-Identifier: MIT */
/*
 * Submit calls one by one, do something else, and get each result when it is wanted.
 *
 * Python:  results = [pool.apply_async(sqrt, (x,)) for x in range(100)]
 *          roots = [r.get() for r in results]
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
	tine_future *futures[COUNT];
	tine_pool *pool = tine_pool_open();
	double sum = 0;

	for (int x = 0; x < COUNT; x++) /* x is copied before the call returns */
		futures[x] = tine_submit(pool, root, &x, sizeof(x), sizeof(double));
	for (int x = 0; x < COUNT; x++) {
		double result;
		if (!futures[x] || tine_future_get(futures[x], &result, TINE_FOREVER) != 0)
			return fprintf(stderr, "%s\n", tine_last_error()), 1;
		if (x % 10 == 0)
			printf("sqrt(%d) = %.4f\n", x, result);
		sum += result;
		tine_future_free(futures[x]);
	}
	printf("sum of the roots: %.4f\n", sum);
	return tine_pool_close(pool, TINE_FOREVER) != 0;
}
