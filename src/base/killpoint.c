/* SPDX-License-Identifier: MIT */
/* The hook that a test sets to die at a step by name. */
#include "base/killpoint.h"

#ifndef TINI_NO_KILL_POINTS
void (*tini_kill_hook)(const char *name);
#else
typedef int tini_kill_points_are_left_out; /* ISO C wants something in a file */
#endif
