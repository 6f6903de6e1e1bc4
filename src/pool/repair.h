/* SPDX-License-Identifier: MIT */
/* What the supervisor does for a dead worker, after waitpid() has told that it is dead. */
#ifndef TINI_POOL_REPAIR_H
#define TINI_POOL_REPAIR_H

#include "pool/shared.h"

/* How a worker ended. */
typedef struct tini_death {
	int code; /* what its item gets: TINE_ECRASHED, EEXITED, EDEADLINE, EOOM, ECANCELLED, ELOST
		   */
	int signal; /* or the exit code with TINE_EEXITED */
} tini_death;

/*
 * Give back and report what the worker of this slot had in hand, and offer the rest of it again.
 * Safe to repeat. Returns whether an item died with it.
 */
bool tini_repair(tine_pool *pool, unsigned slot, const tini_death *death);

/* End the jobs that the dead worker had submitted: nobody waits for them any more. */
void tini_repair_created(tine_pool *pool, unsigned slot);

#endif
