/* SPDX-License-Identifier: MIT */
/*
 * Blocks of every size: which table they come from, and how an address is found back to one.
 *
 *   up to 32 KiB   a block of a slab                   slab.c
 *   up to 1 MiB    a run of 64 KiB pages               run.c over the pages
 *   above          a run of 2 MiB granules             run.c over the granules
 */
#include "heap/heap.h"

#include <stdio.h>
#include <string.h>

#include <tine/heap.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/options.h"
#include "heap/actor.h"
#include "heap/adopt.h"
#include "heap/figures.h"
#include "heap/layout.h"
#include "heap/run.h"
#include "heap/slab.h"

enum { MID_MAX = 1 << 20 };

/* ---- allocation */

static void *run_of(const tini_table *table, size_t size, unsigned me, bool lazy, tini_lack *lack)
{
	size_t n = (size >> table->unit_bits) + ((size & (table->unit_bytes - 1)) != 0);

	if (n > table->units) {
		lack->what = TINI_LACK_ADDRESSES;
		return NULL;
	}
	uint32_t first = tini_run_new(table, (uint32_t)n, me, lazy, lack);
	return first == TINI_NO_UNIT ? NULL : tini_unit_address(table, first);
}

static void *try_alloc(size_t size, bool lazy, tini_lack *lack)
{
	unsigned me = tini_actor_me();

	*lack = (tini_lack){0};
	if (!me) {
		lack->what = TINI_LACK_ACTORS;
		return NULL;
	}
	if (size <= TINI_SMALL_MAX)
		return tini_slab_alloc(tini_class_for(size), me, lack);
	void *p = NULL;
	if (size <= MID_MAX)
		p = run_of(&tini_the_heap.pages, size, me, lazy, lack);
	if (size > MID_MAX || (!p && lack->what == TINI_LACK_ADDRESSES)) {
		*lack = (tini_lack){0};
		p = run_of(&tini_the_heap.granules, size, me, lazy, lack);
	}
	return p;
}

static void tell_full(const char *call, size_t size, const char *asked)
{
	bool small = size <= TINI_SMALL_MAX;
	char left[TINI_SIZE_TEXT];

	tini_size_text(left,
		       small ? tini_the_heap.part[TINI_SMALL].length : tini_heap_largest_free());
	tini_error_set(TINE_ENOMEM,
		       small ? "%s: %s asked, and all %s for small blocks are in use "
			       "(TINE_HEAP_SIZE sets the size of the heap)"
			     : "%s: %s asked, the largest free block of the shared heap has %s "
			       "(TINE_HEAP_SIZE sets the size of the heap)",
		       call, asked, left);
}

static void tell(const char *call, size_t size, const tini_lack *lack)
{
	char asked[TINI_SIZE_TEXT], left[TINI_SIZE_TEXT];

	tini_size_text(asked, size);
	tini_size_text(left, lack->available);
	if (lack->what == TINI_LACK_HEADROOM)
		tini_error_set(TINE_ENOMEM, "%s: %s asked, %s leaves %s", call, asked, lack->limit,
			       left);
	else if (lack->what == TINI_LACK_BACKING)
		tini_error_set_errno(TINE_ENOMEM, lack->errnum,
				     "%s: %s asked, the system gives no memory", call, asked);
	else if (lack->what == TINI_LACK_ACTORS)
		tini_error_set(TINE_ENOMEM, "%s: %s asked, and more than %d processes use the heap",
			       call, asked, TINI_ACTOR_LIMIT - 1);
	else
		tell_full(call, size, asked);
}

/* What the dead and the empty still hold. */
static void reclaim(void)
{
	unsigned me = tini_actor_me();

	tini_adopt(0);
	if (me)
		tini_slab_close_all(me);
}

static void *allocate(const char *call, size_t size, bool lazy)
{
	tini_lack lack;

	/* acquire: pairs with the store in start.c, after which the geometry is constant */
	if (!atomic_load_explicit(&tini_heap_runs, memory_order_acquire) && tini_heap_start())
		return NULL;
	if (tini_fault_now(TINI_FAULT_SHARED))
		return TINI_FAIL_NULL(TINE_ENOMEM, "%s: an allocation that a test makes fail",
				      call);
	if (!tini_actor_joined())
		tini_adopt_some();
	void *p = try_alloc(size, lazy, &lack);
	if (!p && size < tini_the_heap.reserved) {
		reclaim();
		p = try_alloc(size, lazy, &lack);
	}
	if (!p)
		tell(call, size, &lack);
	return p;
}

