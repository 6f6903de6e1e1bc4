/* SPDX-License-Identifier: MIT */
/*
 * Slabs: pages of blocks of one size, up to 32 KiB.
 *
 * A block is allocated and freed by one swap of its word, by any process: who owns a slab decides
 * only who looks there for room, and whose death orphans its blocks.  Progress: lock-free between
 * processes.
 */
#ifndef TINI_HEAP_SLAB_H
#define TINI_HEAP_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap/commit.h"
#include "heap/layout.h"

enum { TINI_SMALL_MAX = 32768, TINI_CLASSES = 33 };

typedef struct tini_class {
	uint32_t size, blocks; /* bytes of a block; blocks in a page */
	uint32_t reciprocal;   /* offset * reciprocal >> 32 is offset / size */
	uint32_t words;        /* that hold its blocks */
	uint64_t last_mask;    /* low bits of the blocks in the last of them */
} tini_class;

extern const tini_class tini_classes[TINI_CLASSES] __attribute__((visibility("hidden")));

/* The class of blocks of at least `size` bytes; size <= TINI_SMALL_MAX. */
unsigned tini_class_for(size_t size);

/* The low bits of the blocks that a word of a slab can have. */
static inline uint64_t tini_word_mask(const tini_class *kind, uint32_t word)
{
	return word + 1 < kind->words ? TINI_EVEN_BITS : kind->last_mask;
}

/* A block of a class for the actor `me`, NULL: *lack says why.  Not zeroed. */
void *tini_slab_alloc(unsigned kind, unsigned me, tini_lack *lack);

/* A block found by its address; page word w as it was read. */
typedef struct tini_block {
	uint32_t page;
	uint64_t w;
	tini_word *word; /* where its two bits are, */
	unsigned shift;  /* from this bit on */
} tini_block;

/* False where no block of the slab begins at that offset in the page. */
bool tini_block_at(tini_block *block, uint32_t page, uint64_t w, size_t offset);

/* Its state; TINI_BLOCK_FREE where it is not live. */
unsigned tini_block_state(const tini_block *block);

/* Take a live block to another state.  False where it is not live. */
bool tini_block_change(const tini_block *block, unsigned to);

/* Free a live block, and its page with the last one of it.  False where it is not live. */
bool tini_block_free(const tini_block *block);

/* Give the page back if the slab is empty; `hot`: even where it is some thread's current one. True:
 * it is gone. */
bool tini_slab_close(uint32_t page, unsigned me, bool hot);

/* Give back the pages of all empty slabs, the current ones too. */
void tini_slab_close_all(unsigned me);

/* The owner is dead: its blocks become orphans, and the slab nobody's. */
void tini_slab_adopt(uint32_t page, unsigned dead);

/* The closer is dead, or the slab is not empty: it lives on. */
void tini_slab_reopen(uint32_t page, unsigned closer);

/* In a child of fork(): the slabs stay with the parent. */
void tini_slab_forked(void);

#endif
