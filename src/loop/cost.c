/* SPDX-License-Identifier: MIT */
/*
 * A small table by the body's address.  It is a hint: threads write it without order, bodies that
 * fall on the same row drive each other out, and a wrong figure makes a loop slower, never wrong.
 */
#include "loop/cost.h"

#include <stdatomic.h>
#include <stddef.h>

enum { ROWS = 256 };
#define UNIT 1024.0 /* costs are kept in 1/1024 ns */

static struct row {
	_Atomic uintptr_t body;
	_Atomic uint64_t cost;
} table[ROWS];

static struct row *row_of(const void *body)
{
	uint64_t mixed = (uint64_t)(uintptr_t)body * UINT64_C(0x9e3779b97f4a7c15);

	return &table[mixed >> 56];
}

double tini_cost_of(const void *body)
{
	struct row *row = row_of(body);

	if (atomic_load_explicit(&row->body, memory_order_relaxed) != (uintptr_t)body)
		return -1;
	return (double)atomic_load_explicit(&row->cost, memory_order_relaxed) / UNIT;
}

/* A quarter of the way to the new figure: one disturbed run does not change much. */
void tini_cost_learn(const void *body, int64_t ns, int64_t iterations)
{
	struct row *row = row_of(body);
	double cost = iterations > 0 ? (double)ns / (double)iterations : 0;
	double before = tini_cost_of(body);

	if (iterations <= 0 || ns < 0)
		return;
	if (before >= 0)
		cost = before + (cost - before) / 4;
	atomic_store_explicit(&row->cost, (uint64_t)(cost * UNIT), memory_order_relaxed);
	atomic_store_explicit(&row->body, (uintptr_t)body, memory_order_relaxed);
}
