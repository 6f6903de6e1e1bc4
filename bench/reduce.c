/* SPDX-License-Identifier: MIT */
/*
 * How long is the sum of 80 MB?  All sides call the same inner loop (bench/peers/work.c).
 */
#include "sides.h"

enum { NUMBERS = 10000000 };

static const sides_case cases[] = {
	{
		.name = "sum of 1e7 doubles",
		.question = "sum",
		.n = NUMBERS,
		.count = NUMBERS,
		.samples = 7,
		.rounds = 11,
		.best = 0.95,
		.peers = {{"libgomp", LIBGOMP}, {"libomp", LIBOMP}, {"TBB", TBB}},
	},
};

int main(void)
{
	return sides_main(cases, sizeof(cases) / sizeof(cases[0]));
}
