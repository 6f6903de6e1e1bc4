/* SPDX-License-Identifier: MIT */
/* CPU and memory limits, on fixtures of other machines: tests/fixtures/<machine>/proc and sys. */
#include "kit/kit.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tine/base.h>

#include "base/cpu.h"

#define MIB ((size_t)1 << 20)

typedef struct machine {
	const char *name;
	int cpus;          /* 0: no quota */
	size_t headroom;   /* bytes */
	const char *limit; /* part of the name of the limit in the way */
} machine;

static const machine machines[] = {
	{"docker_v2", 2, 272 * MIB, "control group"},
	{"nested_v2", 3, 124 * MIB, "control group"},
	{"docker_v1", 4, 248 * MIB, "control group"},
	{"hybrid", 1, 0, "control group"},
	{"tmpfs_only", 0, 8192 * MIB, "MemAvailable"},
	{"namespace_above", 1, 48 * MIB, "control group"},
	{"namespace_outside", 9, SIZE_MAX, "MemAvailable"},
	{"two_mounts", 6, SIZE_MAX, "MemAvailable"},
	{"unlimited_v2", 0, 8192 * MIB, "MemAvailable"},
	{"unlimited_v1", 0, SIZE_MAX, "MemAvailable"},
	{"garbage", 0, SIZE_MAX, "MemAvailable"},
	{"long_line", 7, SIZE_MAX, "MemAvailable"},
	{"empty", 0, SIZE_MAX, "MemAvailable"},
	{"no_such_machine", 0, SIZE_MAX, "MemAvailable"},
};
enum { MACHINES = sizeof(machines) / sizeof(machines[0]) };

static void test_quota(void **state)
{
	(void)state;
	for (int i = 0; i < MACHINES; i++) {
		int cpus = tini_cpu_quota(kit_fixture(machines[i].name));
		if (cpus != machines[i].cpus)
			fail_msg("%s: %d CPUs, not %d", machines[i].name, cpus, machines[i].cpus);
	}
}

static void test_headroom(void **state)
{
	(void)state;
	for (int i = 0; i < MACHINES; i++) {
		const char *limit = NULL;
		size_t bytes = tini_memory_headroom(kit_fixture(machines[i].name), &limit);
		if (bytes != machines[i].headroom || !strstr(limit, machines[i].limit))
			fail_msg("%s: %zu bytes by %s, not %zu by %s", machines[i].name, bytes,
				 limit, machines[i].headroom, machines[i].limit);
	}
	assert_true(tini_memory_headroom(kit_fixture("docker_v2"), NULL) == 272 * MIB);
}

static void test_oom_kills(void **state)
{
	(void)state;
	assert_int_equal(tini_oom_kills(kit_fixture("docker_v2")), 3);
	assert_int_equal(tini_oom_kills(kit_fixture("garbage")), 0);
	assert_int_equal(tini_oom_kills(kit_fixture("empty")), 0);
}

static void test_this_machine(void **state)
{
	int descriptors = kit_descriptors();

	(void)state;
	assert_true(tini_cpu_affinity() >= 1);
	assert_true(tini_cpu_quota("") >= 0);
	assert_true(tini_memory_headroom("", NULL) > 0);
	assert_int_equal(kit_descriptors(), descriptors);
}

static void test_affinity(void **state)
{
	cpu_set_t before, one;
	int first = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(tini_cpu_affinity(), CPU_COUNT(&before));
	while (!CPU_ISSET(first, &before))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(tini_cpu_affinity(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static void test_environment(void **state)
{
	(void)state;
	unsetenv("TINE_NUM_THREADS");
	unsetenv("OMP_NUM_THREADS");
	int usual = tine_cpu_count();
	assert_in_range(usual, 1, tini_cpu_affinity());
	setenv("OMP_NUM_THREADS", "4,2", 1);
	assert_int_equal(tine_cpu_count(), 4);
	setenv("TINE_NUM_THREADS", "7", 1);
	assert_int_equal(tine_cpu_count(), 7);
	setenv("TINE_NUM_THREADS", "many", 1);
	assert_int_equal(tine_cpu_count(), 4);
	setenv("OMP_NUM_THREADS", "", 1);
	assert_int_equal(tine_cpu_count(), usual);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quota),     cmocka_unit_test(test_headroom),
		cmocka_unit_test(test_oom_kills), cmocka_unit_test(test_this_machine),
		cmocka_unit_test(test_affinity),  cmocka_unit_test(test_environment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
