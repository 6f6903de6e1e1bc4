/* SPDX-License-Identifier: MIT */
/*
 * Each step of the pool's protocols at which a worker can die, by name: the worker kills itself there.
 *
 * A worker of a pool of this part dies at its n-th passage of the point, and the pool may lose KILLS workers so.  The
 * load is such that every point is passed: items fail, submit futures of their own and map themselves; workers leave.
 */
#include "chaos.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	ITEMS = 3000,
	MANY = 100000,
	FUTURES = 300,
	ROUNDS = 3,
	KILLS = 4,
	IDLE_KILLS = 2,
	NESTED = 6,
	FAILING = 40
};
#define SLEEPER_SECONDS 0.01 /* how long an item waits for a worker to fall asleep */
enum { CODE_OWN = 3, CODE_NESTED = 9, GARBAGE = 0xa5 };

/* Where a load passes a point: in maps of chunk 1, in longer ones, in futures. */
enum { IN_ONES = 1, IN_CHUNKS = 2, IN_FUTURES = 4, IN_MAPS = IN_ONES | IN_CHUNKS, IN_ALL = 7 };

typedef struct point {
	const char *name; /* TINI_KILL_POINT(name) in src/pool */
	int where;
} point;

static const point points[] = {
	{"job-named", IN_ALL},
	{"cursor-moved", IN_MAPS},
	{"range-told", IN_MAPS},
	{"chunk-claimed", IN_MAPS},
	{"item-ended", IN_MAPS},
	{"story-told", IN_ALL},
	{"chunk-done", IN_MAPS},
	{"chunk-offered", IN_CHUNKS},
	{"cell-told", IN_MAPS},
	{"job-done", IN_ALL},
	{"job-ended", IN_ALL},
	{"future-claimed", IN_ALL},
	{"future-ran", IN_ALL},
	{"future-done", IN_ALL},
	{"ready-set", IN_ALL},
	{"ready-cleared", IN_ALL},
	{"wake-taken", IN_ALL},
	{"asleep", IN_ALL},
	{"job-claimed-by-submitter", IN_ALL},
	{"job-running", IN_ALL},
};
enum { POINTS = sizeof(points) / sizeof(*points) };

typedef struct plan { /* shared */
	tine_pool *pool;
	_Atomic int kills_left, patience;
	_Atomic uint64_t hits[POINTS];
	int point;
	uint64_t count, salt;
	_Atomic uint8_t runs[MANY];
	uint64_t args[MANY], results[MANY];
} plan;

static plan *the_plan;
static bool is_worker; /* this process is one */
static tine_failure failures[MANY];
static int statuses[MANY];

/* ---- in the worker ---- */

static void hook(const char *name)
{
	static int passages;

	if (!is_worker || strcmp(name, points[the_plan->point].name) != 0 ||
	    ++passages < atomic_load(&the_plan->patience))
		return;
	if (atomic_fetch_sub(&the_plan->kills_left, 1) <= 0)
		return;
	atomic_fetch_add(&the_plan->hits[the_plan->point], 1);
	kill(getpid(), SIGKILL);
}

static int tell(void *context)
{
	is_worker = true;
	return killer_tell(context);
}

static uint64_t answer(uint64_t i)
{
	return chaos_mix(i ^ the_plan->salt) | 1;
}

static int inner(const void *arg, void *result)
{
	*(uint64_t *)result = *(const uint64_t *)arg + 1;
	return 0;
}

/* Only where a worker sleeps does an item that asks wake one: left to chance, one load of futures in twenty had none. */
static void wait_for_sleeper(void)
{
	double end = chaos_now() + SLEEPER_SECONDS;

	do
		chaos_nap(0.0003);
	while (!inside_any_asleep(the_plan->pool) && chaos_now() < end);
}

/*
 * Work for the pool that the item runs in: a future or a map, in turns, both with the answer that the caller knows.
 * The future is for a worker that must be woken, the map comes at any time.
 */