/* ---- blocks by their address */

/* A live block: of a slab where `table` is NULL, else a run. */
typedef struct found {
	const tini_table *table;
	uint32_t first;
	uint64_t w;
	tini_block block;
} found;

static bool find(const void *p, found *f)
{
	const tini_table *table = tini_part_has(TINI_SMALL, p)    ? &tini_the_heap.pages
				  : tini_part_has(TINI_ARRAYS, p) ? &tini_the_heap.granules
								  : NULL;
	if (!table)
		return false;
	size_t offset = (size_t)((const char *)p - table->base);
	f->first = (uint32_t)(offset >> table->unit_bits);
	if (f->first >= atomic_load_explicit(&table->marks->top, memory_order_relaxed))
		return false; /* relaxed: a live block's address came here after top was raised */
	f->w = atomic_load(&table->words[f->first]);
	offset &= table->unit_bytes - 1;
	if (tini_is_slab(f->w)) {
		f->table = NULL;
		return tini_block_at(&f->block, f->first, f->w, offset);
	}
	f->table = table;
	return tini_state(f->w) == TINI_HEAD && !offset;
}

static size_t size_of(const found *f)
{
	if (f->table)
		return tini_length(f->w) * f->table->unit_bytes;
	return tini_block_state(&f->block) ? tini_classes[tini_class_of(f->w)].size : 0;
}

size_t tini_heap_block_size(const void *p)
{
	found f;

	return find(p, &f) ? size_of(&f) : 0;
}

void tini_heap_hand_over(void *p)
{
	found f;

	if (!find(p, &f))
		return;
	if (f.table)
		tini_run_give(f.table, f.first);
	else
		tini_block_change(&f.block, TINI_BLOCK_GIVEN);
}

static void free_run(const char *call, void *p, found *f)
{
	unsigned me = tini_actor_me();

	if (!me) {
		tini_error_set(TINE_ENOMEM, "%s: more than %d processes use the heap", call,
			       TINI_ACTOR_LIMIT - 1);
		return;
	}
	while (tini_state(f->w) == TINI_HEAD) { /* its flags may change meanwhile */
		if (tini_run_free(f->table, f->first, f->w, me))
			return;
		f->w = atomic_load(&f->table->words[f->first]);
	}
	tini_error_set(TINE_EINVAL, "%s: the block at %p is free already", call, p);
}

static void deallocate(const char *call, void *p)
{
	found f;

	if (!p)
		return;
	if (!find(p, &f))
		tini_error_set(TINE_EINVAL, "%s: no live block of the shared heap begins at %p",
			       call, p);
	else if (f.table)
		free_run(call, p, &f);
	else if (!tini_block_free(&f.block))
		tini_error_set(TINE_EINVAL, "%s: the block at %p is free already", call, p);
}

/* ---- the library's own */

static void *zeroed(void *p, size_t size)
{
	if (p && size <= TINI_SMALL_MAX) /* runs are made of fresh pages */
		memset(p, 0, tini_classes[tini_class_for(size)].size);
	return p;
}

void *tini_heap_alloc(size_t size)
{
	return zeroed(allocate("shared heap", size, false), size);
}

void *tini_heap_alloc_lazy(size_t size)
{
	return zeroed(allocate("shared heap", size, true), size);
}

void tini_heap_free(void *p)
{
	deallocate("shared heap", p);
}

void tini_heap_actor_died(pid_t pid)
{
	if (atomic_load(&tini_heap_runs) && pid > 0)
		tini_adopt(pid);
}

/* ---- the public face */

void *tine_shared_alloc_with(const tine_shared_alloc_args *args)
{
	tine_shared_alloc_args a;

	if (args && args->struct_size == sizeof(a)) /* saves a fifth of a small allocation */
		a = *args;
	else if (tini_options_copy(&a, sizeof(a), args, "tine_shared_alloc"))
		return NULL;
	void *p = allocate("tine_shared_alloc", a.size, a.lazy);
	return a.zero ? zeroed(p, a.size) : p;
}

void tine_shared_free(void *p)
{
	deallocate("tine_shared_free", p);
}

bool tine_is_shared(const void *p)
{
	return tini_part_has(TINI_SMALL, p) || tini_part_has(TINI_ARRAYS, p);
}
