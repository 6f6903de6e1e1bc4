/* SPDX-License-Identifier: MIT */
/*
 * Memory behind the heap's addresses: made sure of before a block is handed out, given back when it
 * is free.
 *
 * Nothing here sets tine_last_error(): the caller may find memory elsewhere.
 */
#ifndef TINI_HEAP_COMMIT_H
#define TINI_HEAP_COMMIT_H

#include <stdbool.h>
#include <stddef.h>

/* Why a block cannot be had; the first that was met. */
typedef struct tini_lack {
	enum {
		TINI_LACK_NONE,
		TINI_LACK_ADDRESSES, /* no row of free units */
		TINI_LACK_HEADROOM,  /* `limit` leaves `available` bytes */
		TINI_LACK_BACKING,   /* the file gave `errnum` */
		TINI_LACK_ACTORS,    /* the table of actors is full */
	} what;
	size_t available;
	const char *limit;
	int errnum;
} tini_lack;

/* May so many bytes more be used?  True, or false with the limit in *lack. */
bool tini_commit_allowed(size_t bytes, tini_lack *lack);

/* Back these bytes of a part, so that no touch of them can fail.  Page multiples.  False: why is in
 * *lack. */
bool tini_commit(int part, void *at, size_t bytes, tini_lack *lack);

/* Give the pages back: they read as zeros afterwards.  Cannot fail (at the worst they are kept and
 * zeroed). */
void tini_give_back(int part, void *at, size_t bytes);

/* Bytes of a part's file that are backed; `unknown` where the descriptor is gone. */
size_t tini_backed(int part, size_t unknown);

/* The folder under which the limits are read: "", but in tests. */
extern const char *tini_commit_root __attribute__((visibility("hidden")));

#endif
