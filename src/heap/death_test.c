/* SPDX-License-Identifier: MIT */
/*
 * Death inside the heap: at every step by its name, and at random under load.
 *
 * After each the heap must be whole, every live block must be an orphan, handed over or ours, and
 * when all of them have been freed nothing may be in use and no page may be backed.
 */
#include "kit/kit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tine/heap.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/killpoint.h"
#include "base/os.h"
#include "heap/actor.h"
#include "heap/adopt.h"
#include "heap/commit.h"
#include "heap/figures.h"
#include "heap/heap.h"
#include "heap/layout.h"
#include "heap/slab.h"

/* ---- what workers share: where they put blocks that they hand over */

enum { SLOTS = 4096, NEW = 1, BUSY = 2 };

typedef struct world {
	/* a block; | NEW: not yet handed over; | BUSY: someone frees it */
	_Atomic uintptr_t slot[SLOTS];
	_Atomic uint64_t operations;
	_Atomic uint64_t wrong; /* stamps that were not those written */
} world;

static world *shared;

static void make_world(void)
{
	if (!shared)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || tini_heap_start())
		abort();
}

/* ---- what remains: checked while nobody changes anything */

typedef struct remains {
	size_t in_use, orphaned, given, ours;
	size_t unknown; /* given, but in no slot; or of nobody */
	void *blocks[200000];
	size_t n;
} remains;

static remains seen_remains;

static bool in_a_slot(const void *p)
{
	for (int i = 0; i < SLOTS; i++)
		if ((atomic_load(&shared->slot[i]) & ~(uintptr_t)15) == (uintptr_t)p)
			return true;
	return false;
}

static void sort_out(void *context, const tini_seen *seen)
{
	remains *r = context;

	r->in_use += seen->size;
	if (seen->orphaned)
		r->orphaned += seen->size;
	else if (seen->given && in_a_slot(seen->block))
		r->given += seen->size;
	else if (seen->actor && seen->actor == tini_actor_me())
		r->ours += seen->size;
	else
		r->unknown += seen->size;
	if (!(seen->actor == tini_actor_me() && !seen->orphaned && !seen->given))
		r->blocks[r->n++] = seen->block;
}

static void assert_valid(void)
{
	const char *why;

	if (!tini_heap_valid(&why))
		fail_msg("%s", why);
}

/* All but `ours` bytes of the heap were the dead's: free them, then nothing is left. */
static void assert_nothing_lost(size_t ours)
{
	remains *r = &seen_remains;
	tine_heap_figures figures = {.struct_size = sizeof(figures)};

	*r = (remains){0};
	tini_adopt(0);
	assert_valid();
	tini_heap_walk(sort_out, r);
	assert_int_equal(r->unknown, 0);
	assert_int_equal(r->ours, ours);
	assert_int_equal(r->in_use, r->orphaned + r->given + ours);
	assert_int_equal(tine_heap_stats(&figures), 0);
	assert_int_equal(figures.in_use, r->in_use);
	assert_int_equal(figures.orphaned, r->orphaned);
	for (size_t i = 0; i < r->n; i++)
		tine_shared_free(r->blocks[i]);
	assert_int_equal(tine_heap_stats(&figures), 0);
	assert_int_equal(figures.in_use, ours);
	assert_valid();
	for (int i = 0; i < SLOTS; i++)
		atomic_store(&shared->slot[i], 0);
	if (ours)
		return;
	tini_slab_close_all(tini_actor_me());
	assert_int_equal(tini_backed(TINI_SMALL, 1), 0);
	assert_int_equal(tini_backed(TINI_ARRAYS, 1), 0);
}

/* ---- every step by its name */

