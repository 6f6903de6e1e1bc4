/* SPDX-License-Identifier: MIT */
/*
 * StarPU: tasks without data, on CPUs only.
 */
#include <starpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serve.h"

static uint32_t *target;

static void write_item(void **buffers, void *argument)
{
	(void)buffers;
	work_write(target, (long)argument);
}

static struct starpu_codelet codelet = {.cpu_funcs = {write_item}, .name = "write"};

static void submit(uint32_t *out, long n)
{
	target = out;
	for (long i = 0; i < n; i++) {
		struct starpu_task *task = starpu_task_create();

		task->cl = &codelet;
		task->cl_arg = (void *)i;
		if (starpu_task_submit(task))
			exit(1);
	}
	starpu_task_wait_for_all();
}

/* It writes files: beside this program and not into the user's home. */
static void choose_folder(void)
{
	char path[512];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (length < 0)
		return;
	path[length] = '\0';
	*strrchr(path, '/') = '\0';
	setenv("STARPU_HOME", path, 1);
}

int main(int count, char **words)
{
	static const work_case cases[] = {
		{"submit", work_writes, .write = submit},
		{.name = NULL},
	};
	/* Its idle workers never sleep. */
	serve_program program = {.cases = cases, .wake = starpu_resume, .rest = starpu_pause};
	struct starpu_conf conf;

	serve_begin(count, words);
	choose_folder();
	setenv("STARPU_SILENT", "1", 1);
	starpu_conf_init(&conf);
	conf.ncpus = work_threads;
	conf.ncuda = conf.nopencl = 0;
	conf.sched_policy_name = "eager";
	if (starpu_init(&conf)) {
		printf("{\"error\": \"starpu_init() failed\"}\n");
		return 1;
	}
	starpu_pause();
	serve(&program);
	starpu_resume();
	starpu_shutdown();
	return 0;
}
