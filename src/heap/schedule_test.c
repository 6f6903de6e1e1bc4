/* SPDX-License-Identifier: MIT */
/*
 * Two at the same place: one stands at a step, which the kill hook makes known, and the other acts
 * there.
 *
 * What threads meet by chance once in a million times is made to happen each time.
 */
#include "kit/kit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tine/heap.h>

#include "base/error.h"
#include "base/killpoint.h"
#include "heap/actor.h"
#include "heap/adopt.h"
#include "heap/heap.h"
#include "heap/run.h"
#include "heap/slab.h"

static const char *where; /* act at this step, */
static int passes;        /* the passes-th time, */
static void (*act)(void); /* so */

static void at_step(const char *name)
{
	if (where && !strcmp(name, where) && !--passes) {
		where = NULL; /* before: what it does may pass steps itself */
		act();
	}
}

static void act_at(const char *step, int pass, void (*what)(void))
{
	where = step;
	passes = pass;
	act = what;
	tini_kill_hook = at_step;
}

static void assert_acted(void)
{
	assert_null(where);
	tini_kill_hook = NULL;
}

static void assert_empty(void)
{
	tine_heap_figures figures = {.struct_size = sizeof(figures)};
	const char *why;

	if (!tini_heap_valid(&why))
		fail_msg("%s", why);
	assert_int_equal(tine_heap_stats(&figures), 0);
	assert_int_equal(figures.in_use, 0);
	tini_slab_close_all(tini_actor_me());
	assert_int_equal(tini_backed(TINI_SMALL, 1), 0);
	assert_int_equal(tini_backed(TINI_ARRAYS, 1), 0);
}

