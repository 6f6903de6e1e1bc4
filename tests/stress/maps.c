/* SPDX-License-Identifier: MIT */
/* Maps of a million items while workers are killed: every item ends exactly once, in the way that it says. */
#include "chaos.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STORIES = 500, RETRIES = 250, GARBAGE = 0xa5, HANGING = 4 };

/* One map.  A fair share of them has limits too. */
typedef struct how {
	size_t chunk;
	bool retry, private_memory;
	double timeout; /* of an item; then HANGING items hang, each once where it is tried again */
	double deadline; /* of the map */
} how;

static struct { /* made before the pool: the workers see the same addresses */
	uint64_t *args, *results;
	uint64_t *private_args, *private_results;
	_Atomic uint8_t *runs;
	_Atomic uint64_t *salt; /* and whether items hang */
	int *statuses;
	tine_failure *failures;
} m;

static uint64_t answer(uint64_t index, uint64_t salt)
{
	return chaos_mix(index ^ salt) | 1;
}

static bool hangs(uint64_t index, uint64_t salt)
{
	return (salt & 1) && index % (MAP_ITEMS / HANGING) == salt % 1000;
}

static int work(const void *arg, void *result)
{
	uint64_t index = *(const uint64_t *)arg,
		 salt = atomic_load_explicit(m.salt, memory_order_relaxed);

	killer_worked();
	atomic_fetch_add_explicit(&m.runs[index], 1, memory_order_relaxed);
	while (hangs(index, salt) && tine_task_attempt() == 1)
		pause();
	*(uint64_t *)result = answer(index, salt);
	return 0;
}

static bool is_known(const how *h, int status)
{
	return status == 0 || status == TINE_ECRASHED ||
	       (status == TINE_EDEADLINE && (h->timeout > 0 || h->deadline > 0));
}

/* Everything about one item that its status can be checked against. */
static void check_item(const how *h, uint64_t i, int status, uint64_t result, uint64_t salt)
{
	uint8_t runs = atomic_load_explicit(&m.runs[i], memory_order_relaxed);

	if (!h->retry && runs > 1)
		CHAOS_COUNT(doubled, "item %llu ran %u times", (unsigned long long)i, runs);
	if (status == 0 && runs == 0)
		CHAOS_COUNT(lost, "item %llu never ran but has status 0", (unsigned long long)i);
	else if (status == 0 && result != answer(i, salt))
		CHAOS_COUNT(wrong, "item %llu: result %#llx", (unsigned long long)i,
			    (unsigned long long)result);
	else if (!is_known(h, status) || (status == 0 && hangs(i, salt) && runs == 1))
		CHAOS_COUNT(wrong, "item %llu: status %d", (unsigned long long)i, status);
	else if (status != 0 && result != 0)
		CHAOS_COUNT(wrong, "item %llu failed, but its result is %#llx",
			    (unsigned long long)i, (unsigned long long)result);
}

static void check_stories(const how *h, size_t failed)
{
	size_t n = failed < STORIES ? failed : STORIES;

	for (size_t k = 0; k < n; k++) {
		const tine_failure *f = &m.failures[k];
		bool began = f->pid > 0 && f->worker >= 0 && f->attempts >= 1 &&
			     f->attempts <= (h->retry ? RETRIES + 1 : 1);

		if (f->index >= MAP_ITEMS || m.statuses[f->index] != f->code || !f->text[0] ||
		    (k > 0 && f->index <= m.failures[k - 1].index))
			CHAOS_COUNT(wrong, "story %zu: item %zu, code %d: %s", k, f->index, f->code,
				    f->text);
		else if (!began && h->deadline == 0)
			CHAOS_COUNT(wrong, "story %zu: pid %d, worker %d, %d attempts: %s", k,
				    f->pid, f->worker, f->attempts, f->text);
	}
}

