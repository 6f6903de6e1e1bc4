/* SPDX-License-Identifier: MIT */
/* Loops on threads: every iteration once, in the calls that the schedule promises. */
#include "kit/kit.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tine/loop.h>

#include "base/fault.h"
#include "loop/team.h"

static const tine_schedule schedules[] = {TINE_SCHEDULE_AUTO, TINE_SCHEDULE_STATIC,
					  TINE_SCHEDULE_DYNAMIC, TINE_SCHEDULE_GUIDED};

enum { MOST = 20000 };

/* What the body has seen. */
typedef struct seen {
	_Atomic unsigned char times[MOST];
	size_t offset;
	_Atomic size_t calls, longest, shortest;
	_Atomic int empty;
} seen;

static void note(_Atomic size_t *extreme, size_t length, bool greater)
{
	size_t before = *extreme;

	while (greater ? length > before : length < before)
		if (atomic_compare_exchange_weak(extreme, &before, length))
			break;
}

static void count_times(size_t begin, size_t end, void *context)
{
	seen *s = context;

	s->empty += begin >= end;
	for (size_t i = begin; i < end; i++)
		s->times[i - s->offset]++;
	s->calls++;
	note(&s->longest, end - begin, true);
	note(&s->shortest, end - begin, false);
}

static void forget(seen *s, size_t offset)
{
	memset(s, 0, sizeof *s);
	s->offset = offset;
	s->shortest = SIZE_MAX;
}

static void expect_once(const seen *s, size_t count)
{
	assert_int_equal(s->empty, 0);
	for (size_t i = 0; i < MOST; i++)
		if (s->times[i] != (i < count))
			fail_msg("iteration %zu of %zu: %d times", i, count, s->times[i]);
}

static void test_every_iteration_once(void **state)
{
	static seen s;
	static const size_t counts[] = {0, 1, 2, 3, 7, 64, 1000, MOST};
	static const size_t grains[] = {0, 1, 3, 64, 999, MOST, SIZE_MAX};

	(void)state;
	for (size_t c = 0; c < 8; c++)
		for (size_t g = 0; g < 7; g++)
			for (size_t k = 0; k < 4; k++)
				for (int threads = 0; threads < 7; threads += 3) {
					forget(&s, 17);
					assert_int_equal(tine_for(17, 17 + counts[c], count_times,
								  &s, .grain = grains[g],
								  .schedule = schedules[k],
								  .threads = threads),
							 0);
					expect_once(&s, counts[c]);
				}
}

static void test_calls_of_exactly_the_grain(void **state)
{
	static seen s;

	(void)state;
	for (int threads = 1; threads < 5; threads++) {
		for (size_t grain = 1; grain < 50; grain += 6) {
			forget(&s, 0);
			assert_int_equal(tine_for(0, 1003, count_times, &s, .grain = grain,
						  .schedule = TINE_SCHEDULE_DYNAMIC,
						  .threads = threads),
					 0);
			assert_int_equal(s.calls, (1003 + grain - 1) / grain);
			assert_int_equal(s.longest, grain);
			forget(&s, 0);
			assert_int_equal(tine_for(0, 1003, count_times, &s, .grain = grain,
						  .schedule = TINE_SCHEDULE_STATIC,
						  .threads = threads),
					 0);
			assert_true(s.longest <= grain);
			forget(&s, 0);
			assert_int_equal(tine_for(0, 1003, count_times, &s, .grain = grain,
						  .schedule = TINE_SCHEDULE_GUIDED,
						  .threads = threads),
					 0);
			assert_true(s.calls <= 1003 / grain + (size_t)threads + 1);
		}
	}
}

/* STATIC: the parts of tine_distribute(), one call each. */
static void mark_part(size_t begin, size_t end, void *context)
{
	_Atomic int *marks = context;

	for (size_t k = 0; k < 5; k++) {
		tine_range part = tine_distribute(1003, 5, k);
		if (part.begin == begin && part.end == end)
			marks[k]++;
	}
	marks[5]++;
}

