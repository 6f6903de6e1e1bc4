/* SPDX-License-Identifier: MIT */
/*
 * Figures, by walking the tables: nothing is counted on the way, as a count and what it counts
 * cannot change in one step, and a death between the two would leave the count wrong for ever.
 */
#include "heap/figures.h"

#include <stdio.h>
#include <string.h>

#include <tine/heap.h>

#include "base/checked.h"
#include "base/options.h"
#include "heap/adopt.h"
#include "heap/layout.h"
#include "heap/run.h"
#include "heap/slab.h"

void tini_size_text(char text[TINI_SIZE_TEXT], size_t size)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)size;
	int unit = 0;

	while (value >= 1024 && unit < 6) {
		value /= 1024;
		unit++;
	}
	snprintf(text, TINI_SIZE_TEXT, "%.*f %s", unit && value < 100 ? 1 : 0, value, units[unit]);
}

typedef struct walk {
	void (*see)(void *context, const tini_seen *seen);
	void *context;
} walk;

static void walk_slab_word(const walk *walk, uint64_t page_word, char *blocks, uint64_t w)
{
	const tini_class *kind = &tini_classes[tini_class_of(page_word)];

	for (uint64_t taken = tini_word_taken(w); taken; taken &= taken - 1) {
		unsigned bit = (unsigned)__builtin_ctzl(taken), state = w >> bit & 3;
		tini_seen seen = {.block = blocks + (size_t)bit / 2 * kind->size,
				  .size = kind->size,
				  .orphaned = state == TINI_BLOCK_ORPHAN,
				  .given = state == TINI_BLOCK_GIVEN};
		if (state == TINI_BLOCK_USED)
			seen.actor = tini_actor_of(page_word);
		walk->see(walk->context, &seen);
	}
}

static void walk_slab(const walk *walk, uint32_t page, uint64_t page_word)
{
	const tini_class *kind = &tini_classes[tini_class_of(page_word)];
	char *blocks = tini_unit_address(&tini_the_heap.pages, page);

	for (uint32_t i = 0; i < kind->words; i++) {
		uint64_t w = atomic_load(&tini_the_heap.slabs[page].words[i]);
		if (tini_word_tag(w) == tini_tag_of(page_word))
			walk_slab_word(walk, page_word, blocks, w);
		blocks += TINI_WORD_BLOCKS * (size_t)kind->size;
	}
}

static void walk_table(const walk *walk, const tini_table *table)
{
	uint32_t top = atomic_load(&table->marks->top);

	for (uint32_t i = 0; i < top;) {
		uint64_t w = atomic_load(&table->words[i]);
		if (tini_is_slab(w)) {
			walk_slab(walk, i, w);
		} else if (tini_state(w) == TINI_HEAD) {
			tini_seen seen = {.block = tini_unit_address(table, i),
					  .size = tini_length(w) * table->unit_bytes,
					  .orphaned = w & TINI_ORPHAN,
					  .given = w & TINI_GIVEN,
					  .lazy = w & TINI_LAZY,
					  .actor = tini_actor_of(w)};
			walk->see(walk->context, &seen);
		}
		i += tini_stride(w);
	}
}

void tini_heap_walk(void (*see)(void *context, const tini_seen *seen), void *context)
{
	walk walk = {see, context};

	walk_table(&walk, &tini_the_heap.pages);
	walk_table(&walk, &tini_the_heap.granules);
}

size_t tini_heap_largest_free(void)
{
	return tini_max(tini_run_longest_free(&tini_the_heap.pages) * TINI_PAGE,
			tini_run_longest_free(&tini_the_heap.granules) * TINI_GRANULE);
}

static void add(void *context, const tini_seen *seen)
{
	tine_heap_figures *figures = context;

	figures->in_use += seen->size;
	if (seen->orphaned)
		figures->orphaned += seen->size;
	if (!seen->lazy)
		figures->committed += seen->size;
}

static void measure(tine_heap_figures *figures)
{
	tini_adopt(0);
	tini_heap_walk(add, figures);
	size_t sure = figures->committed; /* all that can be said where the descriptors are gone */
	figures->committed = tini_backed(TINI_CONTROL, 0);
	figures->committed += tini_backed(TINI_SMALL, 0) + tini_backed(TINI_ARRAYS, 0);
	figures->committed = tini_max(figures->committed, sure);
	figures->reserved = tini_the_heap.reserved;
	figures->largest_free = tini_heap_largest_free();
}

int tine_heap_stats(tine_heap_figures *out)
{
	tine_heap_figures figures;
	int code = tini_options_copy(&figures, sizeof(figures), out, "tine_heap_stats");

	if (code)
		return code;
	size_t size = tini_min(out->struct_size, sizeof(figures));
	figures = (tine_heap_figures){.struct_size = out->struct_size};
	if (atomic_load(&tini_heap_runs))
		measure(&figures);
	memcpy(out, &figures, size);
	return 0;
}
