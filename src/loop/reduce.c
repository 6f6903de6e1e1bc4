/* SPDX-License-Identifier: MIT */
#include "loop/reduce.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/threads.h"
#include "loop/cost.h"
#include "loop/over_pool.h"
#include "loop/team.h"

#include <string.h>

enum { PIECES = 32 };    /* for each thread, so that they end together */
#define WORTH_NS 25000.0 /* less is not shared */

/* ---- partial results */

/* Room for one beside `small`; NULL: the reduction has failed. */
static void *partial_new(tini_reduction *r, void *small)
{
	void *partial = r->size <= TINI_PARTIAL ? small : tini_alloc(1, r->size);

	if (!partial)
		atomic_store(&r->failed, TINE_ENOMEM);
	return partial;
}

static void partial_free(const tini_reduction *r, void *partial)
{
	if (r->size > TINI_PARTIAL)
		tini_free(partial);
}

static void leaf(const tini_reduction *r, size_t number, void *into)
{
	size_t begin = r->begin + number * r->grain;
	size_t end = r->end - begin > r->grain ? begin + r->grain : r->end;

	if (r->identity)
		memcpy(into, r->identity, r->size);
	else
		memset(into, 0, r->size);
	r->body(begin, end, r->context, into);
}

/* Where memory has run out below, what was to be combined may never have been made. */
static void combine(const tini_reduction *r, void *into, const void *from)
{
	if (atomic_load_explicit(&r->failed, memory_order_relaxed) ==
	    0) /* the group's end orders it */
		r->combine(into, from, r->context);
}

/* ---- one thread */

void tini_reduce_alone(tini_reduction *r, size_t first, size_t leaves, void *into)
{
	_Alignas(16) unsigned char small[TINI_PARTIAL];

	if (leaves == 1) {
		leaf(r, first, into);
		return;
	}
	size_t left = tini_left_leaves(leaves);
	void *right = partial_new(r, small);
	if (!right)
		return;
	tini_reduce_alone(r, first, left, into);
	tini_reduce_alone(r, first + left, leaves - left, right);
	combine(r, into, right);
	partial_free(r, right);
}

static void reduce_timed(tini_reduction *r, size_t first, size_t leaves, void *into)
{
	int64_t before = tini_clock_now();

	tini_reduce_alone(r, first, leaves, into);
	/* A figure: it pairs with nothing. */
	atomic_fetch_add_explicit(&r->spent, tini_clock_now() - before, memory_order_relaxed);
}

/* ---- several */

typedef struct node {
	tini_reduction *reduction;
	size_t first, leaves;
	void *into;
} node;

static void reduce_shared(void *arg);

/* The right child is there for others to take while this thread computes the left one. */
static void share_children(const node *n)
{
	_Alignas(16) unsigned char small[TINI_PARTIAL];
	tini_reduction *r = n->reduction;
	size_t left = tini_left_leaves(n->leaves);
	tine_group group = {{0}};
	node children[2] = {{r, n->first, left, n->into},
			    {r, n->first + left, n->leaves - left, partial_new(r, small)}};

	if (!children[1].into)
		return;
	int rc = tine_spawn(&group, reduce_shared, &children[1]);
	reduce_shared(&children[0]);
	if (rc == 0)
		rc = tine_group_wait(&group);
	if (rc != 0)
		atomic_store(&r->failed, rc);
	combine(r, n->into, children[1].into);
	partial_free(r, children[1].into);
}

static void reduce_shared(void *arg)
{
	const node *n = arg;

	if (n->leaves <= n->reduction->alone)
		reduce_timed(n->reduction, n->first, n->leaves, n->into);
	else
		share_children(n);
}

/* ---- the call */

static int check(const tine_reduce_args *args)
{
	if (!args->body || !args->combine || !args->result)
		return TINI_FAIL(TINE_EINVAL, "tine_reduce: %s is NULL",
				 !args->body      ? "body"
				 : !args->combine ? "combine"
						  : "result");
	if (args->result_size == 0)
		return TINI_FAIL(TINE_EINVAL, "tine_reduce: result_size is 0");
	if (args->threads < 0)
		return TINI_FAIL(TINE_EINVAL, "tine_reduce: .threads = %d is negative",
				 args->threads);
	return 0;
}

/* Leaves that one thread should do; all of them where sharing does not pay. */
static size_t leaves_alone(const tine_reduce_args *args, size_t leaves, size_t threads)
{
	double cost = tini_cost_of((const void *)(uintptr_t)args->body);

	if (threads < 2 || (cost >= 0 && cost * (double)(args->end - args->begin) < WORTH_NS))
		return leaves;
	size_t alone = leaves / (threads * PIECES);
	return alone > 0 ? alone : 1;
}

static int reduce_here(const tine_reduce_args *args, tini_reduction *r, size_t leaves, void *into)
{
	int threads = args->threads ? args->threads : tine_num_threads();
	int before = tini_threads_limit_here(threads); /* for what is spawned */
	node root = {r, 0, leaves, into};

	r->alone = leaves_alone(args, leaves, (size_t)threads);
	reduce_shared(&root);
	tini_threads_limit_here(before);
	int64_t indices = (int64_t)(args->end - args->begin);
	if (atomic_load(&r->failed) == 0)
		tini_cost_learn((const void *)(uintptr_t)args->body, atomic_load(&r->spent),
				indices);
	int rc = atomic_load(&r->failed);
	/* Told again: it may have happened on another thread. */
	if (rc == TINE_ENOMEM)
		return TINI_FAIL(rc, "tine_reduce: out of memory for partial results of %zu bytes",
				 r->size);
	return rc == 0 ? 0
		       : TINI_FAIL(rc, "tine_reduce: this process was forked inside the body: "
				       "the rest of the reduction is its parent's");
}

static int reduce(const tine_reduce_args *args)
{
	_Alignas(16) unsigned char small[TINI_PARTIAL];
	size_t count = args->end - args->begin, grain = tini_block_size(count, args->grain);
	tini_reduction r = {.body = args->body,
			    .combine = args->combine,
			    .context = args->context,
			    .identity = args->identity,
			    .begin = args->begin,
			    .end = args->end,
			    .grain = grain,
			    .size = args->result_size};
	size_t leaves = (count - 1) / grain + 1;
	void *into = partial_new(&r, small);

	if (!into)
		return TINE_ENOMEM;
	int rc = args->pool ? tini_reduce_over_pool(args, &r, leaves, into)
			    : reduce_here(args, &r, leaves, into);
	if (rc == 0)
		memcpy(args->result, into, args->result_size);
	partial_free(&r, into);
	return rc;
}

int tine_reduce_with(const tine_reduce_args *given)
{
	tine_reduce_args args;
	int rc = tini_options_copy(&args, sizeof args, given, "tine_reduce");

	if (rc == 0)
		rc = check(&args);
	if (rc != 0)
		return rc;
	if (args.begin < args.end)
		return reduce(&args);
	if (args.identity)
		memmove(args.result, args.identity, args.result_size);
	else
		memset(args.result, 0, args.result_size);
	return 0;
}