static const char *const points[] = {
	"actor-joined",   "run-reaching",    "run-claiming",  "run-unclaiming", "run-claimed",
	"run-committed",  "run-published",   "run-emptying",  "run-emptied",    "run-marking",
	"run-releasing",  "run-freeing",     "run-freed",     "run-mending",    "slab-taken",
	"slab-heated",    "slab-claimed",    "slab-tagged",   "slab-cleared",   "slab-published",
	"slab-freed",     "slab-closing",    "slab-shutting", "slab-shut",      "slab-reopening",
	"slab-orphaning", "slab-abandoned",  "adopt-claimed", "adopt-mending",  "adopt-undoing",
	"adopt-mended",   "adopt-inherited",
};
enum {
	POINTS = sizeof(points) / sizeof(points[0]),
	UNKNOWN_POINT = 77,
	NOT_REACHED = 78,
	LOST_BLOCK = 79
};

static const char *deadly; /* die there, */
static long hits_left;     /* after so many times */
static int meddle;         /* allocate at this step of shutting slabs; 0: no more */

static void *everywhere[TINI_CLASSES];

static void alloc_everywhere(void)
{
	for (unsigned i = 0; i < TINI_CLASSES; i++)
		everywhere[i] = tine_shared_alloc(tini_classes[i].size);
}

static void check_everywhere(void)
{
	for (unsigned i = 0; i < TINI_CLASSES; i++)
		if (tini_heap_block_size(everywhere[i]) != tini_classes[i].size)
			_exit(LOST_BLOCK);
}

static void at_point(const char *name)
{
	int known = 0;

	for (int i = 0; i < POINTS; i++)
		known += !strcmp(points[i], name);
	if (!known) {
		fprintf(stderr, "the kill point %s is not in the test's list\n", name);
		_exit(UNKNOWN_POINT);
	}
	if (deadly && !strcmp(name, deadly) && --hits_left <= 0)
		raise(SIGKILL);
	if (meddle && !strcmp(name, "slab-shutting") && !--meddle)
		alloc_everywhere();
}

static void die_at(const char *name, long hits)
{
	deadly = name;
	hits_left = hits;
	tini_kill_hook = at_point;
}

/* Blocks of all kinds: some kept, some handed over, some freed. */
static void use_blocks(int slots_from)
{
	const size_t sizes[] = {16,    48,     100,     1000,    5000,   30000,
				70000, 300000, 1 << 20, 3 << 20, 9 << 20};
	enum { N = sizeof(sizes) / sizeof(sizes[0]) };
	void *p[3 * N];

	for (int i = 0; i < 3 * N; i++) {
		p[i] = tine_shared_alloc(sizes[i % N], .lazy = i % 2);
		if (p[i])
			memset(p[i], 0xff, 16);
	}
	for (int i = 0; i < N; i++)
		tine_shared_free(p[i]);
	for (int i = N; i < 2 * N; i++) {
		atomic_store(&shared->slot[slots_from + i], (uintptr_t)p[i] | NEW);
		tini_heap_hand_over(p[i]);
		atomic_store(&shared->slot[slots_from + i], (uintptr_t)p[i]);
	}
}

/* Slabs that fill up, empty and are given back, also while someone allocates in them. */
static void use_slabs(void)
{
	enum { N = 60 };
	void *p[N];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < N; i++)
			p[i] = tine_shared_alloc(8000);
		for (int i = 0; i < N; i++)
			tine_shared_free(p[i]);
	}
	tini_slab_close_all(tini_actor_me());
	for (int i = 0; i < 10; i++) {
		void *q = tine_shared_alloc(60);
		tine_shared_free(tine_shared_alloc(700));
		tine_shared_free(q);
	}
	for (int i = 0; i < 3; i++) { /* in the shutting of different slabs */
		meddle = 1 + 7 * i;
		tini_slab_close_all(tini_actor_me());
		if (!meddle)
			check_everywhere();
		for (unsigned k = 0; k < TINI_CLASSES; k++) {
			tine_shared_free(everywhere[k]);
			everywhere[k] = NULL;
		}
	}
	meddle = 0;
	alloc_everywhere(); /* and all of it is lost */
}

