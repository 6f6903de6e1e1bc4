/* SPDX-License-Identifier: MIT */
/*
 * Where the parts of the heap lie, and what is in the control part.
 *
 *   base
 *   +-- control (memfd)  one file of 4 KiB pages, sparse
 *   |     header         geometry, marks of the tables
 *   |     lines          64 lines of 64 bytes for the rooms above
 *   |     actors         one word per actor
 *   |     page words     one per 64 KiB page of `small`
 *   |     granule words  one per 2 MiB granule of `arrays`
 *   |     slabs          one descriptor per page; outside it, where stray stores do not come
 *   +-- guard, 2 MiB
 *   +-- small (memfd)    1/8 of the reservation: slabs, and runs of pages up to 1 MiB
 *   +-- guard, 2 MiB
 *   +-- arrays (huge=always tmpfs, else memfd)  the rest: runs of granules
 *
 * A table word costs memory only once it has been touched, and a mere look allocates it (the files
 * are not private): so a table is never looked at above its `top`.
 */
#ifndef TINI_HEAP_LAYOUT_H
#define TINI_HEAP_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "heap/word.h"

#define TINI_PAGE ((size_t)64 << 10)
#define TINI_GRANULE ((size_t)2 << 20)
#define TINI_NO_UNIT UINT32_MAX

enum {
	TINI_HINTS = 22,       /* kinds of run lengths, by their logarithm */
	TINI_SLAB_WORDS = 171, /* 4096 blocks of 16 bytes, 24 in a word */
};

/* What is known about a table beside its words: hints, but for `top`. */
typedef struct tini_marks {
	_Alignas(64) _Atomic uint32_t top; /* no unit from here on has ever been used */
	_Atomic uint32_t hint[TINI_HINTS]; /* hint[k]: where to look for a row of 2^k units */
} tini_marks;

/* A slab's blocks.  Written as a whole by who has the page TENTATIVE or closes it, else block by
 * block. */
typedef struct tini_slab {
	_Alignas(64) tini_word words[TINI_SLAB_WORDS];
	_Atomic uint32_t tag; /* of the last incarnation: even, only grows */
} tini_slab;

typedef struct tini_control {
	uint64_t magic;
	uint64_t base, reserved;        /* for a process that maps the files itself */
	_Atomic uint64_t allowance;     /* bytes that need not be asked for, */
	_Atomic int64_t allowance_ends; /* up to this moment */
	_Atomic uint32_t actor_top;
	tini_marks marks[2];
} tini_control;

/* A table of units.  Private to the process, constant. */
typedef struct tini_table {
	char *base;        /* of the first unit */
	size_t unit_bytes; /* 1 << unit_bits */
	unsigned unit_bits;
	uint32_t units;
	int part;         /* the part that the units lie in */
	tini_word *words; /* one per unit */
	tini_marks *marks;
} tini_table;

enum { TINI_CONTROL, TINI_SMALL, TINI_ARRAYS, TINI_PARTS };

typedef struct tini_part {
	char *base;
	size_t length; /* of its file; the guard lies behind it */
	int fd;        /* a user's task may have closed it: see commit.c */
	bool huge;     /* its file is on a tmpfs with huge pages */
	dev_t device;  /* of its file */
	ino_t inode;
} tini_part;

/* The heap as this process sees it: constant from tini_heap_start() on, inherited by fork(). */
typedef struct tini_heap {
	tini_part part[TINI_PARTS];
	tini_table pages, granules;
	tini_control *control;
	char *lines;
	tini_word *actors;
	tini_slab *slabs;
	size_t reserved;
} tini_heap;

extern tini_heap tini_the_heap __attribute__((visibility("hidden")));
extern _Atomic bool tini_heap_runs __attribute__((visibility("hidden"))); /* there is a heap */

static inline bool tini_part_has(int part, const void *p)
{
	return (size_t)((const char *)p - tini_the_heap.part[part].base) <
	       tini_the_heap.part[part].length;
}

static inline char *tini_unit_address(const tini_table *table, uint32_t unit)
{
	return table->base + unit * table->unit_bytes;
}

/* Fill in the geometry of a reservation at base; false where it is too small or too large. */
bool tini_layout(tini_heap *heap, char *base, size_t size);

enum { TINI_GUARD = 2 << 20 };

#endif
