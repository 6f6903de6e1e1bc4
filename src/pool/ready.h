/* SPDX-License-Identifier: MIT */
/*
 * Hints: which jobs have work, which workers sleep.  Sets of bits, because setting a bit twice is
 * harmless: whoever doubts a hint sets it again.
 */
#ifndef TINI_POOL_READY_H
#define TINI_POOL_READY_H

#include "pool/shared.h"

void tini_ready_set(tine_pool *pool, uint32_t index);
void tini_ready_clear(tine_pool *pool, uint32_t index);

/*
 * A job that may have work, the deepest first, then the oldest, as far as known; -1: none is seen.
 * A spare worker, which stands in for one that waits inside an item, takes only what such items
 * wait for: else it might wait too.
 */
int64_t tini_ready_find(tine_pool *pool, bool spare);

/* Wake one sleeping worker; false where none sleeps. */
bool tini_wake_one(tine_pool *pool);

/* Ring the bells of those who seem awake: one of them may sleep, and its waker have died before it
 * rang. */
void tini_wake_lost(tine_pool *pool);

/* Ring one worker's bell. */
void tini_wake_slot(tini_slot *slot);

/* Ring every worker's bell. */
void tini_wake_all(tine_pool *pool);

/* Sleep on the bell until somebody rings, unless there is work by now or stop(context) holds. */
void tini_sleep(tine_pool *pool, unsigned slot, bool (*stop)(void *context), void *context);

/* The supervisor, for a dead worker. */
void tini_sleep_forget(tine_pool *pool, unsigned slot);

#endif
