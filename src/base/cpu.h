/* SPDX-License-Identifier: MIT */
/*
 * How many CPUs and how much memory this process may use: affinity and the control groups (v1, v2, hybrid).
 *
 * Every function that reads /proc or /sys takes the root folder to read them under, "" for the real one, so that
 * fixtures of other machines are test data.  A controller is told by its mount in /proc/self/mountinfo, never by a
 * path that looks right; limits are the least from the own group up to the mount's root.
 */
#ifndef TINI_BASE_CPU_H
#define TINI_BASE_CPU_H

#include <stddef.h>
#include <stdint.h>

/* CPUs by the scheduler affinity of this thread, at least 1. */
int tini_cpu_affinity(void);

/* CPUs allowed by the control groups' quota, rounded up; 0: no quota. */
int tini_cpu_quota(const char *root);

/* Bytes that may still be used before the control group or the machine has none left: the least of MemAvailable and
 * each group's limit - (usage - reclaimable page cache).  SIZE_MAX where nothing is known.  *limit, where not NULL,
 * is set to a static text that names the limit in the way ("MemAvailable", "the control group's memory limit"). */
size_t tini_memory_headroom(const char *root, const char **limit);

/* Out-of-memory kills on this machine so far (oom_kill of /proc/vmstat); 0 where the kernel does not tell. */
uint64_t tini_oom_kills(const char *root);

#endif
