/* SPDX-License-Identifier: MIT */
/* The one part of the chaos test that looks inside the library: what a hung pool looks like, and the kill points. */
#include "chaos.h"

#include <base/killpoint.h>
#include <heap/heap.h>
#include <pool/job.h>
#include <pool/pool.h>
#include <pool/ready.h>
#include <pool/shared.h>

#include <stdio.h>
#include <string.h>

static char state_of(int pid)
{
	char path[48], text[512] = "";

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *file = pid > 0 ? fopen(path, "re") : NULL;
	if (!file)
		return '-';
	text[fread(text, 1, sizeof(text) - 1, file)] = 0;
	fclose(file);
	const char *end = strrchr(text, ')');
	return end && end[1] == ' ' ? end[2] : '?';
}

static void dump_slot(const tine_pool *pool, int i)
{
	tini_slot *slot = &pool->slot[i];
	int pid = atomic_load(&slot->pid);
	uint64_t range = atomic_load(&slot->range);

	if (pid == 0 && atomic_load(&slot->job) == 0)
		return;
	fprintf(stderr,
		"  slot %d: pid %d (%c) state %u parked %u leave %u kill_code %d crash %u stopping "
		"%#llx job %llu "
		"range [%llu, %llu) count %llu mark %#llx tries %u asleep %d bell %u\n",
		i, pid, state_of(pid), atomic_load(&slot->state), atomic_load(&slot->parked),
		atomic_load(&slot->leave), atomic_load(&slot->kill_code),
		atomic_load(&slot->crash.state), (unsigned long long)slot->stopping,
		(unsigned long long)atomic_load(&slot->job),
		(unsigned long long)tini_range_low(range),
		(unsigned long long)tini_range_high(range),
		(unsigned long long)atomic_load(&slot->count),
		(unsigned long long)atomic_load(&slot->mark), atomic_load(&slot->tries),
		(int)(atomic_load(&pool->asleep[i / 64]) >> (i % 64) & 1),
		atomic_load(&slot->bell));
}

static void dump_words(tini_map *map)
{
	uint64_t count[4] = {0};
	int said = 0;

	for (uint64_t k = 0; k < map->words; k++) {
		uint64_t word = atomic_load(&map->word[k]);

		count[tini_claim_state_of(word)]++;
		if (tini_claim_state_of(word) != TINI_DONE && said++ < 8)
			fprintf(stderr, "    word %llu: %s owner %u tries %u offset %llu\n",
				(unsigned long long)k,
				tini_claim_state_of(word) == TINI_FREE ? "FREE" : "CLAIMED",
				tini_claim_owner(word), tini_claim_tries(word),
				(unsigned long long)tini_claim_offset(word));
	}
	fprintf(stderr, "    words: %llu FREE, %llu CLAIMED, %llu DONE\n",
		(unsigned long long)count[TINI_FREE], (unsigned long long)count[TINI_CLAIMED],
		(unsigned long long)count[TINI_DONE]);
}

static void dump_map(const tine_pool *pool, tini_map *map)
{
	uint64_t ended = 0, redo = atomic_load(&map->redo);

	for (int i = 0; i < pool->slots + 2; i++) {
		uint64_t n = atomic_load(&map->cell[i].ended);

		ended += n;
		if (n > 0)
			fprintf(stderr, "    cell %d: %llu\n", i, (unsigned long long)n);
	}
	fprintf(stderr,
		"    map: %llu items, chunk %llu, %llu words, %llu counted, cursor %llu, redo "
		"[%llu, %llu)\n",
		(unsigned long long)map->count, (unsigned long long)map->chunk,
		(unsigned long long)map->words, (unsigned long long)ended,
		(unsigned long long)atomic_load(&map->cursor),
		(unsigned long long)tini_range_low(redo),
		(unsigned long long)tini_range_high(redo));
	dump_words(map);
}

static void dump_job(tine_pool *pool, uint32_t i, int *said)
{
	tini_job *job = tini_job_at(pool, i);

	if (!job || tini_job_is(job, TINI_JOB_FREE) || (*said)++ >= 8)
		return;
	uint64_t word = atomic_load(&job->word);
	fprintf(stderr,
		"  job %u: state %#x abort %d kill_at %lld failed %u creator %u word %d/%u/%u/%llu "
		"ready %d\n",
		i, atomic_load(&job->state), atomic_load(&job->abort),
		(long long)atomic_load(&job->kill_at), atomic_load(&job->failed),
		atomic_load(&job->creator), (int)tini_claim_state_of(word), tini_claim_owner(word),
		tini_claim_tries(word), (unsigned long long)tini_claim_offset(word),
		tini_ready_find(pool, false) == (int64_t)i);
	tini_map *map = atomic_load(&job->map);
	if (map && !tini_job_is(job, TINI_JOB_NEW))
		dump_map(pool, map);
}

void inside_dump(tine_pool *pool)
{
	int said = 0;

	if (!pool)
		return;
	fprintf(stderr,
		"pool: supervisor %d (%c) opened %u closing %u broken %d (%s) ended %u parked %u "
		"kicked %u limbo %u\n",
		atomic_load(&pool->supervisor), state_of(atomic_load(&pool->supervisor)),
		atomic_load(&pool->opened), atomic_load(&pool->closing), atomic_load(&pool->broken),
		pool->why, atomic_load(&pool->ended), tini_parked(pool), atomic_load(&pool->kicked),
		atomic_load(&pool->limbo));
	for (int i = 0; i < pool->slots; i++)
		dump_slot(pool, i);
	for (uint32_t i = 0; i < atomic_load(&pool->ring); i++)
		dump_job(pool, i, &said);
}

bool inside_any_asleep(tine_pool *pool)
{
	for (int word = 0; word <= pool->slots / 64; word++)
		if (atomic_load(&pool->asleep[word]) != 0)
			return true;
	return false;
}

void inside_set_hook(void (*hook)(const char *name))
{
	tini_kill_hook = hook;
}

const char *inside_check_heap(void)
{
	const char *why = NULL;

	return tini_heap_valid(&why) ? NULL : why ? why : "?";
}