static void check_map(const how *h, int rc, size_t failure_count, const uint64_t *results)
{
	size_t failed = 0, unfinished = 0;
	uint64_t salt = atomic_load(m.salt);

	for (uint64_t i = 0; i < MAP_ITEMS; i++) {
		failed += m.statuses[i] != 0;
		unfinished += m.statuses[i] == TINE_EDEADLINE;
		check_item(h, i, m.statuses[i], results[i], salt);
	}
	if (failed != failure_count)
		CHAOS_COUNT(wrong, "%zu items failed, failure_count is %zu", failed, failure_count);
	if (rc != (failed ? TINE_EITEMS : 0) && !(rc == TINE_EDEADLINE && h->deadline > 0))
		CHAOS_COUNT(wrong, "tine_map gave %d with %zu failed items: %s", rc, failed,
			    tine_last_error());
	check_stories(h, failed);
	atomic_fetch_add(&chaos->sum.maps, 1);
	atomic_fetch_add(&chaos->sum.items, MAP_ITEMS - unfinished);
}

static how choose(size_t chunk, bool retry)
{
	how h = {.chunk = chunk, .retry = retry, .private_memory = chaos_random() % 4 == 0};
	int draw = (int)(chaos_random() % 16);

	h.timeout = draw < 2 ? 0.02 : draw == 2 ? 10 : 0;
	h.deadline = draw == 3 ? 0.02 + 1e-4 * (double)(chaos_random() % 1000) : 0;
	return h;
}

static void run_map(tine_pool *pool, const how *h)
{
	uint64_t *results = h->private_memory ? m.private_results : m.results;
	size_t failure_count = 0;

	memset((void *)m.runs, 0, MAP_ITEMS);
	memset(results, GARBAGE, MAP_ITEMS * sizeof(*results));
	memset(m.statuses, GARBAGE, MAP_ITEMS * sizeof(*m.statuses));
	atomic_store(m.salt, (chaos_random() & ~(uint64_t)1) | (h->timeout > 0 && h->timeout < 1));
	chaos_begin("a map");
	killer_arm();
	int rc = tine_map(pool, work, h->private_memory ? m.private_args : m.args, MAP_ITEMS,
			  sizeof(*m.args), results, .result_size = sizeof(*results),
			  .chunk = h->chunk, .retries = h->retry ? RETRIES : -1,
			  .statuses = m.statuses, .failures = m.failures, .max_failures = STORIES,
			  .failure_count = &failure_count, .timeout = h->timeout,
			  .deadline = h->deadline);
	atomic_store(&chaos->idle_signals,
		     (int)(chaos_random() % 3)); /* more in a row may break the pool */
	atomic_store(&chaos->armed, 0);
	chaos_end();
	check_map(h, rc, failure_count, results);
}

static bool run_pool(int workers, double end)
{
	static const size_t chunks[] = {1, 7, 0, 64, 1000};
	tine_pool *pool = chaos_pool(workers, chaos_random() % 4 == 0 ? 100000 : 0, killer_tell);

	if (!pool)
		return false;
	for (int round = 0; round < 10 && chaos_now() < end; round++) {
		how h = choose(chunks[round / 2], round % 2);

		run_map(pool, &h);
	}
	atomic_store(&chaos->idle_signals, 0);
	chaos_close(pool, 0);
	return true;
}

static void prepare(void)
{
	m.args = tine_shared_alloc(MAP_ITEMS * sizeof(*m.args));
	m.results = tine_shared_alloc(MAP_ITEMS * sizeof(*m.results));
	m.runs = tine_shared_alloc(MAP_ITEMS);
	m.salt = tine_shared_alloc(sizeof(*m.salt));
	m.private_args = malloc(MAP_ITEMS * sizeof(*m.args));
	m.private_results = malloc(MAP_ITEMS * sizeof(*m.results));
	m.statuses = malloc(MAP_ITEMS * sizeof(*m.statuses));
	m.failures = malloc(STORIES * sizeof(*m.failures));
	for (uint64_t i = 0; i < MAP_ITEMS; i++)
		m.args[i] = m.private_args[i] = i;
}

static void clean_up(void)
{
	tine_shared_free(m.args);
	tine_shared_free(m.results);
	tine_shared_free((void *)m.runs);
	tine_shared_free((void *)m.salt);
	free(m.private_args);
	free(m.private_results);
	free(m.statuses);
	free(m.failures);
}

void maps_run(double seconds)
{
	double end = chaos_now() + seconds;

	prepare();
	for (int workers = 2; chaos_now() < end; workers = workers == 4 ? 2 : workers + 1)
		if (!run_pool(workers, end))
			break;
	clean_up();
}
