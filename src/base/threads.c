/* SPDX-License-Identifier: MIT */
/*
 * How many threads Tine uses.  Four levels, the first that says something wins: the thread's stack,
 * the limit of a thread that works for a pool or a loop, the number set for the process, the
 * default.  The default is found once and kept, because loops ask often and finding it reads files;
 * tine_set_num_threads(0) finds it anew.
 *
 * What the first two and the last two say is kept ready, for tini_threads_now().
 */
#include "base/threads.h"

#include "base/error.h"

enum { DEPTH = 64 };

_Thread_local int tini_threads_mine;
_Atomic int tini_threads_all;

static _Atomic int chosen;   /* tine_set_num_threads(); 0: the default */
static _Atomic int usual;    /* the default; 0: not found yet */
static _Atomic bool limited; /* `usual` was given by a pool and stays */

static _Thread_local struct {
	int depth;
	int number[DEPTH]; /* 0: as if this level were not there */
	int limit;         /* tini_threads_limit_here(); 0: none */
} stack;

static void note_mine(void)
{
	int n = stack.depth ? stack.number[stack.depth - 1] : 0;

	tini_threads_mine = n ? n : stack.limit;
}

static int note_all(void)
{
	int n = atomic_load(&chosen);

	if (!n)
		n = atomic_load(&usual);
	if (!n) {
		n = tine_cpu_count();
		atomic_store(&usual, n);
	}
	/* Unless tine_set_num_threads() has said something meanwhile. */
	int none = 0;
	return atomic_compare_exchange_strong(&tini_threads_all, &none, n) ? n : none;
}

int tine_num_threads(void)
{
	int n = tini_threads_now();

	return n ? n : note_all();
}

int tine_set_num_threads(int n)
{
	if (n < 0)
		return TINI_FAIL(TINE_EINVAL,
				 "tine_set_num_threads: %d is negative, 0 is the default", n);
	atomic_store(&chosen, n);
	if (!n && !atomic_load(&limited))
		atomic_store(&usual, 0);
	atomic_store(&tini_threads_all, n); /* 0: to be found when asked for */
	return 0;
}

int tine_threads_push(int n)
{
	if (n < 0)
		return TINI_FAIL(TINE_EINVAL, "tine_threads_push: %d is negative, 0 is the default",
				 n);
	if (stack.depth == DEPTH)
		return TINI_FAIL(TINE_ESTATE,
				 "tine_threads_push: %d numbers are pushed already, pop them",
				 DEPTH);
	stack.number[stack.depth++] = n;
	note_mine();
	return 0;
}

int tine_threads_pop(void)
{
	if (!stack.depth)
		return TINI_FAIL(TINE_ESTATE, "tine_threads_pop: this thread has pushed no number");
	stack.depth--;
	note_mine();
	return 0;
}

void tini_threads_limit(int n)
{
	stack.depth = 0;
	note_mine();
	atomic_store(&limited, true);
	atomic_store(&usual, n < 1 ? 1 : n);
	atomic_store(&chosen, 0);
	atomic_store(&tini_threads_all, 0);
}

int tini_threads_limit_here(int n)
{
	int before = stack.limit;

	stack.limit = n < 0 ? 1 : n;
	note_mine();
	return before;
}
