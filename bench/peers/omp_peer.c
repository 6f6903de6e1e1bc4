/* SPDX-License-Identifier: MIT */
/*
 * OpenMP: libgomp where gcc compiles it, LLVM's libomp where clang does.
 */
#include <omp.h>

#include "serve.h"

/* ---- regions */

static void region(void)
{
#pragma omp parallel
	work_touch(omp_get_thread_num());
}

static void meeting(void)
{
#pragma omp parallel
	work_meet();
}

/* ---- loops */

static void write_static(uint32_t *out, long n)
{
#pragma omp parallel for schedule(static)
	for (long i = 0; i < n; i++)
		work_write(out, i);
}

static void write_one(uint32_t *out, long n)
{
#pragma omp parallel for schedule(dynamic, 1)
	for (long i = 0; i < n; i++)
		work_write(out, i);
}

static void loop_static(const work_loop *loop)
{
#pragma omp parallel for schedule(static)
	for (long i = 0; i < loop->n; i++)
		work_item(loop, i);
}

static void loop_dynamic(const work_loop *loop)
{
#pragma omp parallel for schedule(dynamic, 1)
	for (long i = 0; i < loop->n; i++)
		work_item(loop, i);
}

static void loop_guided(const work_loop *loop)
{
#pragma omp parallel for schedule(guided)
	for (long i = 0; i < loop->n; i++)
		work_item(loop, i);
}

static double sum(const double *x, long n)
{
	double total = 0;

#pragma omp parallel reduction(+ : total)
	{
		long threads = omp_get_num_threads(), number = omp_get_thread_num();

		total += work_sum(x, n * number / threads, n * (number + 1) / threads);
	}
	return total;
}

/* ---- tasks */

static void tasks(uint32_t *out, long n)
{
#pragma omp parallel
#pragma omp single
	{
		for (long i = 0; i < n; i++) {
#pragma omp task firstprivate(i)
			work_write(out, i);
		}
#pragma omp taskwait
	}
}

static long fib(int n)
{
	long left, right;

	if (n < 2)
		return n;
#pragma omp task shared(left) firstprivate(n)
	left = fib(n - 1);
	right = fib(n - 2);
#pragma omp taskwait
	return left + right;
}

static long fib_in_region(int n)
{
	long result = 0;

#pragma omp parallel
#pragma omp single
	result = fib(n);
	return result;
}

int main(int count, char **words)
{
	static const work_case cases[] = {
		{"region", work_regions, .region = region},
		{"meeting", work_meetings, .region = meeting},
		{"late_meeting", work_late_meetings, .region = meeting},
		{"write_static", work_writes, .write = write_static},
		{"write_one", work_writes, .write = write_one},
		{"tasks", work_writes, .write = tasks},
		{"triangle_static", work_triangle, .loop = loop_static},
		{"triangle_dynamic", work_triangle, .loop = loop_dynamic},
		{"triangle_guided", work_triangle, .loop = loop_guided},
		{"tail_static", work_tail, .loop = loop_static},
		{"tail_dynamic", work_tail, .loop = loop_dynamic},
		{"tail_guided", work_tail, .loop = loop_guided},
		{"fib", work_fibs, .fib = fib_in_region},
		{"sum", work_sums, .sum = sum},
		{.name = NULL},
	};

	serve_begin(count, words);
	omp_set_dynamic(0);
	omp_set_num_threads(work_threads);
	serve(&(serve_program){.cases = cases});
	return 0;
}