static void fail_commits(void)
{
	for (size_t size = 1000; size <= 20 << 20; size *= 6)
		for (int n = 1; n <= 3; n++) {
			tini_fault_arm(TINI_FAULT_SYSTEM, n);
			tine_shared_free(tine_shared_alloc(size));
			tini_fault_arm(TINI_FAULT_SYSTEM, 0);
		}
}

/* A child of this process that dies at a step, and is adopted by this process. */
static void lose_a_child(const char *point, long hits, int slots_from)
{
	pid_t pid = fork();

	if (!pid) {
		die_at(point, hits);
		use_blocks(slots_from);
		use_slabs();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	tini_heap_actor_died(pid);
}

static void work_and_die(const char *point, long hits)
{
	die_at(point, hits);
	use_blocks(100);
	use_slabs();
	fail_commits();
	lose_a_child("run-claiming", 9, 200);
	lose_a_child("run-marking", 3, 300);
	lose_a_child("run-freeing", 2, 400);
	lose_a_child("slab-shutting", 2, 500);
	lose_a_child("slab-cleared", 4, 600);
	_exit(NOT_REACHED);
}

/* Die there at the hits-th time.  False where it is not passed so often. */
static bool kill_at(const char *point, long hits)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		work_and_die(point, hits);
	waitpid(pid, &status, 0);
	assert_true(!WIFEXITED(status) || WEXITSTATUS(status) == NOT_REACHED);
	assert_true(WIFEXITED(status) || WTERMSIG(status) == SIGKILL);
	tini_heap_actor_died(pid);
	assert_nothing_lost(0);
	return WIFSIGNALED(status);
}

static void test_each_step(void **state)
{
	(void)state;
	make_world();
	for (int i = 0; i < POINTS; i++) {
		long deaths = 0;
		for (long hits = 1; hits < 400 && kill_at(points[i], hits); hits *= 3)
			deaths++;
		if (!deaths)
			fail_msg("the kill point %s is never passed", points[i]);
	}
}

/* ---- the death of an adopter, of his adopter, and so on */

static void test_chain_of_adopters(void **state)
{
	static const char *const steps[] = {"adopt-claimed", "adopt-mending", "adopt-mended",
					    "adopt-inherited"};
	pid_t first, dead;

	(void)state;
	make_world();
	for (int length = 1; length <= 8; length++) {
		first = dead = fork();
		if (!first) {
			die_at("run-freeing", 3);
			use_blocks(0);
			_exit(1);
		}
		for (int i = 0; i < length; i++) {
			waitpid(dead, NULL, 0);
			pid_t before = dead;
			dead = fork();
			if (!dead) {
				use_blocks(100 + 50 * i);
				die_at(steps[(i + length) % 4], 1);
				tini_heap_actor_died(before);
				_exit(1);
			}
		}
		waitpid(dead, NULL, 0);
		tini_heap_actor_died(dead);
		tini_heap_actor_died(first); /* it is adopted by now */
		assert_nothing_lost(0);
	}
}

/* ---- at random, under load */

enum { WORKERS = 4, PROCESSES = WORKERS + 1, HELD = 64 };

static uint64_t random_state;

static uint64_t draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static size_t draw_size(void)
{
	unsigned bits = draw() % 100 < 98 ? 4 + draw() % 12 : 16 + draw() % 7;

	return 16 + draw() % ((size_t)1 << bits);
}

/* A block knows its size and its address, at both ends. */
static uint64_t stamp_of(const void *p, size_t size)
{
	return (uintptr_t)p * 0x9e3779b97f4a7c15 ^ size;
}

static void *new_block(void)
{
	size_t size = draw_size() & ~(size_t)7;
	uint64_t *p = tine_shared_alloc(size, .lazy = draw() % 4 == 0);

	if (!p)
		return NULL;
	p[0] = stamp_of(p, size);
	p[size / 8 - 1] = p[0];
	return p;
}

