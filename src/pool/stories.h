/* SPDX-License-Identifier: MIT */
/*
 * Why items failed.  Each writer of a job keeps its own blocks of stories, at most `stories_max` of
 * them: those of the lowest indices, as that is what the caller is told.  The host gathers them
 * when the map has ended.
 */
#ifndef TINI_POOL_STORIES_H
#define TINI_POOL_STORIES_H

#include "pool/shared.h"

typedef struct tini_failing { /* what a writer knows of one failed item */
	uint64_t index;
	int code, worker, pid, tries;
	const tini_crash *crash; /* NULL: none */
	int signal;
	const char *text; /* "": none */
} tini_failing;

/* Write it down; without memory for it the item keeps its code and loses its story. */
void tini_story_tell(tini_job *job, tini_cell *cell, const tini_failing *failing);

void tini_stories_free(tini_cell *cell);

/* The caller's form of a story; NULL: only the code is known. */
void tini_story_write(tine_failure *out, uint64_t index, int code, const tini_story *story,
		      const tini_job *job);

/* Fill `out` with the first `max` failed items in order of index; returns how many items failed in
 * all. */
size_t tini_stories_gather(tini_job *job, tine_failure *out, size_t max);

#endif
