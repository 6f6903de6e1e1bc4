/* SPDX-License-Identifier: MIT */
/* Tasks: each runs once, and whoever waits for its group sees what it has done. */
#include "kit/kit.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include <tine/loop.h>

#include "loop/group.h"
#include "loop/team.h"

static void add_one(void *arg)
{
	++*(_Atomic int *)arg;
}

static void test_flat(void **state)
{
	(void)state;
	for (int count = 0; count < 20000; count = count * 3 + 1) {
		_Atomic int sum = 0;
		tine_group group = {{0}};
		for (int i = 0; i < count; i++)
			assert_int_equal(tine_spawn(&group, add_one, &sum), 0);
		assert_int_equal(tine_group_wait(&group), 0);
		assert_int_equal(sum, count);
		/* and again with the same group */
		for (int i = 0; i < count; i++)
			assert_int_equal(tine_spawn(&group, add_one, &sum), 0);
		assert_int_equal(tine_group_wait(&group), 0);
		assert_int_equal(sum, 2 * count);
	}
}

typedef struct fib_call {
	int n;
	long result;
} fib_call;

static void fib(void *arg)
{
	fib_call *call = arg;

	if (call->n < 2) {
		call->result = call->n;
		return;
	}
	fib_call left = {call->n - 1, 0}, right = {call->n - 2, 0};
	tine_group group = {{0}};
	tine_spawn(&group, fib, &left);
	fib(&right);
	tine_group_wait(&group);
	call->result = left.result + right.result;
}

static void test_fib(void **state)
{
	(void)state;
	for (int threads = 1; threads < 9; threads += threads) {
		fib_call call = {20, 0};
		tine_set_num_threads(threads);
		fib(&call);
		assert_int_equal(call.result, 6765);
	}
	tine_set_num_threads(4);
}

/* Tasks that spawn into the group that they are of. */
typedef struct tree {
	tine_group *group;
	_Atomic int *nodes;
	int depth;
} tree;

static tree forest[20];

static void grow(void *arg)
{
	const tree *t = arg;

	++*t->nodes;
	if (t->depth > 0) {
		tine_spawn(t->group, grow, &forest[t->depth - 1]);
		tine_spawn(t->group, grow, &forest[t->depth - 1]);
	}
}

static void grow_all(tine_group *group, _Atomic int *nodes, int depth)
{
	for (int d = 0; d <= depth; d++)
		forest[d] = (tree){group, nodes, d};
	assert_int_equal(tine_spawn(group, grow, &forest[depth]), 0);
	assert_int_equal(tine_group_wait(group), 0);
	assert_int_equal(*nodes, (1 << (depth + 1)) - 1);
}

static void test_one_group_for_a_tree(void **state)
{
	static tine_group elsewhere; /* on no stack: everybody counts by atomic steps */

	(void)state;
	for (int round = 0; round < 20; round++) {
		_Atomic int nodes = 0, again = 0;
		tine_group here = {{0}};
		grow_all(&here, &nodes, 12);
		grow_all(&elsewhere, &again, 12);
	}
}

/* Groups that are spawned into in turn: what lies on top of the deque is not of the group that is
 * waited for. */
static void test_interleaved_groups(void **state)
{
	(void)state;
	for (int threads = 1; threads < 5; threads++) {
		tine_set_num_threads(threads);
		for (int round = 0; round < 300; round++) {
			_Atomic int sums[3] = {0};
			tine_group groups[3] = {{{0}}};
			for (int i = 0; i < 30; i++)
				tine_spawn(&groups[i % 3], add_one, &sums[i % 3]);
			for (int g = 0; g < 3; g++) {
				assert_int_equal(tine_group_wait(&groups[g]), 0);
				assert_int_equal(sums[g], 10);
			}
		}
	}
	tine_set_num_threads(4);
}

/* ---- another waits for what a task of mine waits for */

typedef struct outer {
	tine_group *group;
	_Atomic int done;
} outer;

static void wait_for_other(void *arg)
{
	outer *o = arg;

	assert_int_equal(tine_group_wait(o->group), 0);
	o->done++;
}

