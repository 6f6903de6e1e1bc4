/* SPDX-License-Identifier: MIT */
/*
 * Slabs: allocation, freeing, and the closing of empty ones.
 *
 * Each process has, private and in static memory, a current slab per class and seat (threads share
 * a few seats); it is a hint, and lost without harm at fork() or death.  Where it is full the
 * process looks for another of its own or an abandoned one over a stretch of the page words, and
 * takes a new page if it finds none.
 *
 * Closing an empty slab is the one change of many words.  The closer marks the page CLOSING, shuts
 * the words one by one by their tag, and has won when all were empty; a block that someone
 * allocates meanwhile makes it open the words again.  Tags go up by two per incarnation, so whoever
 * still remembers the old slab fails on its words for ever.
 */
#include "heap/slab.h"

#include <pthread.h>
#include <string.h>

#include "base/checked.h"
#include "base/killpoint.h"
#include "heap/actor.h"
#include "heap/run.h"

enum {
	SEATS = 8,        /* threads of a process that allocate without meeting, a power of two */
	LOOK_SLABS = 8,   /* slabs looked into for room, and */
	LOOK_PAGES = 1024 /* page words passed, before a new page is taken */
};

typedef struct seat {
	_Atomic uint64_t current; /* tag and page + 1 of the slab that blocks come from; 0: none */
	_Atomic uint32_t word;    /* where in it the last block came from */
} seat;

static seat seats[SEATS][TINI_CLASSES];
static _Atomic unsigned seats_given;
static _Thread_local unsigned my_seat; /* + 1 */

static struct {
	pthread_mutex_t lock;   /* of this process only: around the search for a new current slab */
	_Atomic uint32_t spare; /* page + 1 of an empty slab that is kept */
	uint32_t looked;        /* the page where the last search ended */
} own[TINI_CLASSES];

static void init_locks(void)
{
	for (unsigned i = 0; i < TINI_CLASSES; i++)
		pthread_mutex_init(&own[i].lock, NULL);
}

void tini_slab_forked(void)
{
	memset(seats, 0, sizeof(seats));
	memset(own, 0, sizeof(own));
	init_locks();
}

static tini_word *page_word(uint32_t page)
{
	return &tini_the_heap.pages.words[page];
}

static tini_slab *slab_of(uint32_t page)
{
	return &tini_the_heap.slabs[page];
}

/* ---- allocation */

static uint64_t current_of(uint32_t page, uint16_t tag)
{
	return (uint64_t)tag << 32 | (page + 1);
}

static void *block_address(uint32_t page, const tini_class *kind, uint32_t index)
{
	return tini_unit_address(&tini_the_heap.pages, page) + (size_t)index * kind->size;
}

/* A free block of one word of a slab; NULL where it has none. */
static void *take_in_word(uint32_t page, uint16_t tag, const tini_class *kind, uint32_t i)
{
	tini_word *word = &slab_of(page)->words[i];
	uint64_t mask = tini_word_mask(kind, i), w = atomic_load(word), free;

	while (tini_word_tag(w) == tag && (free = ~tini_word_taken(w) & mask)) {
		unsigned bit = (unsigned)__builtin_ctzl(free);
		if (atomic_compare_exchange_weak(word, &w, w | (uint64_t)TINI_BLOCK_USED << bit))
			return block_address(page, kind, i * TINI_WORD_BLOCKS + bit / 2);
	}
	return NULL;
}

/* A block of the seat's current slab; NULL where it has none, or is no such slab any more. */
static void *take(seat *s, unsigned number, uint64_t current)
{
	const tini_class *kind = &tini_classes[number];
	uint32_t page = (uint32_t)current - 1;
	uint16_t tag = (uint16_t)(current >> 32);
	uint64_t w = atomic_load(page_word(page));

	if (!tini_is_slab(w) || tini_class_of(w) != number || tini_tag_of(w) != tag)
		return NULL;
	/* relaxed: a hint */
	uint32_t start = atomic_load_explicit(&s->word, memory_order_relaxed);
	for (uint32_t k = 0, i = start; k < kind->words; k++, i++) {
		if (i >= kind->words)
			i = 0;
		void *p = take_in_word(page, tag, kind, i);
		if (!p)
			continue;
		if (i != start)
			atomic_store_explicit(&s->word, i, memory_order_relaxed);
		TINI_KILL_POINT("slab-taken");
		return p;
	}
	return NULL;
}

