/* SPDX-License-Identifier: MIT */
/*
 * Workers change slices of one shared array in place: nothing is copied, nothing is sent back.
 *
 * Python:  data = sharedmem.empty(100); slices = distribute(len(data))
 *          pool.apply_async(apply_sqrt, (data, imin, imax))
 */
#include <math.h>
#include <stdio.h>
#include <tine.h>

enum { COUNT = 100, SLICES = 4 };

typedef struct slice {
	double *data; /* shared: the same address in every worker */
	tine_range range;
} slice;

static int apply_sqrt(const void *arg, void *result)
{
	const slice *part = arg;

	(void)result;
	for (size_t i = part->range.begin; i < part->range.end; i++)
		part->data[i] = sqrt(part->data[i]);
	return 0;
}

int main(void)
{
	double *data = tine_shared_alloc(COUNT * sizeof(*data));
	tine_pool *pool = tine_pool_open();
	tine_future *futures[SLICES];

	if (!data || !pool)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	for (int i = 0; i < COUNT; i++)
		data[i] = i;
	for (int i = 0; i < SLICES; i++) {
		slice part = {data, tine_distribute(COUNT, SLICES, (size_t)i)};
		futures[i] = tine_submit(pool, apply_sqrt, &part, sizeof(part), 0);
	}
	if (tine_wait(futures, SLICES, TINE_ALL, NULL, TINE_FOREVER) != 0)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	for (int i = 0; i < COUNT; i++)
		printf("%.4f%c", data[i], i % 10 == 9 ? '\n' : ' ');
	for (int i = 0; i < SLICES; i++)
		tine_future_free(futures[i]);
	tine_shared_free(data);
	return tine_pool_close(pool, TINE_FOREVER) != 0;
}
