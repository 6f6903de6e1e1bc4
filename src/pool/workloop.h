/* SPDX-License-Identifier: MIT */
/* What a worker does all its life, whether it is a process or a thread. */
#ifndef TINI_POOL_WORKLOOP_H
#define TINI_POOL_WORKLOOP_H

#include "pool/run.h"

/* Name the calling thread after the pool and the worker's number, for process lists. */
void tini_work_name(const tine_pool *pool, unsigned slot);

/* Put the calling thread on its CPU, where the pool pins its workers. */
void tini_work_pin(const tine_pool *pool, unsigned slot);

/* Run the pool's init.  Anything but 0: it failed, and the slot's text says how. */
int tini_work_init(tini_runner *runner);

/* Run items until the runner must leave. */
void tini_work(tini_runner *runner);

#endif