static uint32_t room_in(uint32_t page, uint16_t tag, const tini_class *kind)
{
	uint32_t room = 0;

	for (uint32_t i = 0; i < kind->words; i++) {
		uint64_t w = atomic_load(&slab_of(page)->words[i]);
		if (tini_word_tag(w) == tag)
			room += (uint32_t)__builtin_popcountl(~tini_word_taken(w) &
							      tini_word_mask(kind, i));
	}
	return room;
}

/* Make a slab that is ours or nobody's a current one.  Returns it as a seat holds it, or 0. */
static uint64_t heat(uint32_t page, uint64_t w, unsigned kind, unsigned me)
{
	unsigned owner = tini_actor_of(w);

	if (tini_state(w) != TINI_SLAB || tini_class_of(w) != kind || w & TINI_HOT ||
	    (owner && owner != me))
		return 0;
	if (!atomic_compare_exchange_strong(page_word(page), &w, tini_with_owner(w, me) | TINI_HOT))
		return 0;
	TINI_KILL_POINT("slab-heated");
	return current_of(page, tini_tag_of(w));
}

/* The seat has another current slab: the old one may be closed when it is empty. */
static void cool(uint64_t current)
{
	uint32_t page = (uint32_t)current - 1;
	uint64_t w = atomic_load(page_word(page));

	while (tini_state(w) == TINI_SLAB && tini_tag_of(w) == (uint16_t)(current >> 32) &&
	       w & TINI_HOT)
		if (atomic_compare_exchange_weak(page_word(page), &w, w & ~TINI_HOT))
			break;
}

static uint64_t heat_spare(unsigned kind, unsigned me)
{
	uint32_t page = atomic_exchange(&own[kind].spare, 0);

	return page ? heat(page - 1, atomic_load(page_word(page - 1)), kind, me) : 0;
}

/* Own and abandoned slabs over a stretch of the pages: the first with room for `enough` blocks. */
static uint64_t heat_another(unsigned kind, unsigned me, uint32_t enough, uint32_t stretch)
{
	uint32_t top = atomic_load(&tini_the_heap.pages.marks->top), page = own[kind].looked;
	uint32_t looks = stretch / (LOOK_PAGES / LOOK_SLABS);
	uint64_t current = 0;

	stretch = (uint32_t)tini_min(top, stretch);
	for (uint32_t n = 0; n < stretch && looks && !current; n++) {
		page = page + 1 < top ? page + 1 : 0;
		uint64_t w = atomic_load(page_word(page));
		unsigned owner = tini_actor_of(w);
		if (tini_state(w) != TINI_SLAB || tini_class_of(w) != kind || w & TINI_HOT ||
		    (owner && owner != me))
			continue;
		looks--;
		if (room_in(page, tini_tag_of(w), &tini_classes[kind]) >= enough)
			current = heat(page, w, kind, me);
	}
	own[kind].looked = page;
	return current;
}

/* Back a slab's page and its descriptor. */
static bool commit_slab(uint32_t page, tini_lack *lack)
{
	uintptr_t begin = (uintptr_t)slab_of(page) & ~(uintptr_t)4095;
	uintptr_t end = tini_round_up((uintptr_t)slab_of(page + 1), 4096);

	return tini_commit(TINI_CONTROL, (char *)begin, end - begin, lack) &&
	       tini_commit(TINI_SMALL, tini_unit_address(&tini_the_heap.pages, page), TINI_PAGE,
			   lack);
}

/* Begin the next incarnation of a descriptor, whose page is ours.  The tag moves first: who dies
 * here uses it up. */
static uint16_t begin_slab(uint32_t page, unsigned kind)
{
	tini_slab *slab = slab_of(page);
	uint32_t tag = atomic_load(&slab->tag) + 2;

	atomic_store(&slab->tag, tag);
	TINI_KILL_POINT("slab-tagged");
	/* relaxed: the store that publishes the page word releases them to whoever reads it */
	for (uint32_t i = 0; i < tini_classes[kind].words; i++)
		atomic_store_explicit(&slab->words[i], tini_word_empty((uint16_t)tag),
				      memory_order_relaxed);
	TINI_KILL_POINT("slab-cleared");
	return (uint16_t)tag;
}

