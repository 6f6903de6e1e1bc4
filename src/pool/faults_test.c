/* SPDX-License-Identifier: MIT */
/* Every allocation and every system call of the pool's own fails once: the call says so, and
 * nothing is left. */
#include "kit/kit.h"

#include <tine/pool.h>
#include <tine/process.h>

#include "base/fault.h"
#include "heap/heap.h"

static int add_one(const void *arg, void *result)
{
	*(int *)result = *(const int *)arg + 1;
	return 0;
}

static int whole_life(void *context)
{
	enum tine_pool_kind kind = *(enum tine_pool_kind *)context;
	tine_pool *pool = tine_pool_open(.workers = 2, .kind = kind);
	int in[100] = {0}, out[100];

	if (!pool)
		return tine_last_code();
	int rc = tine_map(pool, add_one, in, 100, sizeof *in, out, sizeof *out);
	tine_future *future =
		rc == 0 ? tine_submit(pool, add_one, in, sizeof *in, sizeof *out) : NULL;
	if (rc == 0 && !future)
		rc = tine_last_code();
	if (future)
		rc = tine_future_get(future, out, 10);
	int told = tine_last_code();
	tine_future_free(future);
	tine_pool_terminate(pool);
	(void)told;
	return rc;
}

static size_t in_use(void)
{
	tine_heap_figures figures = {.struct_size = sizeof figures};

	assert_int_equal(tine_heap_stats(&figures), 0);
	return figures.in_use;
}

static void test_shared_faults(void **state)
{
	enum tine_pool_kind kinds[] = {TINE_SERIAL, TINE_THREADS, TINE_PROCESSES};

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(whole_life(&kinds[i]), 0);
		size_t before = in_use();
		kit_each_fault(TINI_FAULT_SHARED, whole_life, &kinds[i]);
		assert_int_equal(in_use(), before);
	}
}

/* The supervisor and the workers count for themselves, so nobody knows how many calls there are:
 * enough of them. */
static void each_system_fault(int (*life)(void *context), void *context)
{
	assert_int_equal(life(context), 0);
	int before = kit_descriptors();

	for (long n = 1; n <= 60; n++) {
		tini_fault_arm(TINI_FAULT_SYSTEM, n);
		int rc = life(context);
		tini_fault_arm(TINI_FAULT_SYSTEM, 0);
		if (rc > 0 || (rc < 0 && !tine_last_error()[0]))
			fail_msg("fault %ld: %d, \"%s\"", n, rc, tine_last_error());
		assert_int_equal(kit_descriptors(), before);
		assert_int_equal(kit_children(), 0);
	}
	assert_int_equal(life(context), 0);
}

static void test_system_faults(void **state)
{
	enum tine_pool_kind kinds[] = {TINE_SERIAL, TINE_PROCESSES}, threads = TINE_THREADS;

	(void)state;
	for (int i = 0; i < 2; i++)
		each_system_fault(whole_life, &kinds[i]);
	kit_each_fault(TINI_FAULT_SYSTEM, whole_life, &threads); /* each thread that is made */
}

static void test_private_faults(void **state)
{
	enum tine_pool_kind kinds[] = {TINE_SERIAL, TINE_THREADS};

	(void)state;
	for (int i = 0; i < 2; i++)
		kit_each_fault(TINI_FAULT_ALLOC, whole_life, &kinds[i]);
}

static int target(void *arg)
{
	return *(int *)arg;
}

static int process_life(void *context)
{
	int seven = 7;
	tine_process *process = tine_process_start(target, &seven, sizeof seven);
	tine_process_state end;

	(void)context;
	if (!process)
		return tine_last_code();
	int rc = tine_process_join(process, 10);
	if (rc == 0)
		rc = tine_process_status(process, &end);
	if (rc == 0 && end.code != 7)
		rc = TINE_ESTATE;
	tine_process_free(process);
	return rc;
}

static void test_process_faults(void **state)
{
	(void)state;
	kit_each_fault(TINI_FAULT_SHARED, process_life, NULL);
	each_system_fault(process_life, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared_faults), cmocka_unit_test(test_system_faults),
		cmocka_unit_test(test_private_faults), cmocka_unit_test(test_process_faults)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
