/* SPDX-License-Identifier: MIT */
/*
 * Loops and reductions as items of a tine_map().  A part of the range, or a subtree of the
 * reduction, is an item.  Which subtrees are items does not change the tree, so that the answer has
 * the same bits as on threads.
 */
#include "loop/over_pool.h"

#include "base/checked.h"
#include "base/error.h"
#include "pool/pool.h"

#include <tine/heap.h>
#include <tine/pool.h>

#include <string.h>

enum {
	PIECES = 32,       /* items for each worker where we choose, so that they end together */
	PARTS_MAX = 65536, /* items of a loop: one may be several calls of the body */
};

/* The pool can be used and sees the context: 0 or a code, told. */
static int check_pool(tine_pool *pool, const void *context, const char *call)
{
	int rc = tini_pool_check_open(pool, call);

	return rc == 0 ? tini_pool_check_context(pool, context, call) : rc;
}

/* ---- loops */

typedef struct loop_part {
	tine_body *body;
	void *context;
	size_t begin, end;
	size_t grain; /* iterations of a call; 0: all */
} loop_part;

static int run_part(const void *arg, void *result)
{
	const loop_part *part = arg;
	size_t grain = part->grain ? part->grain : part->end - part->begin;

	(void)result;
	for (size_t at = part->begin; at < part->end;) {
		size_t next = part->end - at < grain ? part->end : at + grain;

		part->body(at, next, part->context);
		at = next;
	}
	return 0;
}

/* Iterations of the next part, with `left` of them left. */
static size_t part_size(const tine_for_args *args, size_t left, size_t workers)
{
	size_t count = args->end - args->begin, grain = args->grain ? args->grain : 1, size;

	if (args->schedule == TINE_SCHEDULE_GUIDED)
		size = tini_max(grain, left / (2 * workers));
	else if (args->schedule == TINE_SCHEDULE_AUTO)
		size = tini_max(grain, count / (PIECES * workers));
	else /* DYNAMIC: whole calls */
		size = grain * (count / grain / PARTS_MAX + 1);
	return tini_min(tini_max(size, count / PARTS_MAX + 1), left);
}

/* Cut the loop; `parts` NULL: only count. */
static size_t cut(const tine_for_args *args, size_t workers, loop_part *parts)
{
	size_t count = args->end - args->begin, n = 0, size;
	bool is_exact = args->schedule == TINE_SCHEDULE_DYNAMIC ||
			(args->schedule == TINE_SCHEDULE_STATIC && args->grain > 0);

	for (size_t at = 0; at < count; at += size, n++) {
		if (args->schedule == TINE_SCHEDULE_STATIC) {
			tine_range part = tine_distribute(count, tini_min(workers, count), n);
			size = part.end - part.begin;
		} else {
			size = part_size(args, count - at, workers);
		}
		if (parts)
			parts[n] = (loop_part){args->body, args->context, args->begin + at,
					       args->begin + at + size,
					       is_exact ? tini_max(args->grain, 1) : 0};
	}
	return n;
}

int tini_for_over_pool(const tine_for_args *args)
{
	int rc = check_pool(args->pool, args->context, "tine_for");
	tine_failure failure;
	size_t failed;

	if (rc != 0)
		return rc;
	size_t workers = (size_t)tine_pool_workers(args->pool), n = cut(args, workers, NULL);
	loop_part *parts = tine_shared_alloc(.size = n * sizeof *parts);
	if (!parts)
		return TINE_ENOMEM;
	cut(args, workers, parts);
	rc = tine_map(args->pool, run_part, parts, n, sizeof *parts, NULL,
		      .chunk = args->schedule == TINE_SCHEDULE_DYNAMIC ? 0 : 1,
		      .failures = &failure, .max_failures = 1, .failure_count = &failed);
	if (rc == TINE_EITEMS)
		rc = TINI_FAIL(
			rc,
			"tine_for: %zu of %zu parts failed; first: iterations %zu to %zu: %.240s",
			failed, n, parts[failure.index].begin, parts[failure.index].end - 1,
			failure.text);
	tine_shared_free(parts);
	return rc;
}

/* ---- reductions */

typedef struct subtree {
	tini_reduction *reduction;
	size_t first, leaves;
} subtree;

static int run_subtree(const void *arg, void *result)
{
	const subtree *tree = arg;

	tini_reduce_alone(tree->reduction, tree->first, tree->leaves, result);
	return atomic_load(&tree->reduction->failed);
}

/* The subtrees of at most `alone` leaves, from the left; `trees` NULL: only count. */
static size_t list_subtrees(tini_reduction *r, size_t first, size_t leaves, subtree *trees)
{
	if (leaves <= r->alone) {
		if (trees)
			*trees = (subtree){r, first, leaves};
		return 1;
	}
	size_t left = tini_left_leaves(leaves);
	size_t n = list_subtrees(r, first, left, trees);
	return n + list_subtrees(r, first + left, leaves - left, trees ? trees + n : NULL);
}

/* Combine their results, which lie side by side at *at, as the tree says; returns the root's. */
static void *combine_all(const tini_reduction *r, size_t leaves, unsigned char **at)
{
	if (leaves <= r->alone) {
		*at += r->size;
		return *at - r->size;
	}
	size_t left = tini_left_leaves(leaves);
	void *into = combine_all(r, left, at), *from = combine_all(r, leaves - left, at);
	r->combine(into, from, r->context);
	return into;
}

/* What workers need, in one block: the reduction, its identity, the subtrees and their results. */
typedef struct reduce_block {
	tini_reduction reduction;
	unsigned char *results, *identity;
	subtree trees[];
} reduce_block;

static reduce_block *block_new(const tini_reduction *r, size_t n)
{
	size_t head = tini_round_up(sizeof(reduce_block) + n * sizeof(subtree), 64), size;

	if (!tini_mul_fits(n + 1, r->size, &size) || !tini_add_fits(size, head, &size))
		return TINI_FAIL_NULL(TINE_ENOMEM, "tine_reduce: %zu partial results of %zu bytes",
				      n, r->size);
	reduce_block *block = tine_shared_alloc(.size = size);
	if (!block)
		return NULL;
	block->results = (unsigned char *)block + head;
	block->identity = block->results + n * r->size;
	block->reduction = *r;
	if (r->identity) {
		memcpy(block->identity, r->identity, r->size);
		block->reduction.identity = block->identity;
	}
	return block;
}

int tini_reduce_over_pool(const tine_reduce_args *args, tini_reduction *r, size_t leaves,
			  void *into)
{
	int rc = check_pool(args->pool, args->context, "tine_reduce");

	if (rc != 0)
		return rc;
	r->alone = tini_max(leaves / (PIECES * (size_t)tine_pool_workers(args->pool)), 1);
	size_t n = list_subtrees(r, 0, leaves, NULL);
	reduce_block *block = block_new(r, n);
	if (!block)
		return TINE_ENOMEM;
	list_subtrees(&block->reduction, 0, leaves, block->trees);
	rc = tine_map(args->pool, run_subtree, block->trees, n, sizeof(subtree), block->results,
		      .result_size = r->size, .chunk = 1);
	if (rc == 0) {
		unsigned char *at = block->results;
		memcpy(into, combine_all(r, leaves, &at), r->size);
	}
	tine_shared_free(block);
	return rc;
}
