/* SPDX-License-Identifier: MIT */
/* Mistakes that are found before any worker sees them: functions and addresses that workers do not have. */
#include "scenario.h"

#include <dlfcn.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int add_one(const void *arg, void *result)
{
	*(int *)result = *(const int *)arg + 1;
	return 0;
}

/* tests/api/late.c, which lies in a folder beside this program. */
static tine_task *load_late(void)
{
	char self[4096] = "", path[5000];
	tine_task *task;

	kit_expect(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	snprintf(path, sizeof(path), "%s/api/liblate.so", dirname(self));
	void *module = dlopen(path, RTLD_NOW), *symbol = module ? dlsym(module, "late_task") : NULL;
	if (!symbol)
		fprintf(stderr, "%s\n", dlerror());
	kit_expect(symbol);
	memcpy(&task, &symbol, sizeof(task));
	return task;
}

static int late_module(void *kind)
{
	int in = 5, out = 0;
	bool in_host = IN_HOST(KIND(kind));
	tine_pool *before = NEED_NEW(tine_pool_open(.workers = 1, .kind = KIND(kind)));
	tine_task *task = load_late();
	tine_pool *after = NEED_NEW(tine_pool_open(.workers = 1, .kind = KIND(kind)));

	NEED(0, tine_map(after, task, &in, 1, sizeof(in), &out, .result_size = sizeof(out)));
	kit_expect(out == 5);
	NEED(in_host ? 0 : TINE_EINVAL,
	     tine_map(before, task, &in, 1, sizeof(in), &out, .result_size = sizeof(out)));
	if (!in_host)
		NEED_NULL(TINE_EINVAL,
			  tine_submit(before, task, &in, sizeof(in), .result_size = sizeof(out)));
	NEED(0, tine_map(before, add_one, &in, 1, sizeof(in), &out, .result_size = sizeof(out)));
	NEED(0, tine_pool_close(before, TINE_FOREVER));
	NEED(0, tine_pool_close(after, TINE_FOREVER));
	return 0;
}

typedef struct slice {
	double *data;
	size_t begin, end;
	char tail[3];
} slice;

static int sums(const void *arg, void *result)
{
	const slice *s = arg;
	double sum = 0;

	for (size_t i = s->begin; i < s->end; i++)
		sum += s->data[i];
	*(double *)result = sum;
	return 0;
}

static int private_pointers(void *kind)
{
	bool in_host = IN_HOST(KIND(kind));
	double *mine = calloc(100, sizeof(*mine)), on_stack[4] = {0}, sum;
	double *shared = NEED_NEW(tine_shared_alloc(100 * sizeof(*shared), .zero = true));
	slice good = {.data = shared, .begin = 0, .end = 100},
	      bad = {.data = mine, .begin = 0, .end = 4};
	slice worse = {.data = on_stack, .begin = 0, .end = 4};

	setenv("TINE_CHECK", "pointers", 1);
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .kind = KIND(kind)));
	NEED(0, tine_map(pool, sums, &good, 1, sizeof(good), &sum, .result_size = sizeof(sum)));
	NEED(in_host ? 0 : TINE_EINVAL,
	     tine_map(pool, sums, &bad, 1, sizeof(bad), &sum, .result_size = sizeof(sum)));
	kit_expect(in_host ||
		   (strstr(tine_last_error(), "item 0") && strstr(tine_last_error(), "byte 0")));
	NEED(in_host ? 0 : TINE_EINVAL,
	     tine_map(pool, sums, &worse, 1, sizeof(worse), &sum, .result_size = sizeof(sum)));
	if (!in_host)
		NEED_NULL(TINE_EINVAL,
			  tine_submit(pool, sums, &bad, sizeof(bad), .result_size = sizeof(sum)));
	unsetenv("TINE_CHECK");
	NEED(0, tine_map(pool, sums, &bad, 1, sizeof(bad), &sum,
			 .result_size = sizeof(sum))); /* zeros from before */
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO_EACH(late_module),
		SCENARIO_EACH(private_pointers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
