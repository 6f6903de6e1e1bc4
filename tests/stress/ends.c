/* SPDX-License-Identifier: MIT */
/* The supervisor and the host are killed in the middle of it: every wait ends, nothing is left. */
#include "chaos.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ITEMS = 20000, PROMPT_MS = 1000 };

static int slow(const void *arg, void *result)
{
	chaos_nap(0.0005);
	*(int *)result = *(const int *)arg + 1;
	return 0;
}

/* ---- the supervisor ---- */

static void check_lost_map(int rc, double took, const int *statuses, const int *results)
{
	if (rc != TINE_ELOST)
		CHAOS_COUNT(wrong, "the map of a lost supervisor gave %d: %s", rc,
			    tine_last_error());
	if (took * 1000 > PROMPT_MS)
		CHAOS_COUNT(hung, "the map of a lost supervisor ended %g s after its death", took);
	for (int i = 0; i < ITEMS; i++)
		if (results[i] != (statuses[i] == 0 ? i + 1 : 0) ||
		    (statuses[i] != 0 && statuses[i] != TINE_ELOST))
			CHAOS_COUNT(wrong, "lost supervisor: item %d has status %d and result %d",
				    i, statuses[i], results[i]);
}

static void lose_in_map(tine_pool *pool)
{
	int *args = malloc(ITEMS * sizeof(*args)), *results = malloc(ITEMS * sizeof(*results));
	int *statuses = malloc(ITEMS * sizeof(*statuses));

	for (int i = 0; i < ITEMS; i++)
		args[i] = i;
	chaos_begin("a map that loses its supervisor");
	atomic_store(&chaos->kill_supervisor, 1);
	int rc = tine_map(pool, slow, args, ITEMS, sizeof(*args), results,
			  .result_size = sizeof(*results), .statuses = statuses,
			  .chunk = chaos_random() % 2);
	check_lost_map(rc, chaos_now() - atomic_load(&chaos->supervisor_died), statuses, results);
	chaos_end();
	atomic_fetch_add(&chaos->sum.maps, 1);
	atomic_fetch_add(&chaos->sum.items, ITEMS);
	free(args);
	free(results);
	free(statuses);
}

static void lose_with_futures(tine_pool *pool)
{
	enum { N = 200 };
	tine_future *futures[N];

	chaos_begin("futures that lose their supervisor");
	for (int i = 0; i < N; i++)
		futures[i] = tine_submit(pool, slow, &i, sizeof(i), .result_size = sizeof(i));
	atomic_store(&chaos->kill_supervisor, 1);
	for (int i = 0; i < N; i++) {
		int result = -1, rc = futures[i]
					      ? tine_future_get(futures[i], &result, TINE_FOREVER)
					      : TINE_ELOST;

		if ((rc != 0 && rc != TINE_ELOST) ||
		    (futures[i] && result != (rc == 0 ? i + 1 : 0)))
			CHAOS_COUNT(wrong, "lost supervisor: future %d gave %d and %d", i, rc,
				    result);
		tine_future_free(futures[i]);
	}
	while (atomic_load(&chaos->kill_supervisor)) /* all were quicker than the killer */
		chaos_nap(0.001);
	chaos_end();
	atomic_fetch_add(&chaos->sum.items, N);
}

static void lose_idle(tine_pool *pool)
{
	int status = 1, one = 1, result = -1;

	atomic_store(&chaos->kill_supervisor, 1);
	while (atomic_load(&chaos->kill_supervisor))
		chaos_nap(0.001);
	chaos_nap(0.001 * (double)(chaos_random() % 3));
	chaos_begin("a map after the supervisor's death");
	int rc = tine_map(pool, slow, &one, 1, sizeof(one), &result, .result_size = sizeof(result),
			  .statuses = &status);
	chaos_end();
	if (rc != TINE_ELOST && rc != 0) /* a worker may have been quicker */
		CHAOS_COUNT(wrong, "a map after the supervisor's death gave %d: %s", rc,
			    tine_last_error());
}

void ends_supervisor(int repeats)
{
	static void (*const lose[])(tine_pool *) = {lose_in_map, lose_with_futures, lose_idle,
						    lose_in_map};

	for (int i = 0; i < repeats; i++) {
		tine_pool *pool = chaos_pool(2 + i % 3, 0, killer_tell);

		if (!pool)
			return;
		if (i % 4 == 3)
			killer_stop_one(false);
		lose[i % 4](pool);
		chaos_close(pool, TINE_ELOST);
	}
}

/* ---- the host ---- */

static int long_item(const void *arg, void *result)
{
	volatile double x = 1;

	(void)arg;
	(void)result;
	for (double end = chaos_now() + 1e6; chaos_now() < end;)
		for (int i = 0; i < 1000; i++)
			x = x * 1.0000001;
	return 0;
}

static int sleeper(const void *arg, void *result)
{
	(void)arg;
	(void)result;
	pause();
	return 0;
}

/* A host with a pool in the middle of a map, of futures or idle, which waits for its end. */
static _Noreturn void doomed_host(int how)
{
	tine_pool *pool = chaos_pool(3, 0, killer_tell);
	int out[64] = {0};

	if (!pool)
		_exit(1);
	atomic_store(&chaos->armed, 0);
	if (how == 0)
		tine_map(pool, long_item, NULL, 100, 0, NULL, .chunk = 1);
	else if (how == 1)
		tine_map(pool, sleeper, NULL, 64, 0, out, .result_size = sizeof(*out));
	else
		for (int i = 0; i < 100; i++)
			tine_submit(pool, sleeper, NULL, 0, .retries = -1);
	for (;;)
		pause();
}

static void kill_host(int how)
{
	atomic_store(&chaos->births, 0);
	pid_t pid = fork();

	if (pid == 0)
		doomed_host(how % 3);
	for (double end = chaos_now() + 5; atomic_load(&chaos->births) < 3 && chaos_now() < end;)
		chaos_nap(0.001);
	chaos_nap(0.001 * (double)(chaos_random() % 10));
	if (how % 2)
		killer_stop_one(false);
	kill(pid, SIGKILL); /* our child, not reaped */
	waitpid(pid, NULL, 0);
	if (atomic_load(&chaos->births) < 3)
		CHAOS_COUNT(hung, "a host to be killed did not open its pool");
	killer_wait_gone("the host's death");
}

int ends_host(void *repeats)
{
	for (int i = 0; i < *(int *)repeats; i++)
		kill_host(i);
	return 0;
}
