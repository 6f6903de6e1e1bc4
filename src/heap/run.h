/* SPDX-License-Identifier: MIT */
/*
 * Runs: rows of whole units of a table, handed out as one block.
 *
 * Progress: no call waits for another process.  Units that a stopped or dead process holds are
 * passed over.
 */
#ifndef TINI_HEAP_RUN_H
#define TINI_HEAP_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "heap/commit.h"
#include "heap/layout.h"

/* Claim n units for `me`: they are TENTATIVE.  TINI_NO_UNIT: there is no row of n, or *lack says
 * what else. */
uint32_t tini_run_claim(const tini_table *table, uint32_t n, unsigned me, tini_lack *lack);

/* Give claimed units back, whose pages are holes again or still. */
void tini_run_unclaim(const tini_table *table, uint32_t first, uint32_t n);

/* A run of n units: claimed, backed unless lazy, published.  TINI_NO_UNIT: *lack says why. */
uint32_t tini_run_new(const tini_table *table, uint32_t n, unsigned me, bool lazy, tini_lack *lack);

/* Free the run whose HEAD was read as w.  False where it has changed since. */
bool tini_run_free(const tini_table *table, uint32_t first, uint64_t w, unsigned me);

/* The unit is EMPTYING or RELEASING by an actor whose adopter we are: go on to the end. */
void tini_run_finish(const tini_table *table, uint32_t first);

/* The run's actor is dead: an orphan, unless it has been handed over. */
void tini_run_orphan(const tini_table *table, uint32_t first, unsigned dead);

/* Hand a live run over.  False where there is none. */
bool tini_run_give(const tini_table *table, uint32_t first);

/* Units in the longest free row. */
uint32_t tini_run_longest_free(const tini_table *table);

#endif
