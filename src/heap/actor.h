/* SPDX-License-Identifier: MIT */
/*
 * Actors: the processes that have something in the heap.
 *
 * An actor's number stands in every word that it owns or is in the middle of changing.  It is free
 * for another process only after its death has been mended everywhere, by one adopter at a time:
 * who else comes goes away again, and where the adopter dies too, its own adopter inherits the
 * work.
 *
 *   FREE -> LIVE(pid, start time, pid namespace) -> ADOPTED(by an actor) -> FREE
 */
#ifndef TINI_HEAP_ACTOR_H
#define TINI_HEAP_ACTOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

extern _Atomic unsigned tini_actor_cached __attribute__((visibility("hidden")));

/* Join the table of actors.  Returns the number, 0 where the table is full. */
unsigned tini_actor_join(void);

static inline bool tini_actor_joined(void)
{
	/* relaxed: the number depends on nothing else */
	return atomic_load_explicit(&tini_actor_cached, memory_order_relaxed) != 0;
}

/* The number of this process, joining where it has none. */
static inline unsigned tini_actor_me(void)
{
	/* relaxed: the number depends on nothing else */
	unsigned me = atomic_load_explicit(&tini_actor_cached, memory_order_relaxed);

	return me ? me : tini_actor_join();
}

/* Actors have numbers from 1 up to below this. */
unsigned tini_actor_top(void);

bool tini_actor_is_live(unsigned actor); /* by the table: it is not yet known to be dead */

/* A quick look, one system call: it is worth trying to claim it. */
bool tini_actor_seems_gone(unsigned actor);

/* Become the adopter of an actor that is certainly dead and has this pid, 0: any.  False where it
 * is alive or has an adopter. */
bool tini_actor_claim_dead(unsigned actor, pid_t pid);

/* Become the adopter of an actor in the place of its adopter, who is dead and adopted by us. */
bool tini_actor_inherit(unsigned actor, unsigned adopter);

/* The adopter has mended everything: the number is free. */
void tini_actor_retire(unsigned actor);

/* In a child of fork(): it is another actor. */
void tini_actor_forked(void);

/* Nobody is being adopted, and every entry makes sense. */
bool tini_actor_table_valid(const char **why);

#endif
