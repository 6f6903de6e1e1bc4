/* SPDX-License-Identifier: MIT */
#include "pool/stories.h"

#include "base/error.h"
#include "base/memory.h"
#include "heap/heap.h"
#include "pool/job.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STORIES_PER_BLOCK = sizeof((tini_stories *)0)->story / sizeof(tini_story) };

/* ---- writing, by one writer a cell */

static void fill(tini_story *story, const tini_failing *f)
{
	atomic_store(&story->key, 0); /* a death from here on leaves no half story */
	story->code = f->code;
	story->signal = f->signal;
	story->worker = f->worker;
	story->pid = f->pid;
	story->tries = f->tries;
	memset(&story->crash, 0, sizeof story->crash);
	if (f->crash)
		memcpy(&story->crash, f->crash, sizeof story->crash);
	snprintf(story->text, sizeof story->text, "%s", f->text ? f->text : "");
	atomic_store(&story->key, f->index + 1);
}

static tini_story *highest_kept(tini_cell *cell)
{
	tini_story *highest = NULL;

	for (tini_stories *b = atomic_load(&cell->stories); b; b = b->next)
		for (uint32_t i = 0; i < b->used; i++)
			if (!highest || atomic_load(&b->story[i].key) > atomic_load(&highest->key))
				highest = &b->story[i];
	return highest;
}

/* Where `max` are kept already: the place of the highest index, where that is not lower.  Indices
 * come in ascending order but for what is tried again, so a look at the last answer mostly
 * serves. */
static tini_story *replace(tini_cell *cell, uint64_t index)
{
	if (cell->highest != 0 && index + 1 >= cell->highest)
		return NULL;
	tini_story *highest = highest_kept(cell);
	cell->highest = highest ? atomic_load(&highest->key) : 0;
	if (!highest || cell->highest <= index + 1)
		return NULL;
	cell->highest = 0; /* to be looked up again */
	return highest;
}

/* An unused story, or one that may be dropped for this; NULL: neither. */
static tini_story *place(tini_cell *cell, uint32_t max, uint64_t index)
{
	tini_stories *block = atomic_load(&cell->stories);

	if (cell->kept >= max)
		return replace(cell, index);
	if (!block || block->used == STORIES_PER_BLOCK) {
		tini_stories *fresh = tini_heap_alloc(sizeof *fresh);

		if (!fresh)
			return NULL;
		fresh->next = block;
		atomic_store(&cell->stories, fresh);
		tini_heap_hand_over(fresh); /* it hangs on the job already */
		block = fresh;
	}
	cell->kept++;
	return &block->story[block->used++];
}

void tini_story_tell(tini_job *job, tini_cell *cell, const tini_failing *failing)
{
	tini_map *map = atomic_load(&job->map);
	tini_story *story;

	if (map) {
		story = place(cell, map->stories_max, failing->index);
		if (story)
			fill(story, failing);
	} else {
		story = tini_pool_alloc(sizeof *story);
		if (!story)
			return;
		fill(story, failing);
		tini_heap_free(atomic_exchange(&job->story, story));
	}
}

void tini_stories_free(tini_cell *cell)
{
	tini_stories *block = atomic_exchange(&cell->stories, NULL);

	while (block) {
		tini_stories *next = block->next;

		tini_heap_free(block);
		block = next;
	}
}

/* ---- telling, in the host */

static int write_who(char *text, size_t size, const tini_story *story)
{
	return snprintf(text, size, "worker %d (pid %d)", story->worker, story->pid);
}

static void write_ending(char *text, size_t size, const tini_story *story, const tini_job *job)
{
	char who[64], name[32], place[200];

	write_who(who, sizeof who, story);
	switch (story->code) {
	case TINE_ECRASHED:
		tini_crash_tell(&story->crash, place, sizeof place);
		snprintf(text, size, "%s died of %s%s", who,
			 tini_signal_name(story->signal, name, sizeof name), place);
		break;
	case TINE_EEXITED:
		snprintf(text, size, "%s called exit(%d)", who, story->signal);
		break;
	case TINE_EDEADLINE:
		if (story->signal == SIGXCPU)
			snprintf(text, size, "%s used more CPU time than its limit of %g s", who,
				 (double)job->pool->cpu_limit / 1e9);
		else if (atomic_load(&job->abort) == TINE_EDEADLINE)
			snprintf(text, size, "%s was ended: the deadline of the map ran out", who);
		else
			snprintf(text, size, "%s was ended: the item ran over its limit of %g s",
				 who, (double)job->timeout / 1e9);
		break;
	case TINE_EOOM:
		snprintf(text, size, "%s was killed for want of memory", who);
		break;
	case TINE_ECANCELLED:
		snprintf(text, size, "%s was ended: the item was cancelled", who);
		break;
	default:
		snprintf(text, size, "%s: %s", who, tine_strerror(story->code));
	}
}

