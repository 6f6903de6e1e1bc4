/* SPDX-License-Identifier: MIT */
/* Control groups: where this process's group of a controller is, from itself up to the root of the
 * mount. */
#ifndef TINI_BASE_CGROUP_H
#define TINI_BASE_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tini_cgroup {
	const char *root;      /* the folder that stands for "/" */
	size_t top;            /* length of the mount point in `folder`: the walk ends there */
	char folder[PATH_MAX]; /* the group's folder, below root */
} tini_cgroup;

/* Find this process's group: of a v1 controller ("cpu", "memory"), or of the v2 tree where
 * controller is NULL. */
bool tini_cgroup_find(tini_cgroup *group, const char *root, const char *controller);

/* Go to the parent group; false at the mount's root. */
bool tini_cgroup_up(tini_cgroup *group);

/* The first line of one of the group's files; false where there is none. */
bool tini_cgroup_read(const tini_cgroup *group, const char *file, char *text, size_t size);

/* The number on the line of `key` in one of the group's files, 0 where there is none. */
uint64_t tini_cgroup_value(const tini_cgroup *group, const char *file, const char *key);

#endif
