/* SPDX-License-Identifier: MIT */
/* Storms of futures while workers are killed, with random cancels and frees. */
#include "chaos.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 500, BATCHES = 200, FUTURES = BATCH * BATCHES, BIG = 64, BESIDE = 5000 };

/* How one future is made and what becomes of it. */
enum {
	BIG_ARGUMENT = 1,
	BIG_RESULT = 2,
	SLOW = 4,
	CANCEL = 8,
	FREE_EARLY = 16,
	SHARED = 32,
	RETRY = 64,
	NESTED = 128,
	BLOCK = 256 /* with BIG_RESULT: a block of its own goes with it, its address in the second word */
};
enum { CODE_NESTED = 9, HOW_BITS = 16 };

static struct {
	_Atomic uint8_t *runs;    /* shared: one a future of this pool */
	uint64_t *shared_args;    /* shared: BIG words for each of a batch */
	tine_pool *_Atomic *pool; /* shared: for items that submit */
} f;

typedef struct one {
	tine_future *future;
	uint64_t index;
	int how;
} one;

static uint64_t answer(uint64_t index)
{
	return chaos_mix(index) | 1;
}

static int inner(const void *arg, void *result)
{
	*(uint64_t *)result = *(const uint64_t *)arg + 1;
	return 0;
}

static int ask_the_pool(uint64_t number)
{
	uint64_t result = 0;
	tine_future *future =
		tine_submit(atomic_load(f.pool), inner, &number, sizeof(number),
			    .result_size = sizeof(result), .retries = number & RETRY ? 100 : -1);
	int rc = future ? tine_future_get(future, &result, TINE_FOREVER) : tine_last_code();

	tine_future_free(future);
	return rc == 0 && result != number + 1 ? CODE_NESTED + 1 : rc ? CODE_NESTED : 0;
}

static size_t block_words(uint64_t index)
{
	return chaos_mix(index) % 4 ? 4 + chaos_mix(index) % 200 : 20000;
}

static void make_block(uint64_t index, uint64_t *result)
{
	size_t n = block_words(index);
	uint64_t *block = tine_result_alloc(n * sizeof(*block));

	if (block)
		block[0] = block[n - 1] = index;
	result[1] = (uintptr_t)block;
}

static void take_block(const one *o, const uint64_t *result)
{
	uint64_t *block = (uint64_t *)(uintptr_t)result[1];

	if (!block || block[0] != o->index || block[block_words(o->index) - 1] != o->index)
		CHAOS_COUNT(wrong, "future %#llx: its block is not what it was",
			    (unsigned long long)o->index);
	tine_shared_free(block);
}

static int work(const void *arg, void *result)
{
	const uint64_t *words = arg;
	int rc = 0;

	killer_worked();
	atomic_fetch_add(&f.runs[words[0] >> HOW_BITS], 1);
	if (words[0] & SLOW)
		chaos_nap(0.001);
	if (words[0] & NESTED)
		rc = ask_the_pool(words[0]);
	if ((words[0] & BLOCK) && (words[0] & BIG_RESULT))
		make_block(words[0], result);
	*(uint64_t *)result = answer(words[0]);
	return rc;
}

static int choose(void)
{
	uint64_t r = chaos_random();

	return (r % 4 == 0 ? BIG_ARGUMENT : 0) | ((r >> 8) % 4 == 0 ? BIG_RESULT : 0) |
	       ((r >> 16) % 64 == 0 ? SLOW : 0) | ((r >> 24) % 8 == 0 ? CANCEL : 0) |
	       ((r >> 32) % 8 == 0 ? FREE_EARLY : 0) | ((r >> 40) % 2 ? SHARED : 0) |
	       ((r >> 48) % 4 == 0 ? RETRY : 0) | ((r >> 56) % 32 == 0 ? NESTED : 0) |
	       (chaos_random() % 2 ? BLOCK : 0);
}

