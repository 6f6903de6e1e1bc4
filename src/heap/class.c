/* SPDX-License-Identifier: MIT */
/*
 * The sizes of small blocks: about four steps per doubling, so that less than a fifth of a block is
 * waste.
 *
 * From 64 bytes on they are multiples of 64, so that no two blocks share a cache line; from 4 KiB
 * on they are what fits a whole number of times into a page.
 */
#include "heap/slab.h"

#define BLOCKS(size) ((uint32_t)(TINI_PAGE / (size)))
#define WORDS(size) ((BLOCKS(size) + TINI_WORD_BLOCKS - 1) / TINI_WORD_BLOCKS)
#define IN_LAST(size) (BLOCKS(size) - (WORDS(size) - 1) * TINI_WORD_BLOCKS)
#define CLASS(size)                                                                            \
	{                                                                                      \
		size, BLOCKS(size), (uint32_t)(((uint64_t)1 << 32) / (size)) + 1, WORDS(size), \
			(((uint64_t)1 << (2 * IN_LAST(size))) - 1) & TINI_EVEN_BITS            \
	}

const tini_class tini_classes[TINI_CLASSES] = {
	/* up to 48 bytes a part of a cache line, then whole lines */
	/* clang-format off */
	CLASS(16), CLASS(32), CLASS(48),
	CLASS(64), CLASS(128), CLASS(192), CLASS(256),
	CLASS(320), CLASS(384), CLASS(448), CLASS(512),
	CLASS(640), CLASS(768), CLASS(896), CLASS(1024),
	CLASS(1280), CLASS(1536), CLASS(1792), CLASS(2048),
	CLASS(2560), CLASS(3072), CLASS(3584), CLASS(4096),
	/* 14, 12, 10, 8 of them in a page; 7, 6, 5, 4; 3, 2 */
	CLASS(4672), CLASS(5440), CLASS(6528), CLASS(8192),
	CLASS(9344), CLASS(10880), CLASS(13056), CLASS(16384),
	CLASS(21824), CLASS(32768),
	/* clang-format on */
};

/* From 320 bytes on there are four classes to a doubling: the leading bits of size - 1 give a first
 * guess. */
unsigned tini_class_for(size_t size)
{
	if (size <= 48)
		return size ? (unsigned)(size - 1) / 16 : 0;
	if (size <= 256)
		return 3 + (unsigned)(size - 1) / 64;
	unsigned doubling = 63 - (unsigned)__builtin_clzl(size - 1); /* 8: up to 512 */
	unsigned kind = 7 + (doubling - 8) * 4 + (unsigned)((size - 1) >> (doubling - 2) & 3);
	if (kind >= TINI_CLASSES)
		kind = TINI_CLASSES - 1;
	while (kind > 0 && tini_classes[kind - 1].size >= size)
		kind--;
	while (tini_classes[kind].size < size)
		kind++;
	return kind;
}
