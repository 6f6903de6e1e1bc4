/* SPDX-License-Identifier: MIT */
/* Many threads of one process in the heap at once: starting it, exchanging blocks, closing slabs
 * under each other. */
#include "kit/kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tine/heap.h>

#include "heap/actor.h"
#include "heap/figures.h"
#include "heap/heap.h"
#include "heap/layout.h"
#include "heap/slab.h"

#ifdef __SANITIZE_THREAD__
enum { STEPS = 20000 };
#else
enum { STEPS = 150000 };
#endif
enum { THREADS = 4, SLOTS = 512 };

static _Atomic uintptr_t slots[SLOTS];
static _Atomic long wrong;
static _Atomic bool stop;

static void run_threads(void *(*fn)(void *), int n)
{
	pthread_t threads[16];

	for (intptr_t i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fn, (void *)(i + 1)), 0);
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static void assert_empty(void)
{
	tine_heap_figures figures = {.struct_size = sizeof(figures)};
	const char *why;

	if (!tini_heap_valid(&why))
		fail_msg("%s", why);
	assert_int_equal(tine_heap_stats(&figures), 0);
	assert_int_equal(figures.in_use, 0);
	assert_int_equal(figures.orphaned, 0);
}

static void *first_block(void *arg)
{
	char *p = tine_shared_alloc(100);

	if (!p || tini_heap_start())
		atomic_fetch_add(&wrong, 1);
	else
		memset(p, 1, 100);
	tine_shared_free(p);
	return arg;
}

static void test_start(void **state)
{
	(void)state;
	run_threads(first_block, 16);
	assert_int_equal(wrong, 0);
	assert_empty();
}

static uint64_t draw(uint64_t *random_state)
{
	*random_state ^= *random_state << 13;
	*random_state ^= *random_state >> 7;
	*random_state ^= *random_state << 17;
	return *random_state;
}

/* The first and the last word of a block say what its address and size are. */
static void *new_block(uint64_t *r)
{
	unsigned bits = draw(r) % 200 ? 4 + draw(r) % 11 : 15 + draw(r) % 7;
	size_t size = (16 + draw(r) % ((size_t)1 << bits)) & ~(size_t)7;
	uint64_t *p = tine_shared_alloc(size, .zero = bits < 8);

	if (!p || (bits < 8 && p[0]))
		atomic_fetch_add(&wrong, 1);
	if (p)
		p[0] = p[size / 8 - 1] = (uintptr_t)p * 0x9e3779b97f4a7c15 ^ size;
	return p;
}

static void drop_block(uint64_t *p)
{
	size_t size = p[0] ^ (uintptr_t)p * 0x9e3779b97f4a7c15;

	if (size > tini_heap_block_size(p) || p[size / 8 - 1] != p[0])
		atomic_fetch_add(&wrong, 1);
	tine_shared_free(p);
}

static void *exchange(void *arg)
{
	uint64_t r = (uintptr_t)arg * 0x9e3779b97f4a7c15;

	for (int i = 0; i < STEPS; i++) {
		void *p = draw(&r) % 2 ? new_block(&r) : NULL;
		uintptr_t before = atomic_exchange(&slots[draw(&r) % SLOTS], (uintptr_t)p);
		if (before)
			drop_block((void *)before);
	}
	return arg;
}

/* Close slabs while others allocate in them, and look at everything. */
static void *meddle(void *arg)
{
	tine_heap_figures figures = {.struct_size = sizeof(figures)};

	while (!atomic_load(&stop)) {
		tini_slab_close_all(tini_actor_me());
		if (tine_heap_stats(&figures) || figures.orphaned)
			atomic_fetch_add(&wrong, 1);
	}
	return arg;
}

/* Runs alone, so many and so short-lived that claims meet. */
static void *exchange_runs(void *arg)
{
	uint64_t r = (uintptr_t)arg * 0x9e3779b97f4a7c15;

	for (int i = 0; i < STEPS / 8; i++) {
		size_t size = (size_t)1 << (16 + draw(&r) % 8);
		uint64_t *p = draw(&r) % 2 ? tine_shared_alloc(size, .lazy = true) : NULL;
		uint64_t *before = (uint64_t *)atomic_exchange(&slots[draw(&r) % 32], (uintptr_t)p);
		if (before && !tini_heap_block_size(before))
			atomic_fetch_add(&wrong, 1);
		tine_shared_free(before);
	}
	return arg;
}

static void empty_slots(void (*drop)(uint64_t *p))
{
	for (int i = 0; i < SLOTS; i++) {
		uint64_t *p = (uint64_t *)atomic_exchange(&slots[i], 0);
		if (p)
			drop(p);
	}
}

static void drop_run(uint64_t *p)
{
	tine_shared_free(p);
}

static void test_runs(void **state)
{
	(void)state;
	run_threads(exchange_runs, THREADS);
	assert_int_equal(atomic_load(&wrong), 0);
	assert_true(tini_heap_valid(NULL));
	empty_slots(drop_run);
	assert_empty();
}

static void test_exchange(void **state)
{
	pthread_t meddler;

	(void)state;
	run_threads(exchange, THREADS);
	empty_slots(drop_block);
	assert_empty();
	pthread_create(&meddler, NULL, meddle, NULL);
	run_threads(exchange, THREADS);
	atomic_store(&stop, true);
	pthread_join(meddler, NULL);
	empty_slots(drop_block);
	assert_int_equal(atomic_load(&wrong), 0);
	assert_empty();
}

/* Children of a process whose threads are in the middle of allocating. */
static void *fork_often(void *arg)
{
	for (int i = 0; i < 30; i++) {
		int status = -1;
		pid_t pid = fork();
		if (!pid) {
			void *p = tine_shared_alloc(100), *q = tine_shared_alloc(100000);
			tine_shared_free(p);
			tine_shared_free(q);
			_exit(!p || !q);
		}
		waitpid(pid, &status, 0);
		if (status)
			atomic_fetch_add(&wrong, 1);
		tini_heap_actor_died(pid);
	}
	atomic_store(&stop, true);
	return arg;
}

static void *alloc_all_along(void *arg)
{
	uint64_t r = (uintptr_t)arg;

	while (!atomic_load(&stop)) {
		void *p = new_block(&r);
		if (p)
			drop_block(p);
	}
	return arg;
}

static void *fork_or_alloc(void *arg)
{
	return (intptr_t)arg == 1 ? fork_often(arg) : alloc_all_along(arg);
}

static void test_fork(void **state)
{
	(void)state;
	atomic_store(&stop, false);
	run_threads(fork_or_alloc, THREADS);
	assert_int_equal(atomic_load(&wrong), 0);
	assert_empty();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
