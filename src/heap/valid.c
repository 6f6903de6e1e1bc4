/* SPDX-License-Identifier: MIT */
/* The walker that checks every invariant of the heap while nobody changes it. */
#include <stdatomic.h>

#include "heap/actor.h"
#include "heap/heap.h"
#include "heap/layout.h"
#include "heap/slab.h"

static bool fail(const char **why, const char *text)
{
	*why = text;
	return false;
}

static bool slab_valid(uint32_t page, uint64_t w, const char **why)
{
	const tini_slab *slab = &tini_the_heap.slabs[page];
	unsigned number = tini_class_of(w), owner = tini_actor_of(w);

	if (tini_state(w) != TINI_SLAB)
		return fail(why, "a slab is being closed by nobody");
	if (number >= TINI_CLASSES)
		return fail(why, "a slab is of no class");
	if (owner && !tini_actor_is_live(owner))
		return fail(why, "the owner of a slab is no live actor");
	if ((uint16_t)atomic_load(&slab->tag) != tini_tag_of(w) || tini_tag_of(w) & 1)
		return fail(why, "a slab's tag is not that of its page");
	for (uint32_t i = 0; i < tini_classes[number].words; i++) {
		uint64_t word = atomic_load(&slab->words[i]);
		if (tini_word_tag(word) != tini_tag_of(w))
			return fail(why, "a word of a slab is shut");
		if (tini_word_taken(word) & ~tini_word_mask(&tini_classes[number], i))
			return fail(why, "a block beyond the end of its slab is in use");
		if (!owner && tini_word_in_state(word, TINI_BLOCK_USED))
			return fail(why, "a block of a dead actor is not counted as orphan");
	}
	return true;
}

static bool run_valid(const tini_table *table, uint32_t first, uint64_t w, const char **why)
{
	uint32_t n = tini_length(w), top = atomic_load(&table->marks->top);

	if (!n || n > top || first > top - n)
		return fail(why, "a run is longer than its table");
	if (w & TINI_GIVEN && w & TINI_ORPHAN)
		return fail(why, "a run is both handed over and an orphan");
	if (!(w & (TINI_GIVEN | TINI_ORPHAN)) && !tini_actor_is_live(tini_actor_of(w)))
		return fail(why, "a run of a dead actor is not counted as orphan");
	for (uint32_t i = 1; i < n; i++)
		if (atomic_load(&table->words[first + i]) !=
		    tini_unit(TINI_TENTATIVE, tini_actor_of(w), 0))
			return fail(why, "a unit of a run belongs to something else");
	return true;
}

static bool table_valid(const tini_table *table, const char **why)
{
	uint32_t top = atomic_load(&table->marks->top);

	if (top > table->units)
		return fail(why, "more units are used than there are");
	for (uint32_t i = 0; i < top;) {
		uint64_t w = atomic_load(&table->words[i]);
		bool slab = tini_is_slab(w);
		if (slab && table != &tini_the_heap.pages)
			return fail(why, "a granule is a slab");
		if (slab ? !slab_valid(i, w, why)
			 : tini_state(w) == TINI_HEAD && !run_valid(table, i, w, why))
			return false;
		if (!slab && w && tini_state(w) != TINI_HEAD)
			return fail(why, "a unit is left in the middle of a change");
		i += tini_stride(w);
	}
	return true;
}

bool tini_heap_valid(const char **why)
{
	const char *unused;

	if (!why)
		why = &unused;
	*why = "";
	if (!atomic_load(&tini_heap_runs))
		return true;
	if (tini_the_heap.control->base != (uintptr_t)tini_the_heap.part[TINI_CONTROL].base ||
	    tini_the_heap.control->reserved != tini_the_heap.reserved)
		return fail(why, "the header is overwritten");
	return tini_actor_table_valid(why) && table_valid(&tini_the_heap.pages, why) &&
	       table_valid(&tini_the_heap.granules, why);
}