static void test_static_parts(void **state)
{
	(void)state;
	for (int round = 0; round < 200; round++) {
		_Atomic int marks[6] = {0};
		assert_int_equal(tine_for(0, 1003, mark_part, marks, .threads = 5,
					  .schedule = TINE_SCHEDULE_STATIC),
				 0);
		for (int k = 0; k < 5; k++)
			assert_int_equal(marks[k], 1);
		assert_int_equal(marks[5], 5);
	}
}

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(tine_for(0, 10, NULL, NULL), TINE_EINVAL);
	assert_non_null(strstr(tine_last_error(), "body is NULL"));
	assert_int_equal(tine_for(0, 10, count_times, NULL, .schedule = (tine_schedule)9),
			 TINE_EINVAL);
	assert_int_equal(tine_for(0, 10, count_times, NULL, .threads = -1), TINE_EINVAL);
	assert_int_equal(tine_for(10, 0, count_times, NULL), 0);
	assert_int_equal(tine_for(SIZE_MAX, 0, count_times, NULL, .grain = SIZE_MAX), 0);
	assert_int_equal(tine_for_with(NULL), TINE_EINVAL);
	tine_for_args newer[2] = {{.struct_size = sizeof newer, .body = count_times}};
	newer[1].struct_size = 1;
	assert_int_equal(tine_for_with(newer), TINE_EVERSION);
}

/* Beyond 32 bits: huge ranges in huge calls. */
static void add_length(size_t begin, size_t end, void *context)
{
	*(_Atomic size_t *)context += end - begin;
}

static void test_huge(void **state)
{
	_Atomic size_t sum = 0;

	(void)state;
	size_t huge = (size_t)1 << 36;
	assert_int_equal(tine_for(5, huge, add_length, &sum, .schedule = TINE_SCHEDULE_STATIC), 0);
	assert_int_equal(sum, huge - 5);
	sum = 0;
	assert_int_equal(tine_for(SIZE_MAX - huge, SIZE_MAX, add_length, &sum,
				  .schedule = TINE_SCHEDULE_GUIDED, .grain = (size_t)1 << 30),
			 0);
	assert_int_equal(sum, huge);
}

/* The promises of the schedules hold beyond what a region counts, and for more threads than it has
 * shares. */
typedef struct lengths {
	_Atomic size_t calls, other, sum;
	size_t expected;
} lengths;

static void note_length(size_t begin, size_t end, void *context)
{
	lengths *l = context;

	l->calls++;
	l->other += end - begin != l->expected;
	l->sum += end - begin;
}

static void test_huge_calls(void **state)
{
	static const size_t grains[] = {1000000, (size_t)1 << 31, (size_t)3000000000};
	size_t count = (size_t)3 << 31;

	(void)state;
	for (int g = 0; g < 3; g++) {
		lengths l = {.expected = grains[g]};
		assert_int_equal(tine_for(7, 7 + count, note_length, &l, .grain = grains[g],
					  .schedule = TINE_SCHEDULE_DYNAMIC),
				 0);
		assert_int_equal(l.sum, count);
		assert_int_equal(l.other, count % grains[g] != 0);
	}
	for (int threads = 1; threads < 4; threads++) {
		lengths l = {.expected = count / (size_t)threads};
		assert_int_equal(tine_for(7, 7 + count, note_length, &l, .threads = threads,
					  .schedule = TINE_SCHEDULE_STATIC),
				 0);
		assert_int_equal(l.sum, count);
		assert_int_equal(l.calls, threads);
		assert_int_equal(l.other, 0);
	}
}

