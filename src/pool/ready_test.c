/* SPDX-License-Identifier: MIT */
/* Hints: ready bits against a plain list, order from the head, sleep and wake with a futex that a
 * test drives. */
#include "kit/kit.h"

#include <stdlib.h>
#include <string.h>

#include <tine/heap.h>

#include "base/futex.h"
#include "pool/job.h"
#include "pool/ready.h"

enum { SLOTS = 70, RING = 512 };

static tine_pool pool;

static int set_up(void **state)
{
	(void)state;
	memset(&pool, 0, sizeof pool);
	pool.slots = SLOTS;
	pool.workers = SLOTS;
	pool.segment = tine_shared_alloc(TINI_SEGMENTS * sizeof *pool.segment, .zero = true);
	pool.ready_segments =
		tine_shared_alloc(TINI_SEGMENTS / 64 * sizeof *pool.ready_segments, .zero = true);
	pool.asleep = tine_shared_alloc((SLOTS / 64 + 1) * sizeof *pool.asleep, .zero = true);
	pool.slot = tine_shared_alloc(SLOTS * sizeof *pool.slot, .zero = true);
	for (int i = 0; i < RING / TINI_SEGMENT_JOBS; i++)
		atomic_store(&pool.segment[i],
			     tine_shared_alloc(sizeof(tini_segment), .zero = true));
	atomic_store(&pool.ring, RING);
	return pool.slot ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < RING / TINI_SEGMENT_JOBS; i++)
		tine_shared_free(atomic_load(&pool.segment[i]));
	tine_shared_free((void *)pool.segment);
	tine_shared_free((void *)pool.ready_segments);
	tine_shared_free((void *)pool.asleep);
	tine_shared_free(pool.slot);
	return 0;
}

static int64_t reference_find(const bool *set, uint32_t head)
{
	for (uint32_t i = 0; i < RING; i++)
		if (set[(head + i) % RING])
			return (head + i) % RING;
	return -1;
}

static void test_random_bits(void **state)
{
	bool set[RING] = {false};

	(void)state;
	srand(1);
	for (int step = 0; step < 200000; step++) {
		uint32_t i = (uint32_t)rand() % RING;

		if (rand() % 3 == 0) {
			tini_ready_set(&pool, i);
			set[i] = true;
		} else {
			tini_ready_clear(&pool, i);
			set[i] = false;
		}
		int64_t expected = reference_find(set, atomic_load(&pool.head));
		assert_int_equal(tini_ready_find(&pool, false), expected);
	}
}

static int waits, wakes;
static void (*during_wait)(void);

static int fake_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline)
{
	(void)deadline;
	waits++;
	if (during_wait && atomic_load(word) == expected)
		during_wait();
	assert_int_not_equal(atomic_load(word), expected); /* else it would sleep for ever */
	return 0;
}

static int fake_wake(_Atomic uint32_t *word, int n)
{
	(void)word;
	(void)n;
	wakes++;
	return 1;
}

static const tini_futex_ops fake = {fake_wait, fake_wake};

static bool never(void *context)
{
	return context != NULL;
}

static void wake_the_sleeper(void)
{
	assert_true(tini_wake_one(&pool));
}

static void test_sleeper_is_woken(void **state)
{
	(void)state;
	tini_futex = &fake;
	waits = wakes = 0;
	during_wait = wake_the_sleeper;
	tini_sleep(&pool, 69, never, NULL);
	assert_int_equal(waits, 1);
	assert_int_equal(wakes, 1);
	assert_false(tini_wake_one(&pool)); /* its bit is gone */
	tini_futex = &tini_futex_kernel;
}

static void test_no_sleep_beside_work(void **state)
{
	(void)state;
	tini_futex = &fake;
	waits = 0;
	tini_ready_set(&pool, 300);
	tini_sleep(&pool, 3, never, NULL);
	assert_int_equal(waits, 0);
	tini_ready_clear(&pool, 300);
	tini_sleep(&pool, 3, never, &waits); /* told to stop */
	assert_int_equal(waits, 0);
	tini_futex = &tini_futex_kernel;
}

/* A waker that dies between the bit and the bell: whoever mends rings all bells without a bit. */
static void test_lost_bell(void **state)
{
	(void)state;
	atomic_store(&pool.slot[5].pid, 1);
	uint32_t before = atomic_load(&pool.slot[5].bell);
	tini_wake_lost(&pool);
	assert_int_equal(atomic_load(&pool.slot[5].bell), before + 1);
	atomic_fetch_or(&pool.asleep[0], 1u << 5);
	tini_wake_lost(&pool);
	assert_int_equal(atomic_load(&pool.slot[5].bell), before + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random_bits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sleeper_is_woken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_sleep_beside_work, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lost_bell, set_up, tear_down)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