static bool submit(tine_pool *pool, one *o, uint64_t number, int slot)
{
	uint64_t words[BIG] = {0}, *arg = words;

	o->how = choose();
	o->index = number << HOW_BITS | (uint64_t)o->how;
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
	uint8_t runs = atomic_load(&f.runs[o->index >> HOW_BITS]);
	bool may_fail = rc == TINE_ECRASHED || (rc == TINE_ECANCELLED && (o->how & CANCEL)) ||
			(rc == CODE_NESTED && (o->how & NESTED));

	if (!(o->how & RETRY) && runs > 1)
		CHAOS_COUNT(doubled, "future %#llx ran %u times", (unsigned long long)o->index,
			    runs);
	if (rc == 0 && runs == 0)
		CHAOS_COUNT(lost, "future %#llx never ran but gave 0",
			    (unsigned long long)o->index);
	else if (rc == 0 && result != answer(o->index))
		CHAOS_COUNT(wrong, "future %#llx: result %#llx", (unsigned long long)o->index,
			    (unsigned long long)result);
	else if (rc != 0 && (!may_fail || result != 0))
		CHAOS_COUNT(wrong, "future %#llx gave %d and %#llx: %s",
			    (unsigned long long)o->index, rc, (unsigned long long)result,
			    tine_last_error());
	if (rc != 0 && !tine_future_failure(o->future))
		CHAOS_COUNT(wrong, "future %#llx gave %d but has no story",
			    (unsigned long long)o->index, rc);
}

static void finish(one *o)
{
	uint64_t result[BIG];

	memset(result, 0xa5, sizeof(result));
	int rc = tine_future_get(o->future, result, TINE_FOREVER);
	check(o, rc, result[0]);
	if (rc == 0 && (o->how & BLOCK) && (o->how & BIG_RESULT))
		take_block(o, result);
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
	for (uint64_t i = 0; i < FUTURES; i++)
		if (atomic_load(&f.runs[i]) > 101) /* those with retries */
			CHAOS_COUNT(doubled, "future %llu ran %u times", (unsigned long long)i,
				    f.runs[i]);
}

/* Maps of another thread on the same pool. */
static _Atomic bool beside;

static void *map_beside(void *pool)
{
	static uint64_t in[BESIDE], out[BESIDE];
	static int codes[BESIDE];

	while (atomic_load(&beside)) {
		for (uint64_t i = 0; i < BESIDE; i++)
			in[i] = i;
		int rc = tine_map(pool, inner, in, BESIDE, sizeof(*in), out,
				  .result_size = sizeof(*out), .statuses = codes);
		for (uint64_t i = 0; i < BESIDE; i++)
			if (out[i] != (codes[i] ? 0 : i + 1) ||
			    (codes[i] != 0 && codes[i] != TINE_ECRASHED))
				CHAOS_COUNT(wrong,
					    "a map beside futures: item %llu has status %d and "
					    "result %llu",
					    (unsigned long long)i, codes[i],
					    (unsigned long long)out[i]);
		if (rc != 0 && rc != TINE_EITEMS)
			CHAOS_COUNT(wrong, "a map beside futures gave %d: %s", rc,
				    tine_last_error());
		atomic_fetch_add(&chaos->sum.maps, 1);
		atomic_fetch_add(&chaos->sum.items, BESIDE);
	}
	return NULL;
}

static bool run_pool(int workers, double end)
{
	pthread_t thread;
	tine_pool *pool = chaos_pool(workers, 0, killer_tell);

	if (!pool)
		return false;
	atomic_store(f.pool, pool);
	memset((void *)f.runs, 0, FUTURES);
	atomic_store(&beside, workers == 3);
	pthread_create(&thread, NULL, map_beside, pool);
	for (uint64_t b = 0; b < BATCHES && chaos_now() < end; b++) {
		chaos_begin("a batch of futures");
		killer_arm();
		bool ok = run_batch(pool, b * BATCH);
		atomic_store(&chaos->armed, 0);
		chaos_end();
		if (!ok)
			break;
	}
	chaos_begin("a map beside futures");
	atomic_store(&beside, false);
	pthread_join(thread, NULL);
	chaos_close(pool, 0);
	check_runs();
	return true;
}

void futures_run(double seconds)
{
	double end = chaos_now() + seconds;

	f.runs = tine_shared_alloc(FUTURES);
	f.pool = tine_shared_alloc(sizeof(*f.pool));
	f.shared_args = tine_shared_alloc(sizeof(uint64_t) * BIG * BATCH);
	for (int workers = 2; chaos_now() < end; workers = workers == 4 ? 2 : workers + 1)
		if (!run_pool(workers, end))
			break;
	tine_shared_free((void *)f.runs);
	tine_shared_free((void *)f.pool);
	tine_shared_free(f.shared_args);
}
