/* SPDX-License-Identifier: MIT */
/*
 * Two loops whose iterations are of very different length, with each schedule.  Threads that have
 * nothing left take from others.
 *
 * Python:  numba's prange cuts the range once: of a triangular loop one of two threads does 3/4
 *
 * Who did how much is not the same in every run, so it goes to stderr; what was done is.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <tine.h>

enum { COUNT = 4000 };

typedef struct loop {
	const char *name;
	uint64_t (*cost)(size_t i); /* in units */
	_Atomic uint64_t check;     /* of all results; a sum does not depend on the order */
	unsigned char done[COUNT];
} loop;

static uint64_t *work; /* units of each thread */
static atomic_int threads_seen;
static _Thread_local int thread = -1;

static uint64_t triangular(size_t i)
{
	return i;
}

/* One is a million units, half of them are less than five hundred; in no order. */
static uint64_t heavy_tailed(size_t i)
{
	return 1000000 / (i * 1231 % COUNT + 1);
}

static uint64_t spend(uint64_t units)
{
	uint64_t x = units;

	while (units-- > 0)
		x = x * 6364136223846793005 + 1442695040888963407;
	return x;
}

static void body(size_t begin, size_t end, void *context)
{
	loop *l = context;

	if (thread < 0)
		thread = atomic_fetch_add(&threads_seen, 1);
	for (size_t i = begin; i < end; i++) {
		l->check += spend(l->cost(i));
		l->done[i]++; /* each has its own place: no lock */
		work[thread] += l->cost(i);
	}
}

static void tell(const loop *l, const char *schedule)
{
	uint64_t all = 0;
	size_t once = 0;

	for (size_t i = 0; i < COUNT; i++)
		once += l->done[i] == 1;
	fprintf(stderr, "%s, %s: the threads had", l->name, schedule);
	for (int k = 0; k < tine_num_threads(); k++)
		all += work[k];
	for (int k = 0; k < tine_num_threads(); k++)
		fprintf(stderr, " %.1f %%", 100.0 * (double)work[k] / (double)all);
	fprintf(stderr, " of the work\n");
	printf("%s, %s: %zu of %d iterations done once, %ju units, check %016jx\n", l->name,
	       schedule, once, COUNT, (uintmax_t)all, (uintmax_t)l->check);
}

static int run(const char *name, uint64_t (*cost)(size_t i))
{
	static const char *const schedules[] = {"AUTO", "STATIC", "DYNAMIC", "GUIDED"};

	for (tine_schedule s = TINE_SCHEDULE_AUTO; s <= TINE_SCHEDULE_GUIDED; s++) {
		loop l = {name, cost, 0, {0}};

		for (int k = 0; k < tine_num_threads(); k++)
			work[k] = 0;
		if (tine_for(0, COUNT, body, .context = &l, .schedule = s) != 0)
			return fprintf(stderr, "%s\n", tine_last_error()), 1;
		tell(&l, schedules[s]);
	}
	return 0;
}

int main(void)
{
	work = calloc((size_t)tine_num_threads(), sizeof(*work));
	if (!work)
		return 1;
	int code = run("triangular", triangular) | run("heavy-tailed", heavy_tailed);
	free(work);
	return code;
}
