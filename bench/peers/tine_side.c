/* SPDX-License-Identifier: MIT */
/*
 * Tine's own side: a program as the peers are, so that nothing but the runtime differs.
 */
#include <stdio.h>
#include <stdlib.h>

#include <tine.h>

#include "serve.h"

/* Nothing that Tine refuses here is part of a measurement. */
static void need(int code)
{
	if (!code)
		return;
	printf("{\"error\": \"%.150s\"}\n", tine_last_error());
	exit(1);
}

/* ---- regions */

static void touch(size_t begin, size_t end, void *context)
{
	(void)end;
	(void)context;
	work_touch((int)begin);
}

static void region(void)
{
	need(tine_for(0, (size_t)work_threads, touch, NULL, .grain = 1,
		      .schedule = TINE_SCHEDULE_STATIC, .threads = work_threads));
}

static void meet(size_t begin, size_t end, void *context)
{
	(void)begin;
	(void)end;
	(void)context;
	work_meet();
}

static void meeting(void)
{
	need(tine_for(0, (size_t)work_threads, meet, NULL, .grain = 1,
		      .schedule = TINE_SCHEDULE_STATIC, .threads = work_threads));
}

/* ---- loops */

static void write_items(size_t begin, size_t end, void *context)
{
	for (size_t i = begin; i < end; i++)
		work_write(context, (long)i);
}

static void write_auto(uint32_t *out, long n)
{
	need(tine_for(0, (size_t)n, write_items, out, .threads = work_threads));
}

static void write_one(uint32_t *out, long n)
{
	need(tine_for(0, (size_t)n, write_items, out, .grain = 1, .schedule = TINE_SCHEDULE_DYNAMIC,
		      .threads = work_threads));
}

static void do_items(size_t begin, size_t end, void *context)
{
	for (size_t i = begin; i < end; i++)
		work_item(context, (long)i);
}

static void loop_auto(const work_loop *loop)
{
	need(tine_for(0, (size_t)loop->n, do_items, (void *)loop, .threads = work_threads));
}

static void loop_dynamic(const work_loop *loop)
{
	need(tine_for(0, (size_t)loop->n, do_items, (void *)loop, .grain = 1,
		      .schedule = TINE_SCHEDULE_DYNAMIC, .threads = work_threads));
}

static void sum_items(size_t begin, size_t end, void *context, void *partial)
{
	*(double *)partial += work_sum(context, (long)begin, (long)end);
}

static void add(void *into, const void *from, void *context)
{
	(void)context;
	*(double *)into += *(const double *)from;
}

static double sum(const double *x, long n)
{
	double total = 0;

	need(tine_reduce(0, (size_t)n, sum_items, add, (void *)x, &total, sizeof(total),
			 .threads = work_threads));
	return total;
}

/* ---- tasks */

typedef struct many {
	uint32_t *out;
	long n;
} many;

static uint32_t *first; /* of the items that are written */

static void write_item(void *item)
{
	work_write(first, (uint32_t *)item - first);
}

static void submit(uint32_t *out, long n)
{
	tine_group group = {0};

	first = out;
	for (long i = 0; i < n; i++)
		need(tine_spawn(&group, write_item, &out[i]));
	need(tine_group_wait(&group));
}

static void submit_many(void *arg)
{
	const many *m = arg;

	submit(m->out, m->n);
}

static void tasks(uint32_t *out, long n)
{
	many m = {out, n};
	tine_group group = {0};

	need(tine_spawn(&group, submit_many, &m));
	need(tine_group_wait(&group));
}

typedef struct call {
	int n;
	long result;
} call;

static void fib_task(void *arg)
{
	call *c = arg, left, right;
	tine_group group = {0};

	if (c->n < 2) {
		c->result = c->n;
		return;
	}
	left = (call){.n = c->n - 1};
	right = (call){.n = c->n - 2};
	need(tine_spawn(&group, fib_task, &left));
	fib_task(&right);
	need(tine_group_wait(&group));
	c->result = left.result + right.result;
}

static long fib(int n)
{
	call c = {.n = n};

	fib_task(&c);
	return c.result;
}

/* ---- futures */

static tine_pool *pool;

static int write_future(const void *arg, void *result)
{
	(void)result;
	write_item(*(uint32_t *const *)arg);
	return 0;
}

static void futures(uint32_t *out, long n)
{
	static tine_future **pending;
	static long made;

	if (!pool)
		pool = tine_pool_open(.kind = TINE_THREADS, .workers = work_threads);
	need(pool ? 0 : tine_last_code());
	if (made != n) {
		free(pending);
		made = n;
		pending = calloc((size_t)n, sizeof(*pending));
		need(pending ? 0 : TINE_ENOMEM);
	}
	first = out;
	for (long i = 0; i < n; i++) {
		uint32_t *item = &out[i];

		pending[i] = tine_submit(pool, write_future, &item, sizeof(item));
		need(pending[i] ? 0 : tine_last_code());
	}
	for (long i = 0; i < n; i++) {
		need(tine_future_get(pending[i], NULL, TINE_FOREVER));
		tine_future_free(pending[i]);
	}
}

int main(int count, char **words)
{
	static const work_case cases[] = {
		{"region", work_regions, .region = region},
		{"meeting", work_meetings, .region = meeting},
		{"late_meeting", work_late_meetings, .region = meeting},
		{"write_static", work_writes, .write = write_auto},
		{"write_one", work_writes, .write = write_one},
		{"tasks", work_writes, .write = tasks},
		{"submit", work_writes, .write = submit},
		{"futures", work_writes, .write = futures},
		{"triangle_auto", work_triangle, .loop = loop_auto},
		{"triangle_dynamic", work_triangle, .loop = loop_dynamic},
		{"tail_auto", work_tail, .loop = loop_auto},
		{"tail_dynamic", work_tail, .loop = loop_dynamic},
		{"fib", work_fibs, .fib = fib},
		{"sum", work_sums, .sum = sum},
		{.name = NULL},
	};

	serve_begin(count, words);
	need(tine_set_num_threads(work_threads));
	serve(&(serve_program){.cases = cases});
	tine_pool_close(pool, 10);
	return 0;
}
