/* SPDX-License-Identifier: MIT */
/*
 * Adoption: what a dead actor was in the middle of is finished or undone, and its blocks are marked
 * as orphans.
 *
 * The adopter walks both tables from unit 0.  The dead change nothing any more, and whatever others
 * change only takes from the dead: so a TENTATIVE unit that no HEAD before it covers is half a
 * claim, for good.  Every step may be done twice; the number of the dead is free only at the end,
 * so that an adopter's own adopter can begin again.
 */
#include "heap/adopt.h"

#include <stdatomic.h>

#include "base/killpoint.h"
#include "heap/actor.h"
#include "heap/layout.h"
#include "heap/run.h"
#include "heap/slab.h"

enum { SOME = 8 };

/* A half-claimed unit: backed or not, never handed out. */
static void undo_claim(const tini_table *table, uint32_t unit)
{
	tini_give_back(table->part, tini_unit_address(table, unit), table->unit_bytes);
	TINI_KILL_POINT("adopt-undoing");
	tini_run_unclaim(table, unit, 1);
}

static void mend_slab(uint32_t page, uint64_t w, unsigned dead)
{
	if (tini_state(w) == TINI_CLOSING && tini_closer_of(w) == dead)
		tini_slab_reopen(page, dead);
	if (tini_actor_of(w) != dead)
		return;
	tini_slab_adopt(page, dead);
	tini_slab_close(page, tini_actor_me(), false);
}

static void mend_run(const tini_table *table, uint32_t unit, uint64_t w, unsigned dead)
{
	switch (tini_state(w)) {
	case TINI_TENTATIVE:
		undo_claim(table, unit);
		break;
	case TINI_HEAD:
		tini_run_orphan(table, unit, dead);
		break;
	case TINI_EMPTYING:
	case TINI_RELEASING:
		tini_run_finish(table, unit);
		break;
	default: /* RELEASED belongs to a RELEASING before it */
		break;
	}
}

static void mend(const tini_table *table, unsigned dead)
{
	uint32_t top = atomic_load(&table->marks->top);

	for (uint32_t i = 0; i < top;) {
		uint64_t w = atomic_load(&table->words[i]);
		if (tini_is_slab(w))
			mend_slab(i, w, dead);
		else if (tini_actor_of(w) == dead)
			mend_run(table, i, w, dead);
		TINI_KILL_POINT("adopt-mending");
		i += tini_stride(w);
	}
}

/* We are its adopter: mend, take over what it had adopted itself, and let its number go. */
static void adopt(unsigned dead)
{
	mend(&tini_the_heap.pages, dead);
	mend(&tini_the_heap.granules, dead);
	TINI_KILL_POINT("adopt-mended");
	for (unsigned i = 1; i < tini_actor_top(); i++)
		if (tini_actor_inherit(i, dead))
			adopt(i); /* deep only as adopters have died of adopting adopters */
	TINI_KILL_POINT("adopt-inherited");
	tini_actor_retire(dead);
}

int tini_adopt(pid_t pid)
{
	int n = 0;

	for (unsigned i = 1; i < tini_actor_top(); i++)
		if (tini_actor_claim_dead(i, pid)) {
			TINI_KILL_POINT("adopt-claimed");
			adopt(i);
			n++;
		}
	return n;
}

void tini_adopt_some(void)
{
	static _Atomic unsigned next;
	unsigned top = tini_actor_top(), me = tini_actor_me();

	for (unsigned n = 0; n < SOME && n < top; n++) {
		unsigned i = 1 + atomic_fetch_add(&next, 1) % top;
		if (i < top && i != me && tini_actor_seems_gone(i) && tini_actor_claim_dead(i, 0))
			adopt(i);
	}
}
