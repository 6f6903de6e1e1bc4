/* SPDX-License-Identifier: MIT */
#ifndef TINI_POOL_WORKER_H
#define TINI_POOL_WORKER_H

#include "pool/shared.h"

/* In a forked worker process: run items until told to leave.  Does not return. */
_Noreturn void tini_worker_main(tine_pool *pool, unsigned slot, const tini_watch *watch,
				pid_t supervisor);

#endif