static uint64_t heat_new(unsigned kind, unsigned me, tini_lack *lack)
{
	const tini_table *pages = &tini_the_heap.pages;

	if (!tini_commit_allowed(TINI_PAGE, lack))
		return 0;
	uint32_t page = tini_run_claim(pages, 1, me, lack);
	if (page == TINI_NO_UNIT)
		return 0;
	TINI_KILL_POINT("slab-claimed");
	if (!commit_slab(page, lack)) {
		tini_give_back(TINI_SMALL, tini_unit_address(pages, page), TINI_PAGE);
		tini_run_unclaim(pages, page, 1);
		return 0;
	}
	uint16_t tag = begin_slab(page, kind);
	atomic_store(page_word(page), tini_slab_word(me, kind, tag) | TINI_HOT);
	TINI_KILL_POINT("slab-published");
	return current_of(page, tag);
}

static uint64_t find_current(unsigned kind, unsigned me, tini_lack *lack)
{
	uint32_t worth_it = (uint32_t)tini_max(tini_classes[kind].blocks / 8, 1);
	uint64_t current = heat_spare(kind, me);

	if (!current)
		current = heat_another(kind, me, worth_it, LOOK_PAGES);
	if (!current)
		current = heat_new(kind, me, lack);
	if (!current) /* memory is short: every single block counts */
		current = heat_another(kind, me, 1, UINT32_MAX);
	return current;
}

static bool refill(seat *s, unsigned kind, unsigned me, uint64_t full, tini_lack *lack)
{
	pthread_mutex_lock(&own[kind].lock);
	uint64_t current = atomic_load(&s->current);
	if (current == full) { /* else another thread of the seat was here first */
		current = find_current(kind, me, lack);
		if (current)
			atomic_store(&s->current, current);
		if (current && full)
			cool(full);
	}
	pthread_mutex_unlock(&own[kind].lock);
	return current;
}

static seat *my_seats(void)
{
	if (!my_seat)
		my_seat = 1 + (atomic_fetch_add(&seats_given, 1) & (SEATS - 1));
	return seats[my_seat - 1];
}

void *tini_slab_alloc(unsigned kind, unsigned me, tini_lack *lack)
{
	seat *s = &my_seats()[kind];

	for (;;) {
		uint64_t current = atomic_load(&s->current);
		void *p = current ? take(s, kind, current) : NULL;
		if (p || !refill(s, kind, me, current, lack))
			return p;
	}
}

/* ---- blocks by their address */

bool tini_block_at(tini_block *block, uint32_t page, uint64_t w, size_t offset)
{
	const tini_class *kind = &tini_classes[tini_class_of(w)];
	uint32_t index = (uint32_t)(offset * kind->reciprocal >> 32);

	if (index >= kind->blocks || index * (size_t)kind->size != offset)
		return false;
	block->page = page;
	block->w = w;
	block->word = &slab_of(page)->words[index / TINI_WORD_BLOCKS];
	block->shift = index % TINI_WORD_BLOCKS * 2;
	return true;
}

unsigned tini_block_state(const tini_block *block)
{
	uint64_t w = atomic_load(block->word);

	return tini_word_tag(w) == tini_tag_of(block->w) ? w >> block->shift & 3 : TINI_BLOCK_FREE;
}

/* As tini_block_change(), and the whole word as it is after the change. */
static bool change(const tini_block *block, unsigned to, uint64_t *changed)
{
	uint64_t w = atomic_load(block->word);

	do {
		if (tini_word_tag(w) != tini_tag_of(block->w) || !(w >> block->shift & 3))
			return false;
		*changed = (w & ~((uint64_t)3 << block->shift)) | (uint64_t)to << block->shift;
	} while (!atomic_compare_exchange_weak(block->word, &w, *changed));
	return true;
}

bool tini_block_change(const tini_block *block, unsigned to)
{
	uint64_t changed;

	return change(block, to, &changed);
}

/* The slab may be empty now.  Its owner keeps one such of a class for the next block. */
static void retire(const tini_block *block)
{
	uint64_t w = atomic_load(page_word(block->page));
	unsigned kind = tini_class_of(block->w);
	uint32_t none = 0;

	if (w & TINI_HOT || tini_state(w) != TINI_SLAB || tini_tag_of(w) != tini_tag_of(block->w))
		return;
	unsigned me = tini_actor_me();
	if (!me)
		return;
	if (tini_actor_of(w) == me &&
	    (atomic_load(&own[kind].spare) == block->page + 1 ||
	     atomic_compare_exchange_strong(&own[kind].spare, &none, block->page + 1)))
		return;
	tini_slab_close(block->page, me, false);
}