static void test_task_waits_for_an_older_group(void **state)
{
	(void)state;
	for (int round = 0; round < 300; round++) {
		_Atomic int sum = 0;
		tine_group older = {{0}}, unrelated = {{0}}, newer = {{0}};
		outer o = {&older, 0};
		tine_spawn(&unrelated, add_one, &sum);
		tine_spawn(&older, add_one, &sum);
		tine_spawn(&newer, wait_for_other, &o);
		assert_int_equal(tine_group_wait(&newer), 0);
		assert_int_equal(o.done, 1);
		assert_int_equal(tine_group_wait(&older), 0);
		assert_int_equal(tine_group_wait(&unrelated), 0);
		assert_int_equal(sum, 2);
	}
}

/* A group on another thread's stack. */
static void *wait_as_stranger(void *arg)
{
	outer *o = arg;

	assert_int_equal(tine_group_wait(o->group), 0);
	o->done++;
	return NULL;
}

static void short_nap(void *arg)
{
	nanosleep(&(struct timespec){0, 20000}, NULL);
	add_one(arg);
}

static void test_stranger_waits(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		_Atomic int sum = 0;
		tine_group group = {{0}};
		outer o = {&group, 0};
		pthread_t stranger;
		for (int i = 0; i < 50; i++)
			tine_spawn(&group, short_nap, &sum);
		pthread_create(&stranger, NULL, wait_as_stranger, &o);
		assert_int_equal(tine_group_wait(&group), 0);
		assert_int_equal(sum, 50);
		pthread_join(stranger, NULL);
		assert_int_equal(o.done, 1);
	}
}

/* Many threads spawn into one group. */
static tine_group common;
static _Atomic int common_sum;

static void spawn_some(size_t begin, size_t end, void *context)
{
	(void)context;
	for (size_t i = begin; i < end; i++)
		tine_spawn(&common, add_one, &common_sum);
}

static void test_many_spawn_into_one(void **state)
{
	(void)state;
	for (int round = 0; round < 100; round++) {
		common_sum = 0;
		tine_for(0, 500, spawn_some, NULL, .grain = 1, .schedule = TINE_SCHEDULE_DYNAMIC);
		assert_int_equal(tine_group_wait(&common), 0);
		assert_int_equal(common_sum, 500);
	}
}

static void *leave_tasks_behind(void *arg)
{
	for (int i = 0; i < 100; i++)
		tine_spawn(&common, add_one, arg);
	return NULL;
}

/* Their thread has ended: others do them. */
static void test_tasks_outlive_their_thread(void **state)
{
	(void)state;
	for (int round = 0; round < 50; round++) {
		_Atomic int sum = 0;
		pthread_t thread;
		pthread_create(&thread, NULL, leave_tasks_behind, &sum);
		pthread_join(thread, NULL);
		assert_int_equal(tine_group_wait(&common), 0);
		assert_int_equal(sum, 100);
	}
}

/* ---- a lock that is held while its owner waits */

static pthread_mutex_t lock;
static pthread_t host;
static _Atomic int deadlocks;

static void nap_ms(long ms)
{
	nanosleep(&(struct timespec){0, ms * 1000000}, NULL);
}

/* Wants the lock: must not run on top of the task that holds it. */
static void locker(void *arg)
{
	(void)arg;
	if (pthread_mutex_lock(&lock) != 0)
		deadlocks++;
	else
		pthread_mutex_unlock(&lock);
}

static void slow_body(size_t begin, size_t end, void *context)
{
	(void)begin;
	(void)end;
	(void)context;
	nap_ms(pthread_equal(host, pthread_self()) ? 1 : 8);
}

static void slow_task(void *arg)
{
	(void)arg;
	nap_ms(8);
}

static void loop_with_lock(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	tine_for(0, 2, slow_body, NULL, .schedule = TINE_SCHEDULE_DYNAMIC);
	pthread_mutex_unlock(&lock);
}

static void wait_with_lock(void *arg)
{
	tine_group inner = {{0}};

	(void)arg;
	pthread_mutex_lock(&lock);
	tine_spawn(&inner, slow_task, NULL);
	nap_ms(2); /* a helper takes it */
	tine_group_wait(&inner);
	pthread_mutex_unlock(&lock);
}

