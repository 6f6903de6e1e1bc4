/* SPDX-License-Identifier: MIT */
/*
 * What does it cost to give 64 MB to a task and to get 64 MB back?
 *
 * Both lie in the shared heap, so that no byte should move.  It is counted what moves all the same:
 * growth of the heap and of both processes' private memory, and bytes that they read and wrote.  A
 * copy on top of something else could hide from that, but not from the clock: it takes
 * milliseconds.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <tine.h>

#include "bench.h"

enum { WORKERS = 2, TIMES = 20, COUNTED = 8 };
#define SIZE ((size_t)64 << 20)
#define STEP (4096 / sizeof(uint64_t))
#define LITTLE (1L << 20) /* bytes that bookkeeping may move */

/* What a process has moved; bytes, but for faults. */
typedef struct traffic {
	const void *seen; /* where the worker found the argument */
	long heap, private, io, faults;
} traffic;

typedef struct plan {
	tine_pool *pool;
	uint64_t *in, *out;
} plan;

static long page_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

static traffic look(const void *seen)
{
	tine_heap_figures heap = {.struct_size = sizeof(heap)};
	const char *io = "/proc/self/io";

	tine_heap_stats(&heap);
	return (traffic){
		.seen = seen,
		.heap = (long)heap.in_use,
		.private = 1024 * bench_proc("/proc/self/status", "RssAnon:"),
		.io = bench_proc(io, "rchar:") + bench_proc(io, "wchar:"),
		.faults = page_faults(),
	};
}

/* ---- tasks */

/* The result is where the argument is: 64 MB there and back. */
static int identity(const void *arg, void *result)
{
	*(const void **)result = arg;
	return 0;
}

static int identity_counted(const void *arg, void *result)
{
	*(traffic *)result = look(arg);
	return 0;
}

/* Argument and result are different arrays; reads and writes 8 bytes of every page. */
static int add_one(const void *arg, void *result)
{
	const uint64_t *in = arg;
	uint64_t *out = result;

	for (size_t i = 0; i < SIZE / sizeof(*in); i += STEP)
		out[i] = in[i] + 1;
	return 0;
}

/* ---- measurements */

static double measure_identity(void *arg)
{
	plan *p = arg;
	bool right = true;
	double start = bench_now();

	for (int i = 0; i < TIMES; i++) {
		tine_future *future =
			tine_submit(p->pool, identity, p->in, SIZE, .result_size = sizeof(void *));
		void *result = NULL;

		right &= future && tine_future_get(future, &result, 10) == 0 && result == p->in;
		tine_future_free(future);
	}
	bench_check(right, "64 MB: %s", tine_last_error());
	return (bench_now() - start) / TIMES;
}

static bool pages_are_right(const plan *p)
{
	for (size_t i = 0; i < SIZE / sizeof(*p->in); i += STEP)
		if (p->out[i] != p->in[i] + 1)
			return false;
	return true;
}

static double measure_pages(void *arg)
{
	plan *p = arg;
	double start = bench_now(), seconds;
	int code = tine_map(p->pool, add_one, p->in, 1, SIZE, p->out, .result_size = SIZE);

	seconds = bench_now() - start;
	bench_check(code == 0, "64 MB: %s", tine_last_error());
	bench_check(pages_are_right(p), "64 MB: other bytes");
	memset(p->out, 0, SIZE);
	return seconds;
}

/* ---- counting */

static traffic call_counted(tine_pool *pool, const plan *p)
{
	traffic result = {0};
	tine_future *future =
		tine_submit(pool, identity_counted, p->in, SIZE, .result_size = sizeof(result));
	int code = future ? tine_future_get(future, &result, 10) : tine_last_code();

	bench_check(code == 0, "64 MB: %s", tine_last_error());
	bench_check(result.seen == p->in, "64 MB: the worker saw them elsewhere");
	tine_future_free(future);
	return result;
}

static long positive(long x)
{
	return x > 0 ? x : 0;
}

