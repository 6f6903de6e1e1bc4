/* SPDX-License-Identifier: MIT */
/*
 * A loop on four threads, and the same loop on the workers of a pool.
 *
 * Python:  result = Parallel(n_jobs=4)(delayed(compute)(x) for x in np.arange(1000000))
 *
 * The body gets a part of the range, not one index, so that the loop in it stays a loop for the
 * compiler.  Threads see all memory of the program; processes see the shared heap.
 */
#include <stdio.h>
#include <string.h>
#include <tine.h>

enum { COUNT = 1000000 };

typedef struct arrays {
	int64_t in[COUNT], out[COUNT];
} arrays;

static void compute(size_t begin, size_t end, void *context)
{
	arrays *all = context;

	for (size_t i = begin; i < end; i++)
		all->out[i] = all->in[i] * all->in[i];
}

static void check_and_clear(const char *where, arrays *all)
{
	int wrong = 0;

	for (int64_t i = 0; i < COUNT; i++)
		wrong += all->out[i] != i * i;
	printf("on %s: %d squares, %d wrong, the last is %jd\n", where, COUNT, wrong,
	       (intmax_t)all->out[COUNT - 1]);
	memset(all->out, 0, sizeof(all->out));
}

int main(void)
{
	arrays *all = tine_shared_alloc(sizeof(*all));
	tine_pool *pool = tine_pool_open(.workers = 2);

	if (!all || !pool)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	for (int i = 0; i < COUNT; i++)
		all->in[i] = i;
	if (tine_for(0, COUNT, compute, .context = all, .threads = 4) != 0)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	check_and_clear("threads", all);
	if (tine_for(0, COUNT, compute, .context = all, .pool = pool) != 0)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	check_and_clear("a pool", all);
	tine_shared_free(all);
	return tine_pool_close(pool, TINE_FOREVER) != 0;
}