static void test_many_parts(void **state)
{
	lengths few = {.expected = 1}, grainy = {.expected = 250};

	(void)state;
	assert_int_equal(tine_for(0, 3, note_length, &few, .threads = INT_MAX,
				  .schedule = TINE_SCHEDULE_STATIC),
			 0);
	assert_true(few.calls == 3 && few.other == 0);
	/* the grain does not make fewer parts */
	assert_int_equal(tine_for(0, 1000, note_length, &grainy, .threads = 4, .grain = 900,
				  .schedule = TINE_SCHEDULE_STATIC),
			 0);
	assert_true(grainy.calls == 4 && grainy.other == 0);
#ifndef __SANITIZE_THREAD__
	lengths many = {.expected = 3};
	assert_int_equal(tine_for(0, 1800, note_length, &many, .threads = 600,
				  .schedule = TINE_SCHEDULE_STATIC),
			 0);
	assert_true(many.calls == 600 && many.other == 0);
#endif
}

/* ---- nesting */

static void nest(size_t begin, size_t end, void *context)
{
	_Atomic size_t *sum = context;

	for (size_t i = begin; i < end; i++)
		tine_for(0, 100, add_length, sum, .grain = 7, .schedule = TINE_SCHEDULE_DYNAMIC);
}

static void test_nested(void **state)
{
	_Atomic size_t sum = 0;

	(void)state;
	assert_int_equal(tine_for(0, 300, nest, &sum, .grain = 1, .threads = 3,
				  .schedule = TINE_SCHEDULE_DYNAMIC),
			 0);
	assert_int_equal(sum, 30000);
}

typedef struct depth {
	int left;
	_Atomic int *reached;
} depth;

/* Calls tine_for on itself. */
static void deeper(size_t begin, size_t end, void *context)
{
	const depth *d = context;
	depth next = {d->left - 1, d->reached};

	++*d->reached;
	if (d->left > 0 && begin == 0)
		tine_for(0, 2, deeper, &next, .grain = 1, .schedule = TINE_SCHEDULE_DYNAMIC);
	(void)end;
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { LEVELS = 300 }; /* they walk the whole stack at each atomic step, or make frames large */
#else
enum { LEVELS = 10000 };
#endif

static void test_ten_thousand_levels(void **state)
{
	_Atomic int reached = 0;
	depth d = {LEVELS, &reached};

	(void)state;
	deeper(0, 1, &d);
	assert_int_equal(reached, 1 + 2 * LEVELS);
}

/* ---- threads */

static void see_threads(size_t begin, size_t end, void *context)
{
	(void)begin;
	(void)end;
	note(context, (size_t)tine_num_threads(), true);
}

static void see_nested_threads(size_t begin, size_t end, void *context)
{
	(void)begin;
	(void)end;
	see_threads(0, 1, context);
	nanosleep(&(struct timespec){0, 100000}, NULL);
}

static void test_limit_is_inherited(void **state)
{
	_Atomic size_t most = 0;

	(void)state;
	tine_set_num_threads(6);
	tine_threads_push(2);
	tine_for(0, 100, see_nested_threads, &most, .grain = 1, .schedule = TINE_SCHEDULE_DYNAMIC);
	tine_threads_pop();
	assert_int_equal(most, 2);
	assert_int_equal(tine_num_threads(), 6);
	most = 0;
	tine_for(0, 100, see_nested_threads, &most, .grain = 1, .schedule = TINE_SCHEDULE_DYNAMIC);
	assert_int_equal(most, 6);
	tine_set_num_threads(4);
}

static void in_one_thread(size_t begin, size_t end, void *context)
{
	pthread_t *self = context;

	(void)begin;
	(void)end;
	assert_true(pthread_equal(*self, pthread_self()));
}

static void test_one_thread(void **state)
{
	pthread_t self = pthread_self();

	(void)state;
	for (int k = 0; k < 4; k++)
		tine_for(0, 1000, in_one_thread, &self, .threads = 1, .grain = 1,
			 .schedule = schedules[k]);
	tine_threads_push(1);
	tine_for(0, 1000, in_one_thread, &self, .grain = 1, .schedule = TINE_SCHEDULE_DYNAMIC);
	tine_threads_pop();
}

static void *many_loops(void *context)
{
	_Atomic size_t sum = 0;

	for (int round = 0; round < 30; round++)
		tine_for(0, 1000, add_length, &sum, .grain = 3, .schedule = schedules[round % 4]);
	*(size_t *)context = sum;
	return NULL;
}

static void test_many_hosts(void **state)
{
	enum { HOSTS = 64 };
	pthread_t threads[HOSTS];
	size_t sums[HOSTS];

	(void)state;
	for (int i = 0; i < HOSTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many_loops, &sums[i]), 0);
	for (int i = 0; i < HOSTS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(sums[i], 30000);
	}
}

