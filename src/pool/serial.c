/* SPDX-License-Identifier: MIT */
/* The serial kind: every item runs in the caller, at once.  For debugging, and where one core is
 * all there is. */
#include "base/error.h"
#include "pool/pool.h"
#include "pool/run.h"
#include "process/self.h"

static tini_runner serial_runner(tine_pool *pool, tini_slot *slot)
{
	return (tini_runner){.pool = pool,
			     .self = tini_self_id(),
			     .slot = slot,
			     .cooperative = true,
			     .left = SIZE_MAX};
}

static int serial_open(tine_pool *pool)
{
	tini_runner runner = serial_runner(pool, &pool->slot[0]);

	tini_runner_enter(&runner);
	int code = pool->init ? pool->init(pool->context) : 0;
	tini_runner_leave(&runner);
	if (code == 0)
		return 0;
	const char *why = pool->slot[0].text;
	return why[0] ? TINI_FAIL(TINE_EINIT, "init returned %d: %s", code, why)
		      : TINI_FAIL(TINE_EINIT, "init returned %d", code);
}

/* Each call has a slot of its own: several threads may use the pool at once, and an item may use it
 * again. */
static void serial_offer(tine_pool *pool, tini_job *job)
{
	tini_slot slot = {0};
	tini_runner runner = serial_runner(pool, &slot);

	tini_runner_enter(&runner);
	tini_run_job(&runner, job);
	tini_runner_leave(&runner);
	atomic_fetch_add(&pool->slot[0].items, atomic_load(&slot.items));
	atomic_fetch_add(&pool->slot[0].failures, atomic_load(&slot.failures));
	atomic_fetch_add(&pool->slot[0].retried, atomic_load(&slot.retried));
	atomic_fetch_add(&pool->slot[0].busy, atomic_load(&slot.busy));
}

static int serial_close(tine_pool *pool, bool kill, int64_t deadline)
{
	tini_runner runner = serial_runner(pool, &pool->slot[0]);

	(void)deadline;
	tini_runner_enter(&runner);
	if (pool->exit && !kill)
		pool->exit(pool->context);
	tini_runner_leave(&runner);
	return 0;
}

static int serial_look(tine_pool *pool)
{
	(void)pool;
	return 0;
}

const tini_pool_kind tini_kind_serial = {.name = "serial",
					 .cooperative = true,
					 .most_workers = 1,
					 .check = tini_pool_check_cooperative,
					 .open = serial_open,
					 .offer = serial_offer,
					 .close = serial_close,
					 .look = serial_look};