static pid_t in_child(void (*fn)(void))
{
	assert_int_equal(tini_heap_start(), 0);
	pid_t pid = fork();
	if (!pid) {
		fn();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return pid;
}

/* ---- an address remembered beyond the life of its slab */

static void test_stale_block(void **state)
{
	tini_block block;

	(void)state;
	char *p = tine_shared_alloc(5000);
	uint32_t page = (uint32_t)((size_t)(p - tini_the_heap.pages.base) / TINI_PAGE);
	uint64_t w = atomic_load(&tini_the_heap.pages.words[page]);
	assert_true(tini_block_at(&block, page, w, (size_t)p % TINI_PAGE));
	tine_shared_free(p);
	assert_true(tini_slab_close(page, tini_actor_me(), true));
	char *q = tine_shared_alloc(5000); /* the same page, in its next life */
	assert_ptr_equal(p, q);
	assert_int_equal(tini_block_state(&block), TINI_BLOCK_FREE);
	assert_false(tini_block_change(&block, TINI_BLOCK_GIVEN));
	assert_false(tini_block_free(&block));
	assert_int_equal(tini_heap_block_size(q), tini_classes[tini_class_for(5000)].size);
	tine_shared_free(q);
	assert_empty();
}

/* ---- the owner of a slab dies, and is adopted, while another closes it */

static pid_t owner;

static void leave_empty_slabs(void)
{
	for (unsigned i = 0; i < TINI_CLASSES; i++)
		tine_shared_free(tine_shared_alloc(tini_classes[i].size));
}

static void leave_a_block(void)
{
	leave_empty_slabs();
	(void)!tine_shared_alloc(48);
}

static void bury_owner(void)
{
	tini_heap_actor_died(owner);
}

static void test_owner_dies_while_closed(void **state)
{
	static const char *const steps[] = {"slab-closing", "slab-shutting", "slab-shut"};

	(void)state;
	for (int i = 0; i < 3; i++)
		for (int pass = 1; pass < 20; pass += 6) {
			owner = in_child(leave_empty_slabs);
			act_at(steps[i], pass, bury_owner);
			tini_slab_close_all(tini_actor_me());
			assert_acted();
			assert_empty();
		}
}

/* The same where the slab turns out not to be empty: it is opened again, and nobody's. */
static char *late;

static void alloc_late_and_bury(void)
{
	late = tine_shared_alloc(48);
	tini_kill_hook = NULL;
}

static void test_block_comes_while_closed(void **state)
{
	(void)state;
	for (int pass = 1; pass <= 57; pass += 8) { /* the class of 48 bytes has 57 words */
		tine_shared_free(tine_shared_alloc(48));
		act_at("slab-shutting", pass, alloc_late_and_bury);
		tini_slab_close_all(tini_actor_me());
		assert_acted();
		assert_int_equal(tini_heap_block_size(late), 48);
		tine_shared_free(late);
		assert_empty();
	}
}

static void test_orphans_while_closed(void **state)
{
	tine_heap_figures figures = {.struct_size = sizeof(figures)};

	(void)state;
	owner = in_child(leave_a_block);
	act_at("slab-shutting", 1, bury_owner);
	tini_slab_close_all(tini_actor_me());
	assert_acted();
	assert_int_equal(tine_heap_stats(&figures), 0);
	assert_int_equal(figures.in_use, 48);
	assert_int_equal(figures.orphaned, 48);
	for (uint32_t i = 0; i < atomic_load(&tini_the_heap.pages.marks->top); i++)
		tine_shared_free(tini_unit_address(&tini_the_heap.pages, i));
	assert_empty();
}

/* ---- a process dies while two of its threads free runs, one where a part of the other was */

static void write_word(uint32_t unit, uint64_t w)
{
	atomic_store(&tini_the_heap.granules.words[unit], w);
}

/*
 * By hand: units 0 to 9 were a run; its freer had let 7 to 9 go.  They became a run again, which
 * another thread of the same process was freeing, and had marked but its last unit.
 */
static void leave_nested_frees(void)
{
	unsigned me = tini_actor_me();
	char *p = tine_shared_alloc(20 << 20, .lazy = true);
	uint32_t first = (uint32_t)((size_t)(p - tini_the_heap.granules.base) / TINI_GRANULE);

	write_word(first, tini_unit(TINI_RELEASING, me, 10));
	for (uint32_t i = 1; i < 7; i++)
		write_word(first + i, tini_unit(TINI_RELEASED, me, 0));
	write_word(first + 7, tini_unit(TINI_EMPTYING, me, 3));
	write_word(first + 8, tini_unit(TINI_RELEASED, me, 0));
	write_word(first + 9, tini_unit(TINI_TENTATIVE, me, 0));
}

static void *taken[64];
static int taken_count;

/* As another process would: take every granule that looks free, from the lowest and from the last
 * two on. */
static void take_granules(const char *name)
{
	if (strcmp(name, "run-mending") != 0)
		return;
	for (uint32_t from = 0; from <= 8 && taken_count < 64; from += 8) {
		atomic_store(&tini_the_heap.granules.marks->hint[0], from);
		taken[taken_count++] = tine_shared_alloc(2 << 20, .lazy = true);
	}
}

static void test_nested_frees(void **state)
{
	(void)state;
	pid_t pid = in_child(leave_nested_frees);
	taken_count = 0;
	tini_kill_hook = take_granules;
	tini_heap_actor_died(pid);
	tini_kill_hook = NULL;
	assert_true(taken_count > 5);
	for (int i = 0; i < taken_count; i++) {
		assert_int_equal(tini_heap_block_size(taken[i]), 2 << 20);
		for (int k = 0; k < i; k++)
			assert_ptr_not_equal(taken[i], taken[k]);
	}
	assert_true(tini_heap_valid(NULL));
	for (int i = 0; i < taken_count; i++)
		tine_shared_free(taken[i]);
	assert_empty();
}

/* ---- a run is handed over, or its actor adopted, while it is freed */

static char *run;

static void hand_run_over(void)
{
	tini_heap_hand_over(run);
}

static void test_handed_over_while_claimed(void **state)
{
	(void)state;
	run = tine_shared_alloc(3 << 20);
	act_at("run-emptying", 1, hand_run_over); /* too late: it is no block any more */
	tine_shared_free(run);
	assert_acted();
	assert_empty();
}

static void leave_a_run(void)
{
	run = tine_shared_alloc(6 << 20);
	tini_heap_line(1);
	atomic_store((_Atomic uintptr_t *)tini_heap_line(1), (uintptr_t)run);
}

static void test_adopted_after_hand_over(void **state)
{
	tine_heap_figures figures = {.struct_size = sizeof(figures)};

	(void)state;
	pid_t pid = in_child(leave_a_run);
	run = (char *)atomic_load((_Atomic uintptr_t *)tini_heap_line(1));
	act_at("adopt-claimed", 1, hand_run_over);
	tini_heap_actor_died(pid);
	assert_acted();
	assert_int_equal(tine_heap_stats(&figures), 0);
	assert_int_equal(figures.orphaned, 0);
	assert_int_equal(figures.in_use, 6 << 20);
	tine_shared_free(run);
	assert_empty();
}

/* ---- two free the same block: one does, the other is told */

enum { ROUNDS = 4000 };

static _Atomic(void *) contested;
static _Atomic int ready, refused;

/* Both come at the same moment, as near as two processors can. */
static void meet(int round)
{
	atomic_fetch_add(&ready, 1);
	for (int spins = 0; atomic_load(&ready) < 2 * round; spins++)
		if (spins > 1000)
			sched_yield();
}

static void free_contested(int round)
{
	meet(2 * round + 1);
	unsigned long told = tini_error_count();
	tine_shared_free(atomic_load(&contested));
	if (tini_error_count() != told && tine_last_code() == TINE_EINVAL)
		atomic_fetch_add(&refused, 1);
	meet(2 * round + 2);
}

static void *free_rounds(void *arg)
{
	for (int round = 0; round < ROUNDS; round++)
		free_contested(round);
	return arg;
}

static void free_by_two(size_t size)
{
	pthread_t other;

	atomic_store(&refused, 0);
	atomic_store(&ready, 0);
	atomic_store(&contested, tine_shared_alloc(size, .lazy = true));
	pthread_create(&other, NULL, free_rounds, NULL);
	for (int round = 0; round < ROUNDS; round++) {
		bool again = round + 1 < ROUNDS;
		free_contested(round);
		/* the other waits in its next meet() until the block is there */
		atomic_store(&contested, again ? tine_shared_alloc(size, .lazy = true) : NULL);
	}
	pthread_join(other, NULL);
	assert_int_equal(refused, ROUNDS);
	assert_empty();
}

static void test_contested_free(void **state)
{
	(void)state;
	free_by_two(100);
	free_by_two(32768);
	free_by_two(100000);
	free_by_two(5 << 20);
}

/* ---- two allocate at the same moment: never the same */

static _Atomic uintptr_t got[2];

static void alloc_contested(int number, size_t size, int round)
{
	meet(3 * round + 1);
	char *p = tine_shared_alloc(size, .lazy = true);
	atomic_store(&got[number], (uintptr_t)p);
	meet(3 * round + 2);
	if (!p || atomic_load(&got[0]) == atomic_load(&got[1]))
		atomic_fetch_add(&refused, 1);
	meet(3 * round + 3);
	tine_shared_free(p);
}

static void *alloc_rounds(void *arg)
{
	for (int round = 0; round < 4 * ROUNDS; round++)
		alloc_contested(1, *(size_t *)arg, round);
	return arg;
}

static void alloc_by_two(size_t size)
{
	pthread_t other;

	atomic_store(&refused, 0);
	atomic_store(&ready, 0);
	pthread_create(&other, NULL, alloc_rounds, &size);
	for (int round = 0; round < 4 * ROUNDS; round++)
		alloc_contested(0, size, round);
	pthread_join(other, NULL);
	assert_int_equal(refused, 0);
	assert_empty();
}

static void test_contested_alloc(void **state)
{
	(void)state;
	alloc_by_two(32768);
	alloc_by_two(65536);
	alloc_by_two(8 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stale_block),
		cmocka_unit_test(test_owner_dies_while_closed),
		cmocka_unit_test(test_block_comes_while_closed),
		cmocka_unit_test(test_orphans_while_closed),
		cmocka_unit_test(test_nested_frees),
		cmocka_unit_test(test_handed_over_while_claimed),
		cmocka_unit_test(test_adopted_after_hand_over),
		cmocka_unit_test(test_contested_free),
		cmocka_unit_test(test_contested_alloc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
