/* SPDX-License-Identifier: MIT */
/*
 * oneTBB: the caller is one of the threads, but for what is submitted from outside.
 */
#include <atomic>
#include <functional>

#include <oneapi/tbb.h>

#include "serve.h"

using range = tbb::blocked_range<long>;

static tbb::task_arena *outside; /* the host thread is not in it */

/* ---- regions */

static void region()
{
	tbb::parallel_for(
		0, work_threads, [](int i) { work_touch(i); }, tbb::static_partitioner());
}

static void meeting()
{
	tbb::parallel_for(
		0, work_threads, [](int) { work_meet(); }, tbb::static_partitioner());
}

/* ---- loops */

template <class Partitioner, class Body>
static void for_each(long n, const Partitioner &partitioner, const Body &body)
{
	tbb::parallel_for(
		range(0, n, 1),
		[&](const range &r) {
			for (long i = r.begin(); i < r.end(); i++)
				body(i);
		},
		partitioner);
}

static void write_static(uint32_t *out, long n)
{
	for_each(n, tbb::static_partitioner(), [=](long i) { work_write(out, i); });
}

static void write_one(uint32_t *out, long n)
{
	for_each(n, tbb::simple_partitioner(), [=](long i) { work_write(out, i); });
}

static void loop_auto(const work_loop *loop)
{
	for_each(loop->n, tbb::auto_partitioner(), [=](long i) { work_item(loop, i); });
}

static double sum(const double *x, long n)
{
	return tbb::parallel_reduce(
		range(0, n, 10000), 0.0,
		[=](const range &r, double so_far) {
			return so_far + work_sum(x, r.begin(), r.end());
		},
		std::plus<double>());
}

/* ---- tasks */

static void tasks(uint32_t *out, long n)
{
	tbb::task_group group;

	for (long i = 0; i < n; i++)
		group.run([=] { work_write(out, i); });
	group.wait();
}

static void submit(uint32_t *out, long n)
{
	std::atomic<long> left{n};

	for (long i = 0; i < n; i++)
		outside->enqueue([out, i, &left] {
			work_write(out, i);
			if (left.fetch_sub(1) == 1)
				left.notify_one();
		});
	for (long now = left; now != 0; now = left)
		left.wait(now);
}

static long fib(int n)
{
	long left, right;
	tbb::task_group group;

	if (n < 2)
		return n;
	group.run([&left, n] { left = fib(n - 1); });
	right = fib(n - 2);
	group.wait();
	return left + right;
}

int main(int count, char **words)
{
	static const work_case cases[] = {
		{.name = "region", .measure = work_regions, .region = region},
		{.name = "meeting", .measure = work_meetings, .region = meeting},
		{.name = "late_meeting", .measure = work_late_meetings, .region = meeting},
		{.name = "write_static", .measure = work_writes, .write = write_static},
		{.name = "write_one", .measure = work_writes, .write = write_one},
		{.name = "tasks", .measure = work_writes, .write = tasks},
		{.name = "submit", .measure = work_writes, .write = submit},
		{.name = "triangle_auto", .measure = work_triangle, .loop = loop_auto},
		{.name = "tail_auto", .measure = work_tail, .loop = loop_auto},
		{.name = "fib", .measure = work_fibs, .fib = fib},
		{.name = "sum", .measure = work_sums, .sum = sum},
		{},
	};
	serve_program program = {};

	serve_begin(count, words);
	program.cases = cases;
	tbb::global_control most(tbb::global_control::max_allowed_parallelism,
				 static_cast<size_t>(work_threads) + 1);
	tbb::task_arena inside(work_threads), others(work_threads, 0);
	outside = &others;
	inside.execute([&] { serve(&program); });
	return 0;
}
