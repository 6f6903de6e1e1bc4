/* SPDX-License-Identifier: MIT */
/* Loops and reductions as items of a tine_map(). */
#ifndef TINI_LOOP_OVER_POOL_H
#define TINI_LOOP_OVER_POOL_H

#include "loop/reduce.h"

int tini_for_over_pool(const tine_for_args *args);

/* *into gets the whole; the grain is set. */
int tini_reduce_over_pool(const tine_reduce_args *args, tini_reduction *reduction, size_t leaves,
			  void *into);

#endif
