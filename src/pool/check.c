/* SPDX-License-Identifier: MIT */
#include "pool/check.h"

#include "base/checked.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/error.h"
#include "base/lines.h"
#include "base/options.h"
#include "pool/pool.h"
#include "pool/run.h"
#include "process/modules.h"
#include "process/self.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

bool tini_all_shared(const void *p, size_t size)
{
	return tine_is_shared(p) && (size == 0 || tine_is_shared((const char *)p + size - 1));
}

/* ---- TINE_CHECK=pointers */

enum { AREAS = 256 };
typedef struct private_areas {
	size_t count;
	uintptr_t low[AREAS], high[AREAS];
} private_areas;

/* The host's heap, stacks and anonymous memory: what it has written since the workers were forked,
 * they do not see. */
static void list_private(private_areas *areas)
{
	tini_lines lines;
	const char *line;

	areas->count = 0;
	if (!tini_lines_open(&lines, "", "/proc/self/maps"))
		return;
	while (areas->count < AREAS && (line = tini_lines_next(&lines))) {
		char *end;
		uintptr_t low = strtoul(line, &end, 16),
			  high = *end == '-' ? strtoul(end + 1, &end, 16) : 0;
		bool is_private = strncmp(end, " rw-p", 5) == 0 || strncmp(end, " rwxp", 5) == 0;
		bool is_file = strchr(line, '/') != NULL;

		if (!is_private || is_file)
			continue;
		areas->low[areas->count] = low;
		areas->high[areas->count++] = high;
	}
	tini_lines_close(&lines);
}

static bool is_private(const private_areas *areas, uintptr_t p)
{
	for (size_t i = 0; i < areas->count; i++)
		if (p >= areas->low[i] && p < areas->high[i])
			return true;
	return false;
}

/* Look at every aligned word of the arguments.  A number that looks like an address is told too: it
 * is a debugging aid. */
static int check_pointers(const tini_work *work)
{
	private_areas areas;

	list_private(&areas);
	for (size_t i = 0; i < work->count; i++) {
		const char *arg = (const char *)work->args + i * work->arg_size;

		for (size_t at = 0; at + sizeof(uintptr_t) <= work->arg_size;
		     at += sizeof(uintptr_t)) {
			uintptr_t word;
			memcpy(&word, arg + at, sizeof word);
			if (is_private(&areas, word))
				return TINI_FAIL(TINE_EINVAL,
						 "%s: the argument of item %zu holds at byte %zu "
						 "the address 0x%zx, "
						 "private memory that workers do not see "
						 "(TINE_CHECK=pointers)",
						 work->call, i, at, (size_t)word);
		}
	}
	return 0;
}

static bool wants_pointer_check(void)
{
	const char *check = tini_env_get(TINI_ENV_CHECK);

	return check && strstr(check, "pointers");
}

/* ---- the default pool */

static pthread_mutex_t default_lock = PTHREAD_MUTEX_INITIALIZER;
static tine_pool *default_pool;

static void forget_default(void)
{
	pthread_mutex_init(&default_lock, NULL); /* another thread may have held it at the fork */
	default_pool = NULL;
}

tine_pool *tini_default_pool(void)
{
	pthread_mutex_lock(&default_lock);
	/* One whose supervisor was killed is replaced: the caller has no handle to do it with.  It is
	 * not freed, for another thread may be about to use it. */
	if (default_pool &&
	    (default_pool->kind->look(default_pool) != 0 || default_pool->host != tini_self_id()))
		default_pool = NULL;
	if (!default_pool) {
		tini_self_on_fork(forget_default);
		default_pool = tine_pool_open(.name = "default");
	}
	tine_pool *pool = default_pool;
	pthread_mutex_unlock(&default_lock);
	return pool;
}

/* ---- all of it */

static int check_task(const tini_work *work)
{
	tine_pool *pool = work->pool;
	uintptr_t address = (uintptr_t)work->task;

	if (!work->task)
		return TINI_FAIL(TINE_EINVAL, "%s: task is NULL", work->call);
	if (pool->kind->cooperative ||
	    atomic_load_explicit(&pool->known_task, memory_order_relaxed) == address)
		return 0; /* a cache of one: pairs with nothing */
	if (!tini_modules_know(pool->modules,
			       (const void *)address)) // NOLINT(performance-no-int-to-ptr)
		return TINI_FAIL(TINE_EINVAL,
				 "%s: the task's module was loaded after pool `%s` was opened: its "
				 "workers do not "
				 "have it",
				 work->call, pool->name);
	atomic_store_explicit(&pool->known_task, address, memory_order_relaxed);
	return 0;
}

static int check_numbers(const tini_work *work)
{
	int rc = work->timeout == TINE_FOREVER
			 ? 0
			 : tini_limit_check(work->timeout, work->call, "timeout");

	if (rc != 0)
		return rc;
	if (work->retries < -1 || work->retries >= (int)TINI_TRIES_MAX)
		return TINI_FAIL(TINE_EINVAL, "%s: .retries = %d is not in -1 .. %u", work->call,
				 work->retries, TINI_TRIES_MAX - 1);
	return 0;
}

int tini_work_check(tini_work *work)
{
	size_t bytes;

	if (!work->pool && !(work->pool = tini_default_pool()))
		return tine_last_code();
	int rc = tini_pool_check_open(work->pool, work->call);
	if (rc == 0)
		rc = check_task(work);
	if (rc == 0)
		rc = check_numbers(work);
	if (rc == 0)
		rc = tini_pool_check_context(work->pool, work->context, work->call);
	if (rc != 0)
		return rc;
	if (!tini_mul_fits(work->count, work->arg_size, &bytes) || bytes > SIZE_MAX / 4)
		return TINI_FAIL(TINE_EINVAL,
				 "%s: %zu arguments of %zu bytes are more than memory can name",
				 work->call, work->count, work->arg_size);
	if (!work->args && bytes > 0)
		return TINI_FAIL(TINE_EINVAL, "%s: the argument is NULL but arg_size is %zu",
				 work->call, work->arg_size);
	return bytes > 0 && !work->pool->kind->cooperative && wants_pointer_check()
		       ? check_pointers(work)
		       : 0;
}

void tini_work_set(const tini_work *work, tini_job *job, size_t result_size)
{
	tine_pool *pool = work->pool;

	job->task = work->task;
	job->context = work->context ? work->context : pool->context;
	job->timeout = work->timeout > 0   ? tini_clock_from_seconds(work->timeout)
		       : work->timeout < 0 ? 0
					   : pool->timeout;
	if (job->timeout == TINI_NEVER)
		job->timeout = 0;
	job->deadline = TINI_NEVER;
	job->cancel = NULL;
	job->retries = work->retries == 0 ? pool->retries : work->retries < 0 ? 0 : work->retries;
	job->retry_on = pool->retry_on;
	job->arg_size = work->arg_size;
	job->result_size = result_size;
}

void tini_work_sign(tine_pool *pool, tini_job *job)
{
	tini_runner *runner = tini_runner_of(pool);

	atomic_store(&job->depth, 0);
	if (!runner)
		return;
	atomic_store(&job->depth, 1 + (runner->job ? atomic_load(&runner->job->depth) : 0));
	atomic_store(&pool->nested, 1);
	if (tini_pool_role(pool) != TINI_WORKER)
		return; /* a thread of the host does not die alone */
	atomic_store(&runner->slot->created, 1);
	atomic_store(&job->creator, runner->owner + 1);
}
