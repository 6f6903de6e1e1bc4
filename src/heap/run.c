/* SPDX-License-Identifier: MIT */
/*
 * Runs of units over a table of words, without a lock.
 *
 *   claim    FREE -> TENTATIVE, from the first unit to the last; at an obstacle all go back,
 *            and the search goes on behind it
 *   publish  one store, TENTATIVE -> HEAD, hands the whole row out; the other words stay
 *   free     one swap, HEAD -> EMPTYING, decides who frees it; the pages go back; then the
 *            other units -> RELEASED, EMPTYING -> RELEASING, RELEASED -> FREE, the head last
 *
 * RELEASED is there for the adopter of one who dies while he frees.  The units that he has let go
 * may be another's run by then, with words like those that were there before; what is still his
 * says so.
 *
 * Search begins at a hint for the length asked, which a free lowers and a claim raises.  A wrong
 * hint costs time or leaves a hole unused for a while: before anyone is told that there is no row,
 * the search begins at unit 0.
 */
#include "heap/run.h"

#include "base/checked.h"
#include "base/killpoint.h"

enum { TRIES = 4 }; /* searches from unit 0 while others' claims are in the way */

static unsigned hint_of(uint32_t n)
{
	unsigned k = 31 - (unsigned)__builtin_clz(n);

	return k < TINI_HINTS ? k : TINI_HINTS - 1;
}

/* The marks are hints, so relaxed: they pair with nothing. */
static void lower_hints(const tini_table *table, uint32_t unit)
{
	for (unsigned k = 0; k < TINI_HINTS; k++)
		if (atomic_load_explicit(&table->marks->hint[k], memory_order_relaxed) > unit)
			atomic_store_explicit(&table->marks->hint[k], unit, memory_order_relaxed);
}

static void raise_hint(const tini_table *table, uint32_t n, uint32_t seen, uint32_t to)
{
	atomic_compare_exchange_strong_explicit(&table->marks->hint[hint_of(n)], &seen, to,
						memory_order_relaxed, memory_order_relaxed);
}

/* The first row of n units that look free at or after `from`. */
static uint32_t look(const tini_table *table, uint32_t from, uint32_t n)
{
	uint32_t top = atomic_load(&table->marks->top), start = from;

	for (uint32_t i = from; i < top;) {
		uint64_t w = atomic_load(&table->words[i]);
		if (w) {
			i += tini_stride(w);
			start = i;
		} else if (++i - start >= n) {
			return start;
		}
	}
	return start <= table->units && n <= table->units - start ? start : TINI_NO_UNIT;
}

/* Let units below `end` be used: back the pages of their words, then raise the top. */
static bool reach(const tini_table *table, uint32_t end, tini_lack *lack)
{
	uint32_t top = atomic_load(&table->marks->top);
	uintptr_t begin = tini_round_up((uintptr_t)&table->words[top], 4096);
	uintptr_t stop = tini_round_up((uintptr_t)&table->words[end], 4096);

	if (stop > begin && !tini_commit(TINI_CONTROL, (char *)begin, stop - begin, lack))
		return false;
	TINI_KILL_POINT("run-reaching");
	while (top < end && !atomic_compare_exchange_weak(&table->marks->top, &top, end))
		;
	return true;
}

/* Claim a row, unit by unit.  False: *obstacle is in the way, and nothing is claimed. */
static bool take(const tini_table *table, uint32_t first, uint32_t n, unsigned me,
		 uint32_t *obstacle)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t free = TINI_FREE;
		if (!atomic_compare_exchange_strong(&table->words[first + i], &free,
						    tini_unit(TINI_TENTATIVE, me, 0))) {
			tini_run_unclaim(table, first, i);
			*obstacle = first + i;
			return false;
		}
		TINI_KILL_POINT("run-claiming");
	}
	return true;
}

void tini_run_unclaim(const tini_table *table, uint32_t first, uint32_t n)
{
	while (n--) {
		atomic_store(&table->words[first + n], TINI_FREE);
		TINI_KILL_POINT("run-unclaiming");
	}
	lower_hints(table, first);
}

static uint32_t claim_from(const tini_table *table, uint32_t from, uint32_t n, unsigned me,
			   tini_lack *lack)
{
	uint32_t first;

	while ((first = look(table, from, n)) != TINI_NO_UNIT) {
		if (!reach(table, first + n, lack))
			return TINI_NO_UNIT;
		if (take(table, first, n, me, &from))
			return first;
	}
	return TINI_NO_UNIT;
}

uint32_t tini_run_claim(const tini_table *table, uint32_t n, unsigned me, tini_lack *lack)
{
	uint32_t hint = atomic_load_explicit(&table->marks->hint[hint_of(n)], memory_order_relaxed);
	uint32_t first = claim_from(table, hint, n, me, lack);

	for (int i = 0; first == TINI_NO_UNIT && lack->what == TINI_LACK_NONE && i < TRIES; i++)
		first = claim_from(table, 0, n, me, lack);
	if (first != TINI_NO_UNIT)
		raise_hint(table, n, hint, first + n);
	else if (lack->what == TINI_LACK_NONE)
		lack->what = TINI_LACK_ADDRESSES;
	return first;
}