static int ask_the_pool(uint64_t i)
{
	uint64_t in[3] = {i, i + 1, i + 2}, out[3] = {0};
	int rc;

	if (i / (the_plan->count / NESTED) % 2 == 0) {
		wait_for_sleeper();
		tine_future *future = tine_submit(the_plan->pool, inner, in, sizeof(*in),
						  .result_size = sizeof(*out), .retries = -1);
		if (!future)
			return CODE_NESTED;
		rc = tine_future_get(future, out, TINE_FOREVER);
		tine_future_free(future);
		return rc ? CODE_NESTED : out[0] == i + 1 ? 0 : 1;
	}
	rc = tine_map(the_plan->pool, inner, in, 3, sizeof(*in), out, .result_size = sizeof(*out),
		      .retries = -1, .chunk = 2);
	return rc ? CODE_NESTED : out[0] == i + 1 && out[1] == i + 2 && out[2] == i + 3 ? 0 : 1;
}

static bool fails(uint64_t i)
{
	return i % (the_plan->count / FAILING) == 2;
}
static bool asks(uint64_t i)
{
	return i % (the_plan->count / NESTED) == 5;
}

static int work(const void *arg, void *result)
{
	uint64_t i = *(const uint64_t *)arg;
	int rc = asks(i) ? ask_the_pool(i) : 0;

	atomic_fetch_add(&the_plan->runs[i], 1);
	*(uint64_t *)result = answer(i);
	return rc ? rc : fails(i) ? CODE_OWN : 0;
}

/* ---- in the host ---- */

static void check_item(uint64_t i, int status, uint64_t result, bool retry)
{
	const char *name = points[the_plan->point].name;
	unsigned runs = atomic_load(&the_plan->runs[i]);
	bool known = status == 0 || status == TINE_ECRASHED || (status == CODE_OWN && fails(i)) ||
		     (status == CODE_NESTED && asks(i));

	if (!retry && runs > 1)
		CHAOS_COUNT(doubled, "%s: item %llu ran %u times", name, (unsigned long long)i,
			    runs);
	if (status == 0 && runs == 0)
		CHAOS_COUNT(lost, "%s: item %llu never ran but has status 0", name,
			    (unsigned long long)i);
	if (!known || (status == 0 && fails(i)) || result != (status == 0 ? answer(i) : 0))
		CHAOS_COUNT(wrong, "%s: item %llu has status %d and result %#llx", name,
			    (unsigned long long)i, status, (unsigned long long)result);
}

static void run_map(size_t chunk, uint64_t count, bool retry)
{
	size_t failed = 0, told = 0;

	memset(the_plan->results, GARBAGE, sizeof(the_plan->results));
	chaos_begin(points[the_plan->point].name);
	int rc = tine_map(the_plan->pool, work, the_plan->args, count, sizeof(uint64_t),
			  the_plan->results, .result_size = sizeof(uint64_t), .chunk = chunk,
			  .retries = retry ? 20 : -1, .statuses = statuses, .failures = failures,
			  .max_failures = MANY, .failure_count = &told);
	chaos_end();
	for (uint64_t i = 0; i < count; i++) {
		check_item(i, statuses[i], the_plan->results[i], retry);
		if (statuses[i] == 0)
			continue;
		if (failed < told &&
		    (failures[failed].index != i || failures[failed].code != statuses[i]))
			CHAOS_COUNT(wrong, "%s: story %zu is of item %zu: %s",
				    points[the_plan->point].name, failed, failures[failed].index,
				    failures[failed].text);
		failed++;
	}
	if (failed != told || rc != (failed ? TINE_EITEMS : 0))
		CHAOS_COUNT(wrong, "%s: %zu failed, %zu told, tine_map gave %d: %s",
			    points[the_plan->point].name, failed, told, rc, tine_last_error());
	atomic_fetch_add(&chaos->sum.maps, 1);
	atomic_fetch_add(&chaos->sum.items, count);
}

