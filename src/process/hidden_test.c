/* SPDX-License-Identifier: MIT */
/* A hidden process: the host sees no child and no SIGCHLD, and it ends with the host. */
#include "kit/kit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tine/heap.h>

#include "base/clock.h"
#include "process/child.h"
#include "process/hidden.h"

typedef struct shared_state {
	_Atomic int ticks, stop, open_descriptors;
} shared_state;

static shared_state *shared;
static volatile sig_atomic_t children_seen;

static void on_child(int signal)
{
	(void)signal;
	children_seen++;
}

static void count_ticks(tini_watch *watch, void *context)
{
	shared_state *s = context;
	bool child;

	atomic_store(&s->open_descriptors, kit_descriptors());
	while (!atomic_load(&s->stop) && tini_watch_wait(watch, tini_clock_deadline(0.001), &child))
		atomic_fetch_add(&s->ticks, 1);
	_exit(0);
}

static int start_and_stop(void *arg)
{
	tini_hidden hidden;
	int before = kit_descriptors();

	(void)arg;
	signal(SIGCHLD, on_child);
	shared = tine_shared_alloc(sizeof *shared, .zero = true);
	int heap = kit_descriptors() - before; /* the heap's own stay */
	kit_expect(heap >= 0);
	for (int i = 0; i < 20; i++) {
		atomic_store(&shared->stop, 0);
		kit_expect(tini_hidden_start(&hidden, "hidden", -1, count_ticks, shared) == 0);
		kit_expect(tini_hidden_alive(&hidden));
		kit_expect(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
		kit_expect(kit_children() == 0);
		int ticks = atomic_load(&shared->ticks);
		while (atomic_load(&shared->ticks) == ticks)
			tini_hidden_kick(&hidden);
		atomic_store(&shared->stop, 1);
		while (tini_hidden_alive(&hidden))
			usleep(100);
		tini_hidden_close(&hidden, false);
	}
	kit_expect(children_seen == 0);
	kit_expect(kit_descriptors() == before + heap);
	return 0;
}

static void test_invisible(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* there it is an ordinary child */
#endif
	kit_run_clean(start_and_stop, NULL, 20);
}

/* The host ends without a word: kit_run_clean() finds what it leaves. */
static int leave_running(void *arg)
{
	tini_hidden hidden;

	shared = tine_shared_alloc(sizeof *shared, .zero = true);
	kit_expect(tini_hidden_start(&hidden, "hidden", -1, count_ticks, shared) == 0);
	if (arg)
		raise(SIGKILL);
	return 0;
}

static void test_ends_with_host(void **state)
{
	(void)state;
	kit_run_clean(leave_running, NULL, 20);
	kit_outcome outcome = kit_run(leave_running, "kill", 20);
	assert_int_equal(outcome.signal, SIGKILL);
	assert_int_equal(outcome.left, 0);
}

/* Descriptors that an exec would close are closed in the hidden process. */
static int leak_nothing(void *arg)
{
	tini_hidden hidden;

	(void)arg;
	shared = tine_shared_alloc(sizeof *shared, .zero = true);
	int plain = kit_descriptors();
	for (int i = 0; i < 50; i++)
		kit_expect(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
	int kept = open("/dev/null", O_RDONLY);
	kit_expect(tini_hidden_start(&hidden, "hidden", -1, count_ticks, shared) == 0);
	while (atomic_load(&shared->ticks) == 0)
		usleep(100);
	kit_expect(kept >= 0);
	kit_expect(atomic_load(&shared->open_descriptors) <=
		   plain + 1 + 3); /* kept; pidfd, lifeline, signals */
	tini_hidden_close(&hidden, true);
	return 0;
}

static void test_descriptors(void **state)
{
	(void)state;
	kit_run_clean(leak_nothing, NULL, 20);
}

static _Atomic int stop_threads;
static void *churn(void *arg)
{
	while (!stop_threads) {
		free(malloc(1000));
		setenv("TINE_TEST_CHURN", "x", 1);
	}
	return arg;
}

/* Locks of other threads must not be held for ever in the hidden process, which allocates. */
static void allocate_then_end(tini_watch *watch, void *context)
{
	shared_state *s = context;

	(void)watch;
	for (int i = 0; i < 100; i++)
		free(malloc(5000));
	tini_child_prepare(2);
	atomic_fetch_add(&s->ticks, 1);
	_exit(0);
}

static int start_beside_threads(void *arg)
{
	pthread_t threads[3];
	tini_hidden hidden;

	(void)arg;
	shared = tine_shared_alloc(sizeof *shared, .zero = true);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, churn, NULL);
	for (int i = 0; i < 100; i++) {
		kit_expect(tini_hidden_start(&hidden, "hidden", -1, allocate_then_end, shared) ==
			   0);
		while (tini_hidden_alive(&hidden))
			usleep(50);
		tini_hidden_close(&hidden, false);
		kit_expect(atomic_load(&shared->ticks) == i + 1);
	}
	stop_threads = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

static void test_beside_threads(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* their allocators are not safe across the fork of a threaded process */
#endif
	kit_run_clean(start_beside_threads, NULL, 30);
}

/* A subreaper would get the orphan after all, so there it is an ordinary child from the start. */
static int as_subreaper(void *arg)
{
	tini_hidden hidden;

	(void)arg;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	shared = tine_shared_alloc(sizeof *shared, .zero = true);
	kit_expect(tini_hidden_start(&hidden, "hidden", -1, count_ticks, shared) == 0);
	kit_expect(hidden.visible == hidden.pid);
	tini_hidden_close(&hidden, true);
	kit_expect(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	return 0;
}

static void test_subreaper(void **state)
{
	(void)state;
	kit_run_clean(as_subreaper, NULL, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_invisible), cmocka_unit_test(test_ends_with_host),
		cmocka_unit_test(test_descriptors), cmocka_unit_test(test_beside_threads),
		cmocka_unit_test(test_subreaper)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