/* Bytes of one call, at most: in the heap while the task runs, in private memory, through pipes. */
static long count_copied(const plan *p)
{
	tine_pool *pool = tine_pool_open(.workers = 1); /* so that each call is the same worker's */
	traffic worker = call_counted(pool, p), host = look(NULL), worker_end, host_end;
	long copied;

	for (int i = 1; i < COUNTED; i++)
		worker_end = call_counted(pool, p);
	host_end = look(NULL);
	copied = positive(worker_end.heap - host.heap) +
		 positive(worker_end.private - worker.private) +
		 positive(host_end.private - host.private) + (worker_end.io - worker.io) / COUNTED +
		 (host_end.io - host.io) / COUNTED;
	bench_note("64 MB there and back: %ld bytes moved at most (heap %+ld, private memory %+ld "
		   "and %+ld; page faults %ld and %ld in %d calls)",
		   copied, worker_end.heap - host.heap, worker_end.private - worker.private,
		   host_end.private - host.private, worker_end.faults - worker.faults,
		   host_end.faults - host.faults, COUNTED - 1);
	bench_check(copied < LITTLE, "64 MB: %ld bytes were copied", copied);
	bench_check(tine_pool_close(pool, 10) == 0, "close: %s", tine_last_error());
	return copied;
}

static void run(plan *p, bench_peer *python, bench_peer *loky, const char *copied)
{
	bench_peer *parallel = bench_python_open("joblib_peer.py");
	bench_question pool = {.peer = python, .name = "big_identity", .count = 1};
	bench_question executor = {.peer = loky, .name = "big_identity", .count = 1};
	bench_question mapped = {.peer = parallel, .name = "big_parallel", .count = 1};
	bench_case c = {
		.name = "64 MB there and back",
		.n = SIZE,
		.threads = WORKERS,
		.rounds = 9,
		.tine = {.measure = measure_identity, .arg = p},
		.peers = {{"multiprocessing.Pool", bench_peer_ask, &pool, .goal = 100},
			  {"loky", bench_peer_ask, &executor, .goal = 100},
			  {.name = "joblib, arrays as files",
			   .measure = bench_peer_ask,
			   .arg = &mapped}},
		.extra = copied,
	};

	bench_run(&c);
	bench_peer_close(parallel);
}

static void run_pages(plan *p, bench_peer *python)
{
	bench_question q = {.peer = python, .name = "big_pages", .count = 1};
	bench_case c = {
		.name = "64 MB there and back, all pages",
		.n = SIZE,
		.threads = WORKERS,
		.rounds = 9,
		.tine = {.measure = measure_pages, .arg = p},
		.peers = {{"multiprocessing.Pool", bench_peer_ask, &q, .goal = 100}},
	};

	bench_run(&c);
}

static void run_all(plan *p)
{
	bench_peer *python = bench_python_open("mp_peer.py");
	bench_peer *loky = bench_python_open("joblib_peer.py");
	char copied[64];

	snprintf(copied, sizeof(copied), "\"copied\": %ld", count_copied(p));
	run(p, python, loky, copied);
	run_pages(p, python);
	bench_peer_close(loky);
	bench_peer_close(python);
}

int main(void)
{
	plan p = {.in = tine_shared_alloc(.size = SIZE), .out = tine_shared_alloc(.size = SIZE)};

	bench_begin();
	p.pool = tine_pool_open(.workers = WORKERS);
	if (p.in && p.out && p.pool) {
		for (size_t i = 0; i < SIZE / sizeof(*p.in); i++)
			p.in[i] = i;
		memset(p.out, 0, SIZE);
		run_all(&p);
	} else {
		bench_check(false, "64 MB: %s", tine_last_error());
	}
	bench_check(tine_pool_close(p.pool, 10) == 0, "close: %s", tine_last_error());
	tine_shared_free(p.in);
	tine_shared_free(p.out);
	return bench_end();
}