static void run_futures(bool retry)
{
	tine_future *futures[FUTURES];

	chaos_begin(points[the_plan->point].name);
	for (uint64_t i = 0; i < FUTURES; i++) {
		futures[i] = tine_submit(the_plan->pool, work, &i, sizeof(i),
					 .result_size = sizeof(i), .retries = retry ? 20 : -1);
		if (!futures[i])
			CHAOS_COUNT(lost, "%s: %s", points[the_plan->point].name,
				    tine_last_error());
	}
	for (uint64_t i = 0; i < FUTURES; i++) {
		uint64_t result = GARBAGE;
		int rc = tine_future_get(futures[i], &result, TINE_FOREVER);

		check_item(i, rc, result, retry);
		tine_future_free(futures[i]);
	}
	chaos_end();
	atomic_fetch_add(&chaos->sum.items, FUTURES);
}

enum { LOAD_ONES, LOAD_SEVENS, LOAD_AUTO, LOAD_FUTURES, LOADS };
static const int where_of[LOADS] = {IN_ONES, IN_CHUNKS, IN_CHUNKS, IN_FUTURES};

static void run_load(int load, bool retry)
{
	static const size_t chunks[LOADS] = {1, 7, 0, 0};

	memset((void *)the_plan->runs, 0, sizeof(the_plan->runs));
	the_plan->salt = chaos_random();
	the_plan->count = load == LOAD_FUTURES ? FUTURES : load == LOAD_AUTO ? MANY : ITEMS;
	if (load == LOAD_FUTURES)
		run_futures(retry);
	else
		run_map(chunks[load], the_plan->count, retry);
	chaos_nap(0.0003); /* so that workers fall asleep */
}

/* One pool that dies at one point under one load. */
static void run_point(int point, int load, bool retry)
{
	static const int patience[] = {1, 2, 3, 20};
	bool leaves = strcmp(points[point].name, "chunk-offered") == 0;
	/* Of deaths outside any item six in a row would break a pool of two, rightly. */
	int kills = strcmp(points[point].name, "asleep") == 0 ? IDLE_KILLS : KILLS;
	size_t before = chaos_in_use(NULL);

	atomic_store(&the_plan->kills_left, 0);
	the_plan->point = point;
	the_plan->pool = chaos_pool(2 + (int)(chaos_random() % 2), leaves ? 331 : 0, tell);
	if (!the_plan->pool)
		return;
	for (int round = 0; round < ROUNDS; round++) {
		atomic_store(&the_plan->patience, patience[(size_t)round % 4]);
		atomic_store(&the_plan->kills_left, kills);
		run_load(load, retry);
	}
	chaos_close(the_plan->pool, 0);
	if (chaos_in_use(NULL) != before)
		CHAOS_COUNT(lost, "%s, load %d: %zd bytes of the heap are leaked",
			    points[point].name, load, (ssize_t)(chaos_in_use(NULL) - before));
}

void points_run(void)
{
	the_plan = tine_shared_alloc(sizeof(*the_plan), .zero = true);
	for (uint64_t i = 0; i < MANY; i++)
		the_plan->args[i] = i;
	inside_set_hook(hook);
	for (int point = 0; point < POINTS; point++)
		for (int load = 0; load < LOADS; load++) {
			uint64_t before = the_plan->hits[point];

			run_point(point, load, false);
			run_point(point, load, true);
			if (the_plan->hits[point] == before &&
			    (points[point].where & where_of[load]))
				CHAOS_COUNT(lost, "kill point %s was not hit by load %d",
					    points[point].name, load);
			atomic_fetch_add(&chaos->sum.signals, the_plan->hits[point] - before);
		}
	inside_set_hook(NULL);
	for (int point = 0; point < POINTS; point++)
		fprintf(stderr, "chaos: %-26s hit %llu times\n", points[point].name,
			(unsigned long long)the_plan->hits[point]);
	tine_shared_free(the_plan);
}