/* Threads that end give their places to those who come. */
static void test_hosts_come_and_go(void **state)
{
	(void)state;
	uint32_t before = atomic_load(&tini_the_team.hosts);
	for (int i = 0; i < 200; i++) {
		pthread_t thread;
		size_t sum;
		assert_int_equal(pthread_create(&thread, NULL, many_loops, &sum), 0);
		pthread_join(thread, NULL);
		assert_int_equal(sum, 30000);
	}
	assert_true(atomic_load(&tini_the_team.hosts) <= before + 1);
}

/* ---- two hosts: the second is not left alone until the first has done */

typedef struct shared_loop {
	pthread_t host;
	_Atomic int begun, helped;
} shared_loop;

static void nap_a_millisecond(size_t begin, size_t end, void *context)
{
	shared_loop *loop = context;

	(void)begin;
	(void)end;
	loop->begun++;
	loop->helped += !pthread_equal(loop->host, pthread_self());
	nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static void *host_of(void *arg)
{
	shared_loop *loop = arg;

	loop->host = pthread_self();
	tine_for(0, 300, nap_a_millisecond, loop, .grain = 1, .schedule = TINE_SCHEDULE_DYNAMIC);
	return NULL;
}

static void test_fair_share(void **state)
{
	shared_loop first = {0}, second = {0};
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, host_of, &first), 0);
	while (first.begun < 20)
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	second.host = pthread_self();
	tine_for(0, 30, nap_a_millisecond, &second, .grain = 1, .schedule = TINE_SCHEDULE_DYNAMIC);
	assert_true(first.begun < 300); /* it goes on: what helped here has left it */
	pthread_join(thread, NULL);
	assert_true(second.helped > 0);
	assert_int_equal(first.begun, 300);
}

/* A body that waits for a lock does not keep the others from the rest. */
static sem_t gate;
static _Atomic int passed;

static void wait_at_gate(size_t begin, size_t end, void *context)
{
	(void)context;
	(void)end;
	if (begin == 0) {
		sem_wait(&gate); /* opened when all others are done */
	} else if (++passed == 99) {
		sem_post(&gate);
	}
}

static void test_body_that_waits(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		passed = 0;
		assert_int_equal(sem_init(&gate, 0, 0), 0);
		assert_int_equal(tine_for(0, 100, wait_at_gate, NULL, .grain = 1, .threads = 2,
					  .schedule = TINE_SCHEDULE_DYNAMIC),
				 0);
		assert_int_equal(passed, 99);
	}
}

/* A body that is quick at first and slow later: the rest of the loop is shared all the same. */
static _Atomic int slow_for_once, elsewhere;

static void quick_or_slow(size_t begin, size_t end, void *context)
{
	elsewhere += !pthread_equal(*(pthread_t *)context, pthread_self());
	if (slow_for_once)
		nanosleep(&(struct timespec){0, (long)(end - begin) * 3000000}, NULL);
}

static void test_quick_then_slow(void **state)
{
	pthread_t self = pthread_self();

	(void)state;
	slow_for_once = elsewhere = 0;
	for (int i = 0; i < 20; i++)
		tine_for(0, 16, quick_or_slow, &self);
	elsewhere = 0;
	slow_for_once = 1;
	tine_for(0, 16, quick_or_slow, &self);
	assert_true(elsewhere > 0);
	slow_for_once = 0;
}

