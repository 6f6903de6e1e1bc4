/* SPDX-License-Identifier: MIT */
/*
 * What does a task cost?
 *
 * From outside: the thread that hands in is none of the peers' workers.  A future gives its result
 * and its story; tine_spawn() only the moment when all are done.
 */
#include "sides.h"

enum { TASKS = 100000, FIB = 27, SPAWNS = 317810 /* of fib(27) */ };

static const sides_case cases[] = {
	{
		.name = "1e5 tasks from a task, per task",
		.question = "tasks",
		.n = TASKS,
		.count = TASKS,
		.samples = 5,
		.rounds = 9,
		.peers = {{"libgomp", LIBGOMP, .goal = 2},
			  {"TBB task_group", TBB, .goal = 5},
			  {"libomp", LIBOMP}},
	},
	{
		.name = "1e5 tasks from outside, per task",
		.question = "submit",
		.n = TASKS,
		.count = TASKS,
		.samples = 3,
		.rounds = 9,
		.peers = {{"libuv", LIBUV, .goal = 2},
			  {"GLib", GLIB},
			  {"TBB enqueue", TBB},
			  {"StarPU", STARPU}},
	},
	{
		.name = "1e5 futures from outside, per call",
		.question = "futures",
		.n = TASKS,
		.count = TASKS,
		.samples = 3,
		.rounds = 7,
		.peers = {{"libuv", LIBUV, "submit"},
			  {"GLib", GLIB, "submit"},
			  {"TBB enqueue", TBB, "submit"}},
	},
	{
		.name = "fib(27), per spawn",
		.question = "fib",
		.n = SPAWNS,
		.count = FIB,
		.samples = 3,
		.rounds = 9,
		.peers = {{"TBB", TBB, .goal = 4}, {"libomp", LIBOMP}, {"libgomp", LIBGOMP}},
	},
};

int main(void)
{
	return sides_main(cases, sizeof(cases) / sizeof(cases[0]));
}
