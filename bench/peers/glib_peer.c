/* SPDX-License-Identifier: MIT */
/*
 * GLib: a pool of threads of its own, GThreadPool.
 */
#include <glib.h>

#include "serve.h"

static GThreadPool *pool;
static uint32_t *target;
static GMutex lock;
static GCond none_left;
static gint left;

static void write_item(gpointer item, gpointer context)
{
	(void)context;
	work_write(target, GPOINTER_TO_SIZE(item) - 1); /* no item is NULL */
	if (!g_atomic_int_dec_and_test(&left))
		return;
	g_mutex_lock(&lock);
	g_cond_signal(&none_left);
	g_mutex_unlock(&lock);
}

static void submit(uint32_t *out, long n)
{
	target = out;
	g_atomic_int_set(&left, (gint)n);
	for (long i = 0; i < n; i++)
		g_thread_pool_push(pool, GSIZE_TO_POINTER(i + 1), NULL);
	g_mutex_lock(&lock);
	while (g_atomic_int_get(&left) > 0)
		g_cond_wait(&none_left, &lock);
	g_mutex_unlock(&lock);
}

int main(int count, char **words)
{
	static const work_case cases[] = {
		{"submit", work_writes, .write = submit},
		{.name = NULL},
	};

	serve_begin(count, words);
	pool = g_thread_pool_new(write_item, NULL, work_threads, TRUE, NULL);
	serve(&(serve_program){.cases = cases});
	return 0;
}
