/* SPDX-License-Identifier: MIT */
/*
 * What does a process of its own cost, from start to join?
 */
#include <sys/wait.h>
#include <unistd.h>

#include <tine.h>

#include "bench.h"

enum { TIMES = 20, CODE = 7 };

static int target(void *arg)
{
	(void)arg;
	return CODE;
}

static bool start_and_join(void)
{
	tine_process *process = tine_process_start(target, NULL, .size = 0);
	tine_process_state state = {0};
	bool right = process && tine_process_join(process, 10) == 0 &&
		     tine_process_status(process, &state) == 0 && state.code == CODE;

	tine_process_free(process);
	return right;
}

static double measure_tine(void *unused)
{
	double start = bench_now();

	(void)unused;
	for (int i = 0; i < TIMES; i++)
		bench_check(start_and_join(), "process: %s", tine_last_error());
	return (bench_now() - start) / TIMES;
}

static double measure_fork(void *unused)
{
	double start = bench_now();

	(void)unused;
	for (int i = 0; i < TIMES; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(CODE);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			return bench_fail("cannot fork");
	}
	return (bench_now() - start) / TIMES;
}

int main(void)
{
	bench_question q = {.name = "process", .count = 5};
	bench_case c = {
		.name = "process start and join",
		.n = 1,
		.threads = 1,
		.rounds = 21,
		.tine = {.measure = measure_tine},
		.peers = {{.name = "multiprocessing.Process", .measure = bench_peer_ask, .arg = &q},
			  {.name = "fork and waitpid", .measure = measure_fork}},
	};

	bench_begin();
	q.peer = bench_python_open("mp_peer.py");
	bench_run(&c);
	bench_peer_close(q.peer);
	return bench_end();
}