/* `before`: what stands before a code of Tine's. */
static void write_code(char *text, size_t size, const char *before, int code)
{
	const char *name = tini_error_name(code);

	if (name)
		snprintf(text, size, "%s%s: %s", before, name, tine_strerror(code));
	else
		snprintf(text, size, "the task returned %d", code);
}

/* Of items that never ran, and where there was no memory for the story. */

void tini_story_write(tine_failure *out, uint64_t index, int code, const tini_story *story,
		      const tini_job *job)
{
	*out = (tine_failure){.index = index, .code = code, .worker = -1};
	int n = snprintf(out->text, sizeof out->text, "item %llu: ", (unsigned long long)index);
	char *rest = out->text + n;
	size_t left = sizeof out->text - (size_t)n;

	if (!story || story->code != code) {
		write_code(rest, left, "", code);
		return;
	}
	bool ended_by_death =
		story->signal != 0 || code == TINE_EEXITED || atomic_load(&story->crash.state) != 0;
	if (story->text[0])
		snprintf(rest, left, "%.*s", (int)left - 1, story->text);
	else if (ended_by_death)
		write_ending(rest, left, story, job);
	else
		write_code(rest, left, "the task returned ", code);
	out->signal = code == TINE_EEXITED ? 0 : story->signal;
	out->worker = story->worker;
	out->pid = story->pid;
	out->attempts = story->tries + 1;
	out->address = story->crash.address;
	size_t used = strlen(out->text);
	if (out->attempts > 1)
		snprintf(out->text + used, sizeof out->text - used, ", after %d attempts",
			 out->attempts);
}

static int by_index(const void *a, const void *b)
{
	uint64_t x = atomic_load(&(*(tini_story *const *)a)->key),
		 y = atomic_load(&(*(tini_story *const *)b)->key);

	return x < y ? -1 : x > y;
}

static size_t list_stories(tini_job *job, tini_map *map, tini_story **list)
{
	size_t n = 0;

	for (int i = 0; i < job->pool->slots + 2; i++)
		for (tini_stories *b = atomic_load(&map->cell[i].stories); b; b = b->next)
			for (uint32_t k = 0; k < b->used; k++) {
				if (atomic_load(&b->story[k].key) == 0)
					continue;
				if (list)
					list[n] = &b->story[k];
				n++;
			}
	return n;
}

/* The one that fits the status: an item that was tried again may have older ones. */
static const tini_story *find_story(tini_story **list, size_t n, uint64_t index, int code)
{
	const tini_story *found = NULL;
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (atomic_load(&list[middle]->key) < index + 1)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < n && atomic_load(&list[low]->key) == index + 1; low++)
		if (!found || list[low]->code == code)
			found = list[low];
	return found;
}

size_t tini_stories_gather(tini_job *job, tine_failure *out, size_t max)
{
	tini_map *map = atomic_load(&job->map);
	size_t failed = 0, n = list_stories(job, map, NULL);
	tini_story **list = n ? tini_alloc(n, sizeof(tini_story *)) : NULL;

	if (list) {
		list_stories(job, map, list);
		qsort(list, n, sizeof(tini_story *), by_index);
	}
	for (uint64_t i = 0; i < map->count; i++) {
		int code = atomic_load_explicit(&map->status[i], memory_order_relaxed);

		if (code == 0)
			continue;
		if (failed < max)
			tini_story_write(&out[failed], i, code,
					 list ? find_story(list, n, i, code) : NULL, job);
		failed++;
	}
	tini_free(list);
	return failed;
}