static void drop_block(uint64_t *p)
{
	size_t size = p[0] ^ stamp_of(p, 0);

	if (size > tini_heap_block_size(p) || p[size / 8 - 1] != p[0])
		atomic_fetch_add(&shared->wrong, 1);
	unsigned code = (unsigned)tine_last_code();
	tine_shared_free(p);
	if ((unsigned)tine_last_code() != code)
		atomic_fetch_add(&shared->wrong, 1);
}

static bool put_in_slot(void *p)
{
	_Atomic uintptr_t *slot = &shared->slot[draw() % SLOTS];
	uintptr_t empty = 0;

	if (!atomic_compare_exchange_strong(slot, &empty, (uintptr_t)p | NEW))
		return false;
	tini_heap_hand_over(p);
	atomic_store(slot, (uintptr_t)p);
	return true;
}

static void take_from_slot(void)
{
	_Atomic uintptr_t *slot = &shared->slot[draw() % SLOTS];
	uintptr_t p = atomic_load(slot);

	if (!p || p & (NEW | BUSY) || !atomic_compare_exchange_strong(slot, &p, p | BUSY))
		return;
	drop_block((void *)p);
	atomic_store(slot, 0);
}

static void step(void **held)
{
	void **mine = &held[draw() % HELD];
	unsigned what = draw() % 100;

	if (what < 20) {
		take_from_slot();
	} else if (!*mine) {
		*mine = new_block();
	} else if (what < 70) {
		void *p = *mine;
		*mine = NULL;
		drop_block(p);
	} else if (put_in_slot(*mine)) {
		*mine = NULL;
	}
	atomic_fetch_add(&shared->operations, 1);
}

static void suicide(const char *name)
{
	(void)name;
	if (--hits_left <= 0)
		raise(SIGKILL);
}

static void work(void)
{
	static void *held[HELD];

	if (draw() % 2) {
		hits_left = 1 + (long)(draw() % (draw() % 8 ? 3000 : 30));
		tini_kill_hook = suicide;
	}
	for (;;)
		step(held);
}

/* One that only mends, beside the parent, and dies of it too. */
static void nurse(void)
{
	hits_left = 1 + (long)(draw() % 400);
	tini_kill_hook = suicide;
	for (;;) {
		tini_adopt(0);
		usleep(100);
	}
}

static pid_t start(int number)
{
	uint64_t seed = draw() | 1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	random_state = seed;
	if (number == WORKERS)
		nurse();
	work();
	_exit(0);
}

static void harm(pid_t pid)
{
	unsigned what = draw() % 10;

	if (what < 2)
		kill(pid, SIGSTOP);
	else if (what < 4)
		kill(pid, SIGCONT);
	else if (what < 8)
		kill(pid, SIGKILL);
}

/* Reap who died, adopt most of them, and put others in their place. */
static int bury(pid_t *pids, bool again)
{
	int deaths = 0;

	for (int i = 0; i < PROCESSES; i++) {
		if (pids[i] <= 0 || waitpid(pids[i], NULL, WNOHANG) != pids[i])
			continue;
		deaths++;
		if (draw() % 4)
			tini_heap_actor_died(pids[i]);
		pids[i] = again ? start(i) : 0;
	}
	return deaths;
}