/* ---- beside OpenMP */

static int (*openmp_threads)(void);

static void see_openmp(size_t begin, size_t end, void *context)
{
	(void)begin;
	(void)end;
	note(context, (size_t)openmp_threads(), true);
	nanosleep(&(struct timespec){0, 100000}, NULL);
}

/* A body that calls OpenMP has one core; the program has its own number again afterwards.  The last
 * test: OpenMP is looked for when threads are added. */
static void test_beside_openmp(void **state)
{
	void *library = dlopen("libgomp.so.1", RTLD_NOW | RTLD_GLOBAL);
	_Atomic size_t most = 0;

	(void)state;
	if (!library)
		skip();
	void *get = dlsym(library, "omp_get_max_threads"),
	     *set = dlsym(library, "omp_set_num_threads");
	void (*set_threads)(int);
	memcpy(&openmp_threads, &get, sizeof get);
	memcpy(&set_threads, &set, sizeof set);
	set_threads(5);
	tine_set_num_threads(12); /* more than there were: these are new */
	assert_int_equal(tine_for(0, 100, see_openmp, &most, .grain = 1, .threads = 12,
				  .schedule = TINE_SCHEDULE_STATIC),
			 0);
	assert_int_equal(most, 1);
	assert_int_equal(openmp_threads(), 5);
	tine_set_num_threads(4);
}

/* The worker's memory, the first thread, the second, ...: fewer threads, the same answer. */
static int without_threads(void *arg)
{
	static seen s;

	tine_set_num_threads(4);
	forget(&s, 0);
	tini_fault_arm(TINI_FAULT_SYSTEM, *(long *)arg);
	kit_expect(tine_for(0, 1000, count_times, &s, .grain = 1,
			    .schedule = TINE_SCHEDULE_DYNAMIC) == 0);
	kit_expect(tini_fault_calls(TINI_FAULT_SYSTEM) >= *(long *)arg);
	tini_fault_arm(TINI_FAULT_SYSTEM, 0);
	for (int i = 0; i < 1000; i++)
		kit_expect(s.times[i] == 1);
	return 0;
}

static void test_no_threads_to_be_had(void **state)
{
	(void)state;
	for (long n = 1; n < 8; n++) /* in a process that has none yet */
		kit_run_clean(without_threads, &n, 20);
}

/* A body sees the others at work: else none of this tests anything. */
static void see_others(size_t begin, size_t end, void *context)
{
	_Atomic int *arrived = context;

	(void)begin;
	(void)end;
	++*arrived;
	for (int i = 0; i < 20000 && *arrived < 4; i++)
		nanosleep(&(struct timespec){0, 100000}, NULL);
}

static void test_threads_are_there(void **state)
{
	_Atomic int arrived = 0;

	(void)state;
	tine_for(0, 4, see_others, &arrived, .schedule = TINE_SCHEDULE_STATIC);
	assert_int_equal(atomic_load(&tini_the_team.helpers), 3);
	assert_int_equal(arrived, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_threads_to_be_had),
		cmocka_unit_test(test_threads_are_there),
		cmocka_unit_test(test_every_iteration_once),
		cmocka_unit_test(test_calls_of_exactly_the_grain),
		cmocka_unit_test(test_static_parts),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_huge_calls),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_ten_thousand_levels),
		cmocka_unit_test(test_limit_is_inherited),
		cmocka_unit_test(test_one_thread),
		cmocka_unit_test(test_many_hosts),
		cmocka_unit_test(test_hosts_come_and_go),
		cmocka_unit_test(test_fair_share),
		cmocka_unit_test(test_body_that_waits),
		cmocka_unit_test(test_quick_then_slow),
		cmocka_unit_test(test_beside_openmp),
		cmocka_unit_test(test_many_parts), /* last: it starts many threads */
	};

	tine_set_num_threads(4);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