bool tini_block_free(const tini_block *block)
{
	uint64_t changed;

	if (!change(block, TINI_BLOCK_FREE, &changed))
		return false;
	TINI_KILL_POINT("slab-freed");
	if (!(changed & TINI_BLOCKS_MASK) && !(block->w & TINI_HOT))
		retire(block);
	return true;
}

/* ---- closing */

static bool is_empty(uint32_t page, uint64_t w)
{
	const tini_class *kind = &tini_classes[tini_class_of(w)];

	for (uint32_t i = 0; i < kind->words; i++)
		if (atomic_load(&slab_of(page)->words[i]) != tini_word_empty(tini_tag_of(w)))
			return false;
	return true;
}

void tini_slab_reopen(uint32_t page, unsigned closer)
{
	uint64_t w = atomic_load(page_word(page));
	uint16_t tag = tini_tag_of(w);

	if (tini_state(w) != TINI_CLOSING || tini_closer_of(w) != closer)
		return;
	for (uint32_t i = 0; i < tini_classes[tini_class_of(w)].words; i++) {
		uint64_t shut = tini_word_empty(tag + 1);
		atomic_compare_exchange_strong(&slab_of(page)->words[i], &shut,
					       tini_word_empty(tag));
		TINI_KILL_POINT("slab-reopening");
	}
	while (!atomic_compare_exchange_weak(page_word(page), &w, tini_reopened_word(w)))
		; /* the owner may die meanwhile, which changes the owner in the word */
}

/* Shut every word of a slab that we are closing.  False: one of them has a block. */
static bool shut(uint32_t page, uint64_t w)
{
	uint16_t tag = tini_tag_of(w);

	for (uint32_t i = 0; i < tini_classes[tini_class_of(w)].words; i++) {
		uint64_t empty = tini_word_empty(tag);
		if (!atomic_compare_exchange_strong(&slab_of(page)->words[i], &empty,
						    tini_word_empty(tag + 1)))
			return false;
		TINI_KILL_POINT("slab-shutting");
	}
	return true;
}

bool tini_slab_close(uint32_t page, unsigned me, bool hot)
{
	uint64_t w = atomic_load(page_word(page));

	if (tini_state(w) != TINI_SLAB || (w & TINI_HOT && !hot) || !is_empty(page, w))
		return false;
	uint64_t closing = tini_closing_word(w, me);
	if (!atomic_compare_exchange_strong(page_word(page), &w, closing))
		return false;
	TINI_KILL_POINT("slab-closing");
	if (!shut(page, closing)) {
		tini_slab_reopen(page, me);
		return false;
	}
	TINI_KILL_POINT("slab-shut");
	do /* again where the owner has died meanwhile */
		closing = atomic_load(page_word(page));
	while (!tini_run_free(&tini_the_heap.pages, page, closing, me));
	return true;
}

void tini_slab_close_all(unsigned me)
{
	uint32_t top = atomic_load(&tini_the_heap.pages.marks->top);

	for (uint32_t i = 0; i < top;) {
		uint64_t w = atomic_load(page_word(i));
		if (tini_is_slab(w))
			tini_slab_close(i, me, true);
		i += tini_stride(w);
	}
}

/* ---- adoption */

static void orphan_word(tini_word *word, uint16_t tag)
{
	uint64_t w = atomic_load(word), used;

	while (tini_word_tag(w) == tag && (used = tini_word_in_state(w, TINI_BLOCK_USED)))
		if (atomic_compare_exchange_weak(word, &w, w | used << 1)) /* 01 -> 11 */
			break;
}

void tini_slab_adopt(uint32_t page, unsigned dead)
{
	uint64_t w = atomic_load(page_word(page));
	uint16_t tag = tini_tag_of(w);

	if (!tini_is_slab(w) || tini_actor_of(w) != dead)
		return;
	for (uint32_t i = 0; i < tini_classes[tini_class_of(w)].words; i++) {
		orphan_word(&slab_of(page)->words[i], tag);
		TINI_KILL_POINT("slab-orphaning");
	}
	while (tini_is_slab(w) && tini_actor_of(w) == dead && tini_tag_of(w) == tag)
		if (atomic_compare_exchange_weak(page_word(page), &w,
						 tini_with_owner(w, 0) & ~TINI_HOT))
			break;
	TINI_KILL_POINT("slab-abandoned");
}
