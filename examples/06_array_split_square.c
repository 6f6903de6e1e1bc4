/* SPDX-License-Identifier: MIT */
/*
 * Square a million doubles in four processes.
 *
 * Python:  pool = mp.Pool(processes=4); pool.map(np.square, np.array_split(arr, 4))
 *
 * The array and its squares lie in the shared heap, so that a part is two indices, not 2 MB.
 */
#include <stdio.h>
#include <tine.h>

enum { COUNT = 1000000, PARTS = 4 };

typedef struct arrays {
	double in[COUNT], out[COUNT];
} arrays;

static int square_part(const void *arg, void *result)
{
	const tine_range *part = arg;
	arrays *all = tine_task_context();

	(void)result;
	for (size_t i = part->begin; i < part->end; i++)
		all->out[i] = all->in[i] * all->in[i];
	return 0;
}

int main(void)
{
	arrays *all = tine_shared_alloc(sizeof(*all));
	tine_pool *pool = tine_pool_open(.workers = PARTS, .context = all);
	tine_range parts[PARTS];
	int wrong = 0;

	if (!all || !pool)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	for (int i = 0; i < COUNT; i++)
		all->in[i] = i * 0.001;
	for (int i = 0; i < PARTS; i++)
		parts[i] = tine_distribute(COUNT, PARTS, (size_t)i);
	if (tine_map(pool, square_part, parts, PARTS, sizeof(parts[0]), NULL, 0) != 0)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	for (int i = 0; i < COUNT; i++)
		wrong += all->out[i] != all->in[i] * all->in[i];
	printf("%d squares, %d wrong, the last is %.6f\n", COUNT, wrong, all->out[COUNT - 1]);
	tine_shared_free(all);
	return tine_pool_close(pool, TINE_FOREVER) != 0;
}
