/* SPDX-License-Identifier: MIT */
#include "sides.h"

enum { MOST_THREADS = 8 };

static const struct {
	const char *name, *package;
} programs[] = {
	[TINE] = {"tine_side", "a build without sanitizers"},
	[LIBGOMP] = {"omp_peer_gcc", "gcc"},
	[LIBOMP] = {"omp_peer_clang", "clang and libomp-dev"},
	[TBB] = {"tbb_peer", "g++ and libtbb-dev"},
	[GLIB] = {"glib_peer", "libglib2.0-dev"},
	[LIBUV] = {"uv_peer", "libuv1-dev"},
	[STARPU] = {"starpu_peer", "libstarpu-dev"},
};

enum { RUNTIMES = sizeof(programs) / sizeof(programs[0]) };

static bench_peer *started[RUNTIMES][MOST_THREADS + 1];

static bench_peer *program_of(sides_runtime runtime, int threads)
{
	bench_peer **peer = &started[runtime][threads];

	if (*peer && bench_peer_gone(*peer)) {
		bench_peer_close(*peer);
		*peer = NULL;
	}
	if (!*peer)
		*peer = bench_program_open(programs[runtime].name, threads,
					   programs[runtime].package);
	return *peer;
}

void sides_run(const sides_case *c)
{
	int threads = c->threads ? c->threads : 2;
	bench_question questions[1 + BENCH_PEERS];
	bench_case asked = {
		.name = c->name,
		.n = c->n,
		.threads = threads,
		.rounds = c->rounds,
		.best = c->best,
		.tine = {.measure = bench_peer_ask, .arg = &questions[BENCH_PEERS]},
	};

	questions[BENCH_PEERS] = (bench_question){program_of(TINE, threads), c->question, c->count,
						  c->samples, c->share};
	for (int i = 0; i < BENCH_PEERS && c->peers[i].name; i++) {
		const sides_peer *p = &c->peers[i];

		questions[i] = questions[BENCH_PEERS];
		questions[i].peer = program_of(p->runtime, p->threads ? p->threads : threads);
		if (p->question)
			questions[i].name = p->question;
		asked.peers[i] = (bench_side){.name = p->name,
					      .measure = bench_peer_ask,
					      .arg = &questions[i],
					      .goal = p->goal};
	}
	bench_run(&asked);
}

void sides_close(void)
{
	for (int i = 0; i < RUNTIMES; i++)
		for (int threads = 0; threads <= MOST_THREADS; threads++)
			if (started[i][threads])
				bench_peer_close(started[i][threads]);
}

int sides_main(const sides_case *cases, size_t n)
{
	bench_begin();
	for (size_t i = 0; i < n; i++)
		sides_run(&cases[i]);
	sides_close();
	return bench_end();
}
