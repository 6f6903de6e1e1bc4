/* SPDX-License-Identifier: MIT */
/* The geometry of the heap: from the size of the reservation to the address of every table. */
#include "heap/layout.h"

#include "base/checked.h"

tini_heap tini_the_heap;
_Atomic bool tini_heap_runs;

enum { LINES_AT = 4096, ACTORS_AT = 8192 };
_Static_assert(sizeof(tini_control) <= LINES_AT, "the header fits its page");

static size_t table_end(size_t at, size_t entries, size_t entry)
{
	return tini_round_up(at + entries * entry, 4096);
}

static void lay_control(tini_heap *heap, size_t page_count, size_t granule_count)
{
	char *base = heap->part[TINI_CONTROL].base;
	size_t pages = table_end(ACTORS_AT, TINI_ACTOR_LIMIT, sizeof(tini_word));
	size_t granules = table_end(pages, page_count, sizeof(tini_word));
	size_t slabs = table_end(granules, granule_count, sizeof(tini_word));

	heap->control = (tini_control *)base;
	heap->lines = base + LINES_AT;
	heap->actors = (tini_word *)(base + ACTORS_AT);
	heap->pages.words = (tini_word *)(base + pages);
	heap->granules.words = (tini_word *)(base + granules);
	heap->slabs = (tini_slab *)(base + slabs);
	heap->part[TINI_CONTROL].length =
		tini_round_up(table_end(slabs, page_count, sizeof(tini_slab)), TINI_GRANULE);
}

static void lay_table(tini_heap *heap, tini_table *table, int part, size_t unit)
{
	table->base = heap->part[part].base;
	table->unit_bytes = unit;
	table->unit_bits = (unsigned)__builtin_ctzl(unit);
	table->units = (uint32_t)(heap->part[part].length / unit);
	table->part = part;
	table->marks = &heap->control->marks[part - TINI_SMALL];
}

bool tini_layout(tini_heap *heap, char *base, size_t size)
{
	size_t small = size / 8 & ~(TINI_GRANULE - 1);

	if (size / TINI_GRANULE >= TINI_LENGTH_LIMIT || small < TINI_GRANULE)
		return false;
	*heap = (tini_heap){.reserved = size};
	heap->part[TINI_CONTROL].base = base;
	lay_control(heap, small / TINI_PAGE, size / TINI_GRANULE);
	char *at = base + heap->part[TINI_CONTROL].length + TINI_GUARD;
	heap->part[TINI_SMALL].base = at;
	heap->part[TINI_SMALL].length = small;
	at += small + TINI_GUARD;
	heap->part[TINI_ARRAYS].base = at;
	heap->part[TINI_ARRAYS].length = (size - (size_t)(at - base)) & ~(TINI_GRANULE - 1);
	lay_table(heap, &heap->pages, TINI_SMALL, TINI_PAGE);
	lay_table(heap, &heap->granules, TINI_ARRAYS, TINI_GRANULE);
	return true;
}
