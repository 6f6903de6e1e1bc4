/* SPDX-License-Identifier: MIT */
/*
 * How long is it from one thread to two and back?
 *
 * The body returns when both threads are in it, so that none can do the work of both.
 */
#include "sides.h"

static const sides_case cases[] = {
	{
		.name = "2 threads that meet",
		.question = "meeting",
		.n = 2,
		.count = 1000,
		.samples = 11,
		.rounds = 15,
		.peers = {{"libgomp", LIBGOMP, .goal = 1}, {"libomp", LIBOMP}, {"TBB", TBB}},
	},
	{
		.name = "the same after 1 ms of sleep",
		.question = "late_meeting",
		.n = 2,
		.count = 30,
		.samples = 3,
		.rounds = 9,
		.peers = {{"libgomp", LIBGOMP}, {"libomp", LIBOMP}, {"TBB", TBB}},
	},
};

int main(void)
{
	return sides_main(cases, sizeof(cases) / sizeof(cases[0]));
}