uint32_t tini_run_new(const tini_table *table, uint32_t n, unsigned me, bool lazy, tini_lack *lack)
{
	size_t bytes = n * table->unit_bytes;

	if (!lazy && !tini_commit_allowed(bytes, lack))
		return TINI_NO_UNIT;
	uint32_t first = tini_run_claim(table, n, me, lack);
	if (first == TINI_NO_UNIT)
		return first;
	TINI_KILL_POINT("run-claimed");
	if (!lazy && !tini_commit(table->part, tini_unit_address(table, first), bytes, lack)) {
		tini_give_back(table->part, tini_unit_address(table, first), bytes);
		tini_run_unclaim(table, first, n);
		return TINI_NO_UNIT;
	}
	TINI_KILL_POINT("run-committed");
	atomic_store(&table->words[first], tini_unit(TINI_HEAD, me, n) | (lazy ? TINI_LAZY : 0));
	TINI_KILL_POINT("run-published");
	return first;
}

/* The pages and the words of an EMPTYING run, all of them ours alone. */
static void empty(const tini_table *table, uint32_t first, unsigned actor, uint32_t n)
{
	tini_give_back(table->part, tini_unit_address(table, first), n * table->unit_bytes);
	TINI_KILL_POINT("run-emptied");
	for (uint32_t i = 1; i < n; i++) {
		atomic_store(&table->words[first + i], tini_unit(TINI_RELEASED, actor, 0));
		TINI_KILL_POINT("run-marking");
	}
	atomic_store(&table->words[first], tini_unit(TINI_RELEASING, actor, n));
	TINI_KILL_POINT("run-releasing");
}

/*
 * Free what is still RELEASED in a RELEASING run.  Units let go before may be anyone's by now:
 * whole runs are stepped over, as the same dead actor may have died in the freeing of one of them
 * too, by another thread.
 */
static void release(const tini_table *table, uint32_t first, unsigned actor, uint32_t n)
{
	for (uint32_t i = 1; i < n;) {
		uint64_t w = atomic_load(&table->words[first + i]);
		if (w == tini_unit(TINI_RELEASED, actor, 0))
			atomic_store(&table->words[first + i], TINI_FREE);
		TINI_KILL_POINT("run-mending");
		i += tini_stride(w);
	}
}

void tini_run_finish(const tini_table *table, uint32_t first)
{
	uint64_t w = atomic_load(&table->words[first]);
	unsigned actor = tini_actor_of(w);
	uint32_t n = tini_length(w);

	if (tini_state(w) == TINI_EMPTYING)
		empty(table, first, actor, n);
	release(table, first, actor, n);
	atomic_store(&table->words[first], TINI_FREE);
	lower_hints(table, first);
}

bool tini_run_free(const tini_table *table, uint32_t first, uint64_t w, unsigned me)
{
	uint32_t n = tini_is_slab(w) ? 1 : tini_length(w);

	if (!atomic_compare_exchange_strong(&table->words[first], &w,
					    tini_unit(TINI_EMPTYING, me, n)))
		return false;
	TINI_KILL_POINT("run-emptying");
	empty(table, first, me, n);
	for (uint32_t i = n; --i > 0;) { /* from the last: what remains is one row */
		atomic_store(&table->words[first + i], TINI_FREE);
		TINI_KILL_POINT("run-freeing");
	}
	atomic_store(&table->words[first], TINI_FREE);
	TINI_KILL_POINT("run-freed");
	lower_hints(table, first);
	return true;
}

void tini_run_orphan(const tini_table *table, uint32_t first, unsigned dead)
{
	uint64_t w = atomic_load(&table->words[first]);

	while (tini_state(w) == TINI_HEAD && tini_actor_of(w) == dead && !(w & TINI_GIVEN))
		if (atomic_compare_exchange_weak(&table->words[first], &w, w | TINI_ORPHAN))
			break;
}

bool tini_run_give(const tini_table *table, uint32_t first)
{
	uint64_t w = atomic_load(&table->words[first]);

	while (tini_state(w) == TINI_HEAD)
		if (atomic_compare_exchange_weak(&table->words[first], &w,
						 (w | TINI_GIVEN) & ~TINI_ORPHAN))
			return true;
	return false;
}

uint32_t tini_run_longest_free(const tini_table *table)
{
	uint32_t top = atomic_load(&table->marks->top), longest = 0, start = 0;

	for (uint32_t i = 0; i < top;) {
		uint64_t w = atomic_load(&table->words[i]);
		uint32_t next = i + tini_stride(w);
		if (w) {
			longest = (uint32_t)tini_max(longest, i - start);
			start = next;
		}
		i = next;
	}
	return (uint32_t)tini_max(longest, table->units - tini_min(start, table->units));
}