static int storm(int deaths_wanted)
{
	pid_t pids[PROCESSES];
	int deaths = 0;

	for (int i = 0; i < PROCESSES; i++)
		pids[i] = start(i);
	while (deaths < deaths_wanted) {
		struct timespec pause = {0, (long)(draw() % 300000)};
		nanosleep(&pause, NULL);
		harm(pids[draw() % PROCESSES]);
		deaths += bury(pids, true);
	}
	for (int i = 0; i < PROCESSES; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	return deaths + PROCESSES;
}

static void test_storm(void **state)
{
	const char *asked = getenv("TINE_STORM_SECONDS");
	int64_t end = tini_clock_now() + (asked ? atoll(asked) : 3) * 1000000000;
	long deaths = 0, rounds = 0;

	(void)state;
	make_world();
	random_state = asked ? (uint64_t)tini_clock_now() | 1 : 88172645463325252;
	for (; tini_clock_now() < end; rounds++) {
		uint64_t *ours = tine_shared_alloc(draw_size());
		size_t size = tini_heap_block_size(ours);
		deaths += storm(150);
		assert_nothing_lost(size);
		tine_shared_free(ours);
		assert_nothing_lost(0);
	}
	assert_int_equal(atomic_load(&shared->wrong), 0);
	print_message("           %ld rounds, %ld deaths, %lu operations\n", rounds, deaths,
		      (unsigned long)atomic_load(&shared->operations));
}

/* ---- fork and pids */

static void test_fork(void **state)
{
	int status;

	(void)state;
	make_world();
	char *before = tine_shared_alloc(100);
	unsigned me = tini_actor_me();
	pid_t pid = fork();
	if (!pid) {
		char *p = tine_shared_alloc(100);
		unsigned actor = tini_actor_me();
		tine_shared_free(before); /* a block of the parent */
		_exit(!p || actor == me || tini_heap_block_size(before));
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	tini_heap_actor_died(pid);
	tini_heap_actor_died(pid);
	assert_int_equal(tini_heap_block_size(before), 0);
	assert_nothing_lost(0);
}

/* The living are not adopted, whoever says that they are dead. */
static void test_alive(void **state)
{
	(void)state;
	make_world();
	void *p = tine_shared_alloc(1000), *q = tine_shared_alloc(1 << 20);
	tini_heap_actor_died(getpid());
	tini_adopt(0);
	tine_heap_figures figures = {.struct_size = sizeof(figures)};
	assert_int_equal(tine_heap_stats(&figures), 0);
	assert_int_equal(figures.orphaned, 0);
	tine_shared_free(p);
	tine_shared_free(q);
	tini_heap_actor_died(0);
	tini_heap_actor_died(-1);
	assert_nothing_lost(0);
}

static void *hold_a_block(void *arg)
{
	(void)!tine_shared_alloc(3 << 20);
	(void)!tine_shared_alloc(3000);
	for (;;)
		pause();
	return arg;
}

/* A process whose main thread has ended looks like a zombie, and lives. */
static void test_zombie_leader(void **state)
{
	tine_heap_figures figures = {.struct_size = sizeof(figures)};
	int64_t end = tini_clock_now() + 5000000000;

	(void)state;
	make_world();
	pid_t pid = fork();
	if (!pid) {
		pthread_t thread;
		pthread_create(&thread, NULL, hold_a_block, NULL);
		pthread_exit(NULL);
	}
	while (tini_os_start_time(pid) && tini_clock_now() < end)
		usleep(1000);
	while (figures.in_use < 3 << 20 && tini_clock_now() < end)
		tine_heap_stats(&figures);
	uint64_t start = tini_os_start_time(pid);
	tini_heap_actor_died(pid);
	tine_heap_stats(&figures);
	kill(pid, SIGKILL); /* before any assertion can fail */
	waitpid(pid, NULL, 0);
	assert_int_equal(start, 0);
	assert_true(figures.in_use >= 3 << 20);
	assert_int_equal(figures.orphaned, 0);
	assert_int_equal(tine_heap_stats(&figures), 0); /* finds it dead by itself */
	assert_int_equal(figures.orphaned, figures.in_use);
	assert_nothing_lost(0);
}

/* Many short-lived children that nobody reports do not use up the table. */
static void test_unreported(void **state)
{
	(void)state;
	make_world();
	for (int i = 0; i < 300; i++) {
		pid_t pid = fork();
		if (!pid)
			_exit(!tine_shared_alloc(50));
		waitpid(pid, NULL, 0);
	}
	assert_true(tini_actor_top() < 40);
	assert_nothing_lost(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fork),          cmocka_unit_test(test_alive),
		cmocka_unit_test(test_each_step),     cmocka_unit_test(test_chain_of_adopters),
		cmocka_unit_test(test_storm),         cmocka_unit_test(test_unreported),
		cmocka_unit_test(test_zombie_leader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
