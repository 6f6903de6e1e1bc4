/* SPDX-License-Identifier: MIT */
/* What is in the heap, by walking it. */
#ifndef TINI_HEAP_FIGURES_H
#define TINI_HEAP_FIGURES_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tini_seen {
	void *block;
	size_t size; /* usable */
	bool orphaned, given, lazy;
	unsigned actor; /* that allocated it; 0: not known any more */
} tini_seen;

/* Call see() for every live block.  Others may go on meanwhile: then a block may be missed or be
 * gone. */
void tini_heap_walk(void (*see)(void *context, const tini_seen *seen), void *context);

/* Bytes of the longest row of free units. */
size_t tini_heap_largest_free(void);

/* A size for people: "48 bytes", "1.5 GiB". */
enum { TINI_SIZE_TEXT = 32 };
void tini_size_text(char text[TINI_SIZE_TEXT], size_t size);

#endif
