/* SPDX-License-Identifier: MIT */
/*
 * libuv: uv_queue_work() with requests that the caller owns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "serve.h"

typedef struct request {
	uv_work_t work;
	uint32_t *out;
	long i;
} request;

static void write_item(uv_work_t *work)
{
	request *r = work->data;

	work_write(r->out, r->i);
}

static void after(uv_work_t *work, int status)
{
	(void)work;
	(void)status;
}

static void submit(uint32_t *out, long n)
{
	static request *requests;
	static long made;

	if (made != n) {
		free(requests);
		made = n;
		requests = calloc((size_t)n, sizeof(*requests));
		if (!requests)
			exit(1);
	}
	for (long i = 0; i < n; i++) {
		requests[i] = (request){.work.data = &requests[i], .out = out, .i = i};
		uv_queue_work(uv_default_loop(), &requests[i].work, write_item, after);
	}
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

int main(int count, char **words)
{
	static const work_case cases[] = {
		{"submit", work_writes, .write = submit},
		{.name = NULL},
	};
	char threads[16];

	serve_begin(count, words);
	snprintf(threads, sizeof(threads), "%d", work_threads);
	setenv("UV_THREADPOOL_SIZE", threads, 1);
	serve(&(serve_program){.cases = cases});
	return 0;
}