static void test_lock_held_across_a_wait(void **state)
{
	pthread_mutexattr_t checked;

	(void)state;
	pthread_mutexattr_init(&checked);
	pthread_mutexattr_settype(&checked, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&lock, &checked);
	host = pthread_self();
	tine_set_num_threads(2);
	for (int round = 0; round < 30; round++) {
		tine_group group = {{0}}, other = {{0}};
		tine_spawn(&group, locker, NULL); /* a sibling */
		tine_spawn(&group, round % 2 ? loop_with_lock : wait_with_lock, NULL);
		tine_group_wait(&group);
		tine_spawn(&other, locker, NULL); /* of the same task, in another group */
		wait_with_lock(NULL);
		tine_group_wait(&other);
	}
	tine_set_num_threads(4);
	assert_int_equal(deadlocks, 0);
}

/* A helper that a region has called does not sleep on what its body has spawned. */
static void spawn_on_helper(size_t begin, size_t end, void *context)
{
	(void)begin;
	(void)end;
	if (pthread_equal(host, pthread_self()))
		nap_ms(4);
	else
		tine_spawn(context, add_one, &common_sum);
}

static void test_nobody_sleeps_on_tasks(void **state)
{
	(void)state;
	host = pthread_self();
	tine_set_num_threads(2);
	for (int round = 0; round < 20; round++) {
		tine_group outer = {{0}}, inner = {{0}};
		common_sum = 0;
		for (int i = 0; i < 2; i++)
			tine_for(0, 2, spawn_on_helper, i ? &inner : &outer,
				 .schedule = TINE_SCHEDULE_DYNAMIC);
		assert_int_equal(tine_group_wait(&inner), 0);
		assert_int_equal(tine_group_wait(&outer), 0);
		assert_true(common_sum > 0);
	}
	tine_set_num_threads(4);
}

/* ---- a stolen task that leaves a task of another group behind */

static tine_group left_in;
static _Atomic int started, released;
static int wait_for_own, wait_for_others;

static void left_behind(void *arg)
{
	for (int i = 0; i < 5000 && !released; i++) /* until the other group was waited for */
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	wait_for_own = tine_group_wait(&left_in);
	wait_for_others = tine_group_wait(arg);
}

static void leave_behind(void *arg)
{
	started = 1;
	tine_spawn(&left_in, left_behind, arg);
}

static void test_stolen_task_leaves_a_task(void **state)
{
	static tine_group group;

	(void)state;
	tine_set_num_threads(2);
	for (int round = 0; round < 5; round++) {
		started = released = 0;
		tine_spawn(&group, leave_behind, &group);
		while (!started) /* taken by the helper */
			nanosleep(&(struct timespec){0, 100000}, NULL);
		assert_int_equal(tine_group_wait(&group), 0);
		released = 1; /* before what it has left has ended */
		assert_int_equal(tine_group_wait(&left_in), 0);
		assert_int_equal(wait_for_own, TINE_EDEADLOCK);
		assert_int_equal(wait_for_others, 0);
	}
	tine_set_num_threads(4);
}

/* ---- a wait during which only another host works */

static tine_group slow_group;
static _Atomic int slow_runs, waiter_runs;

static void slow_work(void *arg)
{
	(void)arg;
	slow_runs = 1;
	nap_ms(60);
}

static void *slow_host(void *arg)
{
	(void)arg;
	tine_spawn(&slow_group, slow_work, NULL);
	tine_group_wait(&slow_group);
	return NULL;
}

static void wait_for_slow(void *arg)
{
	(void)arg;
	waiter_runs = 1;
	tine_group_wait(&slow_group);
}

static void test_hosts_work_too(void **state)
{
	tine_group group = {{0}}, other = {{0}};
	pthread_t thread;

	(void)state;
	deadlocks = slow_runs = waiter_runs = 0;
	tine_set_num_threads(2);
	pthread_create(&thread, NULL, slow_host, NULL);
	while (!slow_runs) /* by its host or by the helper */
		nap_ms(1);
	tine_spawn(&group, wait_for_slow, NULL);
	nap_ms(5);
	pthread_mutex_lock(&lock);
	tine_spawn(&other, locker, NULL);
	tine_group_wait(&group);
	pthread_mutex_unlock(&lock);
	tine_group_wait(&other);
	pthread_join(thread, NULL);
	tine_set_num_threads(4);
	assert_int_equal(deadlocks, 0);
}

