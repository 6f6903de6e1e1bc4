/* SPDX-License-Identifier: MIT */
/* How many CPUs and how much memory this process may use: the least that any limit on the way
 * allows. */
#include "base/cpu.h"

#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include <tine/base.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/lines.h"

/* ---- CPUs */

int tini_cpu_affinity(void)
{
	/* 65536 CPUs, eight times the most that Linux is built for: cpu_set_t ends at 1024, above
	 * which the call fails */
	cpu_set_t sets[64];
	int n = 0;

	if (!sched_getaffinity(0, sizeof(sets), sets))
		n = CPU_COUNT_S(sizeof(sets), sets);
	if (n < 1)
		n = (int)sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : n;
}

/* The least of two limits of which 0 is none. */
static int least(int a, int b)
{
	if (!a || !b)
		return a ? a : b;
	return a < b ? a : b;
}

static int whole_cpus(uint64_t quota, uint64_t period)
{
	if (!period)
		return 0;
	uint64_t n = quota / period + (quota % period != 0);
	if (n > INT_MAX)
		return 0;
	return n ? (int)n : 1;
}

/* cpu.max: "max 100000", "150000 100000" */
static int quota_v2(const tini_cgroup *group)
{
	char text[128];
	const char *at = text;
	uint64_t quota, period;

	if (!tini_cgroup_read(group, "cpu.max", text, sizeof(text)))
		return 0;
	return tini_lines_number(&at, &quota) && tini_lines_number(&at, &period)
		       ? whole_cpus(quota, period)
		       : 0;
}

static bool file_number(const tini_cgroup *group, const char *file, uint64_t *out)
{
	char text[128];
	const char *at = text;

	return tini_cgroup_read(group, file, text, sizeof(text)) && tini_lines_number(&at, out);
}

/* "-1" is no quota: it is not read as a number */
static int quota_v1(const tini_cgroup *group)
{
	uint64_t quota, period;

	if (!file_number(group, "cpu.cfs_quota_us", &quota) ||
	    !file_number(group, "cpu.cfs_period_us", &period))
		return 0;
	return whole_cpus(quota, period);
}

static int quota_of(const char *root, const char *controller,
		    int (*quota)(const tini_cgroup *group))
{
	tini_cgroup group;
	int n = 0;

	if (!tini_cgroup_find(&group, root, controller))
		return 0;
	do
		n = least(n, quota(&group));
	while (tini_cgroup_up(&group));
	return n;
}

/* A controller is in one of the trees; in the other there is no file of it, thus no limit. */
int tini_cpu_quota(const char *root)
{
	return least(quota_of(root, "cpu", quota_v1), quota_of(root, NULL, quota_v2));
}

/* The quota takes a dozen system calls to read and seldom changes: looked at once a second. */
static int recent_quota(void)
{
	static _Atomic int64_t looked;
	static _Atomic int quota;
	int64_t now = tini_clock_now();

	if (atomic_load(&looked) == 0 || now - atomic_load(&looked) > 1000000000) {
		atomic_store(&quota, tini_cpu_quota(""));
		atomic_store(&looked, now);
	}
	return atomic_load(&quota);
}

int tine_cpu_count(void)
{
	int n = tini_env_count(tini_env_get(TINI_ENV_NUM_THREADS));

	if (!n)
		n = tini_env_count(tini_env_get(TINI_ENV_OMP_NUM_THREADS));
	return n ? n : least(tini_cpu_affinity(), recent_quota());
}

/* ---- memory */

typedef struct memory_files {
	const char *limit, *usage, *inactive, *active; /* the last two: keys of memory.stat */
} memory_files;

static const memory_files memory_v1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
				       "total_inactive_file", "total_active_file"};
static const memory_files memory_v2 = {"memory.max", "memory.current", "inactive_file",
				       "active_file"};

/* v1 writes "unlimited" as the largest number of whole pages: nothing near it is a limit */
static const uint64_t UNLIMITED = UINT64_C(1) << 60;

static uint64_t group_headroom(const tini_cgroup *group, const memory_files *files)
{
	uint64_t limit, usage;

	if (!file_number(group, files->limit, &limit) || limit >= UNLIMITED ||
	    !file_number(group, files->usage, &usage))
		return UINT64_MAX;
	uint64_t cache = tini_cgroup_value(group, "memory.stat", files->inactive) +
			 tini_cgroup_value(group, "memory.stat", files->active);
	uint64_t held = usage > cache ? usage - cache : 0;
	return limit > held ? limit - held : 0;
}

static uint64_t headroom_of(const char *root, const char *controller, const memory_files *files)
{
	tini_cgroup group;
	uint64_t least_yet = UINT64_MAX;

	if (!tini_cgroup_find(&group, root, controller))
		return least_yet;
	do {
		uint64_t here = group_headroom(&group, files);
		if (here < least_yet)
			least_yet = here;
	} while (tini_cgroup_up(&group));
	return least_yet;
}

static uint64_t machine_headroom(const char *root)
{
	uint64_t kib;

	if (!tini_lines_value(root, "/proc/meminfo", "MemAvailable", &kib) ||
	    kib >= UNLIMITED / 1024)
		return UINT64_MAX;
	return kib * 1024;
}

size_t tini_memory_headroom(const char *root, const char **limit)
{
	uint64_t v1 = headroom_of(root, "memory", &memory_v1),
		 v2 = headroom_of(root, NULL, &memory_v2);
	uint64_t group = v1 < v2 ? v1 : v2, machine = machine_headroom(root);
	uint64_t bytes = group < machine ? group : machine;

	if (limit)
		*limit = group < machine ? "the control group's memory limit" : "MemAvailable";
	return bytes > SIZE_MAX ? SIZE_MAX : (size_t)bytes;
}

uint64_t tini_oom_kills(const char *root)
{
	uint64_t kills;

	return tini_lines_value(root, "/proc/vmstat", "oom_kill", &kills) ? kills : 0;
}
