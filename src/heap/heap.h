/* SPDX-License-Identifier: MIT */
/*
 * The shared heap, seen from the rooms above: start it, allocate in it, and mend it after a death.
 *
 * Vocabulary.  An *actor* is a process that has allocated in the heap; it has a number and an
 * arena.  A *slab* is a 64 KiB page of blocks of one size, owned by one actor.  A *run* is a row of
 * whole units (64 KiB pages or 2 MiB granules) handed out as one block.  To *adopt* is to take over
 * a dead actor's slabs; its blocks that were not handed over are *orphaned*: they stay usable and
 * are counted.
 */
#ifndef TINI_HEAP_HEAP_H
#define TINI_HEAP_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Make the heap if there is none yet.  Returns 0 or the code, told.  Any thread; must come before
 * fork(). */
int tini_heap_start(void);

/* Zeroed blocks that belong to the library; NULL with TINE_ENOMEM told.  `lazy`: pages come on
 * first touch. */
void *tini_heap_alloc(size_t size);
void *tini_heap_alloc_lazy(size_t size);
void tini_heap_free(void *p); /* NULL is taken; from any process */

/* The block now belongs to whoever holds its address: the death of the actor that made it does not
 * orphan it. */
void tini_heap_hand_over(void *p);

/* Usable size of a live block, 0 where p is none. */
size_t tini_heap_block_size(const void *p);

/* The actor with this pid is dead and reaped: adopt its arena, finish what it was in the middle of.
 * May be called twice, and by several at once.  Async-signal-unsafe; in the supervisor and in the
 * host. */
void tini_heap_actor_died(pid_t pid);

/* Descriptors that every process of the program must keep; writes at most 4, returns how many. */
int tini_heap_descriptors(int fds[4]);

/* 64 zeroed 64-byte lines of the control block for the rooms above: line n is always at the same
 * address. */
enum { TINI_LINE_ANY_WAIT, TINI_LINE_END = 64 };
void *tini_heap_line(int n);

/* Walk everything and check every invariant: for tests.  On false, *why is a static text. */
bool tini_heap_valid(const char **why);

#endif