/* ---- deep */

typedef struct chain {
	int left;
	_Atomic int *length;
} chain;

static void go_deeper(void *arg)
{
	const chain *c = arg;
	chain next = {c->left - 1, c->length};
	tine_group group = {{0}};

	++*c->length;
	if (c->left == 0)
		return;
	tine_spawn(&group, go_deeper, &next);
	tine_group_wait(&group);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { LEVELS = 300 }; /* they walk the whole stack at each atomic step, or make frames large */
#else
enum { LEVELS = 10000 };
#endif

static void test_ten_thousand_levels(void **state)
{
	_Atomic int length = 0;
	chain first = {LEVELS, &length};

	(void)state;
	go_deeper(&first);
	assert_int_equal(length, LEVELS + 1);
}

/* ---- refused */

static int own_wait;

static void wait_for_own_group(void *arg)
{
	own_wait = tine_group_wait(arg);
}

static void test_refused(void **state)
{
	tine_group group = {{0}};

	(void)state;
	assert_int_equal(tine_spawn(NULL, add_one, NULL), TINE_EINVAL);
	assert_int_equal(tine_spawn(&group, NULL, NULL), TINE_EINVAL);
	assert_int_equal(tine_group_wait(NULL), TINE_EINVAL);
	assert_int_equal(tine_group_wait(&group), 0);
	for (int threads = 1; threads < 3; threads++) {
		own_wait = 0;
		tine_threads_push(threads);
		assert_int_equal(tine_spawn(&group, wait_for_own_group, &group), 0);
		assert_int_equal(tine_group_wait(&group), 0);
		tine_threads_pop();
		assert_int_equal(own_wait, TINE_EDEADLOCK);
	}
}

/* The counts of a group are right whoever counts. */
static void test_counting(void **state)
{
	tini_worker *worker = tini_worker_get();
	static tine_group far;
	tine_group near = {{0}};

	(void)state;
	assert_non_null(worker);
	assert_true(tini_group_is_mine(worker, &near));
	assert_false(tini_group_is_mine(worker, &far));
	assert_true(tini_group_is_mine(worker, &worker->region[TINI_LEVELS - 1].group));
	tini_group_add(worker, &near);
	assert_true(tini_group_is_open(&near));
	/* somebody else ends it: the counts are +1 and -1 */
	atomic_fetch_sub(tini_group_word(&near, 1), TINI_GROUP_ONE);
	assert_false(tini_group_is_open(&near));
	tini_group_add(worker, &far);
	tini_group_add(worker, &far);
	tini_group_end(worker, &far, 1);
	assert_true(tini_group_is_open(&far));
	tini_group_end(worker, &far, 1);
	assert_false(tini_group_is_open(&far));
	/* after so many tasks that the count of steps overflows */
	atomic_store(tini_group_word(&near, 0), UINT64_C(0xfffffffe) << 32);
	atomic_store(tini_group_word(&near, 1), 0);
	for (int i = 0; i < 4; i++) {
		tini_group_add(worker, &near);
		assert_true(tini_group_is_open(&near) && tini_group_is_open_here(&near));
		tini_group_end(worker, &near, 1);
		assert_false(tini_group_is_open(&near) || tini_group_is_open_here(&near));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flat),
		cmocka_unit_test(test_fib),
		cmocka_unit_test(test_one_group_for_a_tree),
		cmocka_unit_test(test_interleaved_groups),
		cmocka_unit_test(test_task_waits_for_an_older_group),
		cmocka_unit_test(test_stranger_waits),
		cmocka_unit_test(test_many_spawn_into_one),
		cmocka_unit_test(test_tasks_outlive_their_thread),
		cmocka_unit_test(test_lock_held_across_a_wait),
		cmocka_unit_test(test_nobody_sleeps_on_tasks),
		cmocka_unit_test(test_stolen_task_leaves_a_task),
		cmocka_unit_test(test_hosts_work_too),
		cmocka_unit_test(test_ten_thousand_levels),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_counting),
	};

	tine_set_num_threads(4);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
