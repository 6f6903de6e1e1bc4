/* SPDX-License-Identifier: MIT */
/* Storms of futures while workers are killed, with random cancels and frees. */
#include "chaos.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 500, BATCHES = 200, FUTURES = BATCH * BATCHES, BIG = 64 };

/* How one future is made and what becomes of it. */
enum { BIG_ARGUMENT = 1, BIG_RESULT = 2, SLOW = 4, CANCEL = 8, FREE_EARLY = 16, SHARED = 32, RETRY = 64 };

static struct {
	_Atomic uint8_t *runs; /* shared: one a future of this pool */
	uint64_t *shared_args; /* shared: BIG words for each of a batch */
} f;

typedef struct one {
	tine_future *future;
	uint64_t index;
	int how;
} one;

static uint64_t answer(uint64_t index) { return chaos_mix(index) | 1; }

static int work(const void *arg, void *result)
{
	const uint64_t *words = arg;

	killer_worked();
	atomic_fetch_add(&f.runs[words[0] >> 8], 1);
	if (words[0] & SLOW)
		chaos_nap(0.001);
	*(uint64_t *)result = answer(words[0]);
	return 0;
}

static int choose(void)
{
	uint64_t r = chaos_random();

	return (r % 4 == 0 ? BIG_ARGUMENT : 0) | ((r >> 8) % 4 == 0 ? BIG_RESULT : 0) |
	       ((r >> 16) % 64 == 0 ? SLOW : 0) | ((r >> 24) % 8 == 0 ? CANCEL : 0) |
	       ((r >> 32) % 8 == 0 ? FREE_EARLY : 0) | ((r >> 40) % 2 ? SHARED : 0) |
	       ((r >> 48) % 4 == 0 ? RETRY : 0);
}

static bool submit(tine_pool *pool, one *o, uint64_t number, int slot)
{
	uint64_t words[BIG] = {0}, *arg = words;

	o->how = choose();
	o->index = number << 8 | (uint64_t)o->how;
	if (o->how & SHARED)
		arg = f.shared_args + (size_t)slot * BIG;
	arg[0] = o->index;
	o->future = tine_submit(pool, work, arg, sizeof(*arg) * (o->how & BIG_ARGUMENT ? BIG : 1),
				.result_size = sizeof(*arg) * (o->how & BIG_RESULT ? BIG : 1),
				.retries = o->how & RETRY ? 100 : -1);
	if (!o->future)
		CHAOS_COUNT(lost, "tine_submit: %s", tine_last_error());
	return o->future != NULL;
}

/* What a cancel leaves to the future: nothing, half a millisecond, all the time it likes. */
static void cancel(one *o)
{
	static const double graces[] = {0, 0.0005, TINE_FOREVER};

	if (tine_future_cancel(o->future, graces[chaos_random() % 3]) != 0)
		CHAOS_COUNT(wrong, "tine_future_cancel: %s", tine_last_error());
}

static void check(const one *o, int rc, uint64_t result)
{
	uint8_t runs = atomic_load(&f.runs[o->index >> 8]);
	bool may_fail = rc == TINE_ECRASHED || (rc == TINE_ECANCELLED && (o->how & CANCEL));

	if (rc == 0 && runs == 0)
		CHAOS_COUNT(lost, "future %#llx never ran but gave 0", (unsigned long long)o->index);
	else if (rc == 0 && result != answer(o->index))
		CHAOS_COUNT(wrong, "future %#llx: result %#llx", (unsigned long long)o->index,
			    (unsigned long long)result);
	else if (rc != 0 && (!may_fail || result != 0))
		CHAOS_COUNT(wrong, "future %#llx gave %d and %#llx: %s", (unsigned long long)o->index, rc,
			    (unsigned long long)result, tine_last_error());
	if (rc != 0 && !tine_future_failure(o->future))
		CHAOS_COUNT(wrong, "future %#llx gave %d but has no story", (unsigned long long)o->index, rc);
}

static void finish(one *o)
{
	uint64_t result[BIG];

	memset(result, 0xa5, sizeof(result));
	int rc = tine_future_get(o->future, result, TINE_FOREVER);
	check(o, rc, result[0]);
	tine_future_free(o->future);
}

static bool run_batch(tine_pool *pool, uint64_t first)
{
	one batch[BATCH];

	for (int i = 0; i < BATCH; i++)
		if (!submit(pool, &batch[i], first + (uint64_t)i, i))
			return false;
	for (int i = 0; i < BATCH; i++)
		if (batch[i].how & CANCEL)
			cancel(&batch[i]);
	for (int i = 0; i < BATCH; i++)
		if ((batch[i].how & FREE_EARLY) && !(batch[i].how & SHARED))
			tine_future_free(batch[i].future);
	for (int i = 0; i < BATCH; i++)
		if (!(batch[i].how & FREE_EARLY) || (batch[i].how & SHARED))
			finish(&batch[i]);
	atomic_fetch_add(&chaos->sum.items, BATCH);
	return true;
}

static void check_runs(void)
{
	/* The futures with retries may run more than once: at most a few of these counts. */
	for (uint64_t i = 0; i < FUTURES; i++)
		if (atomic_load(&f.runs[i]) > 101)
			CHAOS_COUNT(doubled, "future %llu ran %u times", (unsigned long long)i, f.runs[i]);
}

static bool run_pool(int workers, double end)
{
	tine_pool *pool = chaos_pool(workers, 0, killer_tell);

	if (!pool)
		return false;
	memset((void *)f.runs, 0, FUTURES);
	for (uint64_t b = 0; b < BATCHES && chaos_now() < end; b++) {
		chaos_begin("a batch of futures");
		killer_arm();
		bool ok = run_batch(pool, b * BATCH);
		atomic_store(&chaos->armed, 0);
		chaos_end();
		if (!ok)
			break;
	}
	chaos_close(pool, 0);
	check_runs();
	return true;
}

void futures_run(double seconds)
{
	double end = chaos_now() + seconds;

	f.runs = tine_shared_alloc(FUTURES);
	f.shared_args = tine_shared_alloc(sizeof(uint64_t) * BIG * BATCH);
	for (int workers = 2; chaos_now() < end; workers = workers == 4 ? 2 : workers + 1)
		if (!run_pool(workers, end))
			break;
	tine_shared_free((void *)f.runs);
	tine_shared_free(f.shared_args);
}
