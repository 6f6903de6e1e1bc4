/* SPDX-License-Identifier: MIT */
/*
 * What does a loop cost beyond its body, and how well is uneven work shared out?
 *
 * The bodies of the uneven loops are multiply-adds in a row, about 60 ms of them in all: in the
 * triangle, iteration i costs i; in the heavy tail, few iterations cost most (bench/peers/work.c).
 */
#include "sides.h"

enum { ITEMS = 1000000, TRIANGLE = 4000, TAIL = 400 };

#define UNEVEN_PEERS(loop)                                                \
	{                                                                 \
		{"libgomp, static", LIBGOMP, loop "_static"},             \
			{"libgomp, dynamic 1", LIBGOMP, loop "_dynamic"}, \
			{"libgomp, guided", LIBGOMP, loop "_guided"},     \
			{"libomp, static", LIBOMP, loop "_static"},       \
			{"libomp, dynamic 1", LIBOMP, loop "_dynamic"},   \
			{"libomp, guided", LIBOMP, loop "_guided"},       \
			{"TBB, automatic", TBB, loop "_auto"},            \
	}

static const sides_case cases[] = {
	{
		.name = "1e6 writes, chunk 1, per item",
		.question = "write_one",
		.n = ITEMS,
		.count = ITEMS,
		.samples = 5,
		.rounds = 9,
		.peers = {{"TBB, simple", TBB, .goal = 0.85},
			  {"libgomp, dynamic 1", LIBGOMP, .goal = 3},
			  {"libomp, dynamic 1", LIBOMP}},
	},
	{
		.name = "1e6 writes, automatic, per item",
		.question = "write_static",
		.n = ITEMS,
		.count = ITEMS,
		.samples = 15,
		.rounds = 9,
		.peers = {{"libgomp, static", LIBGOMP},
			  {"libomp, static", LIBOMP},
			  {"TBB, static", TBB}},
	},
	{
		.name = "triangle, automatic",
		.question = "triangle_auto",
		.n = TRIANGLE,
		.count = TRIANGLE,
		.samples = 1,
		.rounds = 9,
		.best = 0.95,
		.peers = UNEVEN_PEERS("triangle"),
	},
	{
		.name = "triangle, chunk 1",
		.question = "triangle_dynamic",
		.n = TRIANGLE,
		.count = TRIANGLE,
		.samples = 1,
		.rounds = 7,
		.peers = {{"libgomp, dynamic 1", LIBGOMP}},
	},
	{
		.name = "heavy tail, automatic",
		.question = "tail_auto",
		.n = TAIL,
		.count = TAIL,
		.samples = 1,
		.rounds = 9,
		.best = 0.95,
		.peers = UNEVEN_PEERS("tail"),
	},
	{
		.name = "heavy tail, chunk 1",
		.question = "tail_dynamic",
		.n = TAIL,
		.count = TAIL,
		.samples = 1,
		.rounds = 7,
		.peers = {{"libgomp, dynamic 1", LIBGOMP}},
	},
};

int main(void)
{
	return sides_main(cases, sizeof(cases) / sizeof(cases[0]));
}
