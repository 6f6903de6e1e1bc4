/* SPDX-License-Identifier: MIT */
/* Wrong arguments: a code and a line of text each, nothing changes and nothing leaks. */
#include "scenario.h"

#include <limits.h>
#include <math.h>
#include <string.h>

static int add_one(const void *arg, void *result)
{
	if (!arg || !result)
		return 77;
	*(int *)result = *(const int *)arg + 1;
	return 0;
}

static int wants_null(const void *arg, void *result)
{
	return arg || result ? 78 : 0;
}

static void still_works(tine_pool *pool)
{
	int in[3] = {1, 2, 3}, out[3] = {0};

	NEED(0, tine_map(pool, add_one, in, 3, sizeof(*in), out, .result_size = sizeof(*out)));
	kit_expect(out[0] == 2 && out[1] == 3 && out[2] == 4);
}

static int null_and_unknown_in_open(void *kind)
{
	tine_pool_open_args none = {0};
	struct {
		tine_pool_open_args known;
		int unknown[4];
	} newer = {.known = {.struct_size = sizeof(newer), .workers = 1, .kind = KIND(kind)}};

	NEED_NULL(TINE_EINVAL, tine_pool_open_with(NULL));
	NEED_NULL(TINE_EINVAL, tine_pool_open_with(&none));
	newer.unknown[3] = 1;
	NEED_NULL(TINE_EVERSION, tine_pool_open_with(&newer.known));
	newer.unknown[3] = 0;
	tine_pool *pool = NEED_NEW(tine_pool_open_with(&newer.known));
	still_works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int numbers_in_open(void *arg)
{
	const tine_pool_kind k = KIND(arg);

	NEED_NULL(TINE_EINVAL, tine_pool_open(.kind = k, .timeout = NAN));
	NEED_NULL(TINE_EINVAL, tine_pool_open(.kind = k, .retries = -1));
	NEED_NULL(TINE_EINVAL, tine_pool_open(.kind = k, .retries = INT_MAX));
	NEED_NULL(TINE_EINVAL, tine_pool_open(.kind = k, .retry_on = 0x80));
	NEED_NULL(TINE_EINVAL, tine_pool_open(.kind = k, .threads_per_worker = -1));
	NEED_NULL(TINE_EINVAL, tine_pool_open(.kind = k, .pin = (tine_pin)9));
	NEED_NULL(TINE_EINVAL, tine_pool_open(.kind = k, .workers = INT_MAX));
	NEED_NULL(TINE_EINVAL, tine_pool_open(.kind = (tine_pool_kind)77));
	NEED_NULL(TINE_EINVAL, tine_pool_open(.kind = TINE_PROCESSES, .cpu_limit = NAN));
	NEED_NULL(TINE_EINVAL, tine_pool_open(.kind = k, .start = (tine_start)5));
	NEED_NULL(TINE_EUNSUPPORTED, tine_pool_open(.kind = TINE_MPI));
	NEED_NULL(TINE_EUNSUPPORTED, tine_pool_open(.kind = k, .start = TINE_EXEC));
	return 0;
}

static int host_kinds_refuse_limits(void *arg)
{
	const tine_pool_kind k = KIND(arg);

	NEED_NULL(TINE_EUNSUPPORTED, tine_pool_open(.kind = k, .memory_limit = 1 << 20));
	NEED_NULL(TINE_EUNSUPPORTED, tine_pool_open(.kind = k, .cpu_limit = 1));
	return 0;
}

static int wrong_maps(void *kind)
{
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .kind = KIND(kind)));
	int in[4] = {0}, out[4], codes[4];
	tine_map_args none = {0};
	size_t before = heap_in_use();

	NEED(TINE_EINVAL, tine_map_with(NULL));
	NEED(TINE_EINVAL, tine_map_with(&none));
	NEED(TINE_EINVAL, tine_map(pool, NULL, in, 4, 4, out, .result_size = 4));
	NEED(TINE_EINVAL, tine_map(pool, add_one, NULL, 4, 4, out, .result_size = 4));
	NEED(TINE_EINVAL, tine_map(pool, add_one, in, 4, 4, NULL, .result_size = 4));
	NEED(TINE_EINVAL, tine_map(pool, add_one, in, SIZE_MAX, 4, out, .result_size = 4));
	NEED(TINE_EINVAL, tine_map(pool, add_one, in, SIZE_MAX / 2, 4, out, .result_size = 4));
	NEED(TINE_EINVAL, tine_map(pool, add_one, in, 4, SIZE_MAX, out, .result_size = 4));
	NEED(TINE_EINVAL, tine_map(pool, add_one, in, 4, 4, out, .result_size = SIZE_MAX));
	NEED(TINE_EINVAL, tine_map(pool, add_one, in, 4, 4, out, .result_size = SIZE_MAX / 2));
	NEED(TINE_EINVAL, tine_map(pool, add_one, in, 4, 4, out, .result_size = 4, .timeout = NAN));
	NEED(TINE_EINVAL,
	     tine_map(pool, add_one, in, 4, 4, out, .result_size = 4, .deadline = NAN));
	NEED(TINE_EINVAL, tine_map(pool, add_one, in, 4, 4, out, .result_size = 4, .retries = -2));
	NEED(TINE_EINVAL,
	     tine_map(pool, add_one, in, 4, 4, out, .result_size = 4, .retries = INT_MAX));
	NEED(TINE_EINVAL, tine_map(pool, add_one, in, 4, 4, out, .result_size = 4,
				   .on_error = (tine_on_error)7));
	NEED(TINE_EINVAL,
	     tine_map(pool, add_one, in, 4, 4, out, .result_size = 4, .max_failures = 3));
	/* more than any memory: a code, and no attempt to do it */
	int rc = tine_map(pool, wants_null, NULL, SIZE_MAX, 0, NULL, .statuses = codes);
	kit_expect(rc == TINE_EINVAL || rc == TINE_ENOMEM);
	rc = tine_map(pool, wants_null, NULL, SIZE_MAX / 8, 0, NULL, .chunk = 1);
	kit_expect(rc == TINE_EINVAL || rc == TINE_ENOMEM);
	kit_expect(heap_in_use() == before);
	still_works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static void never_called(tine_future *future, void *context)
{
	(void)future;
	(void)context;
}

static int wrong_submits(void *kind)
{
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .kind = KIND(kind)));
	int in = 0;
	tine_submit_args none = {0};
	tine_future *after = NULL;
	size_t before = heap_in_use();

	NEED_NULL(TINE_EINVAL, tine_submit_with(NULL));
	NEED_NULL(TINE_EINVAL, tine_submit_with(&none));
	NEED_NULL(TINE_EINVAL, tine_submit(pool, NULL, &in, 4, .result_size = 4));
	NEED_NULL(TINE_EINVAL, tine_submit(pool, add_one, NULL, 4, .result_size = 4));
	NEED_NULL(TINE_EINVAL, tine_submit(pool, add_one, &in, 4, .timeout = NAN));
	NEED_NULL(TINE_EINVAL, tine_submit(pool, add_one, &in, 4, .retries = -2));
	NEED_NULL(TINE_EINVAL, tine_submit(pool, add_one, &in, SIZE_MAX, .result_size = 4));
	NEED_NULL(TINE_EINVAL, tine_submit(pool, add_one, &in, 4, .result_size = SIZE_MAX));
	NEED_NULL(TINE_EUNSUPPORTED, tine_submit(pool, add_one, &in, 4, .priority = 1));
	NEED_NULL(TINE_EUNSUPPORTED, tine_submit(pool, add_one, &in, 4, .on_done = never_called));
	NEED_NULL(TINE_EUNSUPPORTED,
		  tine_submit(pool, add_one, &in, 4, .after = &after, .after_count = 1));
	kit_expect(heap_in_use() == before);
	still_works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int wrong_futures(void *kind)
{
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .kind = KIND(kind)));
	int in = 1, out = 0;
	tine_future *f =
		NEED_NEW(tine_submit(pool, add_one, &in, sizeof(in), .result_size = sizeof(out)));
	tine_future *list[2] = {f, NULL};

	NEED(TINE_EINVAL, tine_future_get(NULL, &out, 0));
	NEED(TINE_EINVAL, tine_future_get(f, &out, NAN));
	NEED(TINE_EINVAL, tine_future_wait(NULL, 0));
	NEED(TINE_EINVAL, tine_future_wait(f, NAN));
	NEED(TINE_EINVAL, tine_future_cancel(NULL, 0));
	NEED(TINE_EINVAL, tine_future_cancel(f, NAN));
	NEED(TINE_EINVAL, tine_future_status(NULL));
	NEED_NULL(TINE_EINVAL, tine_future_failure(NULL));
	tine_future_free(NULL);
	NEED(TINE_EINVAL, tine_wait(NULL, 1, TINE_ALL, NULL, 0));
	NEED(TINE_EINVAL, tine_wait(list, 2, TINE_ALL, NULL, 0));
	NEED(TINE_EINVAL, tine_wait(list, 1, (tine_wait_mode)99, NULL, 0));
	NEED(TINE_EINVAL, tine_wait(list, 1, TINE_ALL, NULL, NAN));
	NEED(0, tine_wait(NULL, 0, TINE_ALL, NULL, 0));
	NEED(0, tine_future_get(f, &out, TINE_FOREVER));
	kit_expect(out == 2);
	tine_future_free(f);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int wrong_pools(void *kind)
{
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .kind = KIND(kind)));
	struct {
		tine_pool_figures known;
		int unknown[4];
	} figures = {.known = {.struct_size = 0}};

	NEED(0, tine_pool_close(NULL, TINE_FOREVER));
	NEED(0, tine_pool_terminate(NULL));
	NEED(TINE_EINVAL, tine_pool_workers(NULL));
	NEED(TINE_EINVAL, tine_pool_stats(NULL, &figures.known));
	NEED(TINE_EINVAL, tine_pool_stats(pool, NULL));
	NEED(TINE_EINVAL, tine_pool_stats(pool, &figures.known));
	NEED(TINE_EINVAL, tine_pool_close(pool, NAN));
	still_works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* An older program's shorter figures are filled as far as they go. */
static int shorter_figures(void *kind)
{
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .kind = KIND(kind)));
	tine_pool_figures figures;

	still_works(pool);
	memset(&figures, 0x55, sizeof(figures));
	figures.struct_size = offsetof(tine_pool_figures, crashed);
	NEED(0, tine_pool_stats(pool, &figures));
	kit_expect(figures.items == 3 && figures.failed == 0);
	kit_expect(figures.crashed == 0x5555555555555555ull);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int nothing_to_do(void *kind)
{
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .kind = KIND(kind)));
	size_t failed = 9;
	int code = 9, out = 9;

	NEED(0, tine_map(pool, add_one, NULL, 0, 4, NULL, .result_size = 4));
	NEED(0, tine_map(pool, add_one, &code, 0, SIZE_MAX, &out, .result_size = SIZE_MAX,
			 .statuses = &code, .failure_count = &failed));
	kit_expect(failed == 0 && code == 9 && out == 9);
	NEED(TINE_EINVAL, tine_map(pool, NULL, NULL, 0, 4, NULL, .result_size = 4));
	NEED(0, tine_map(pool, wants_null, NULL, 5, 0, NULL, .chunk = 2));
	NEED(0, tine_map(pool, wants_null, &code, 5, 0, &out, .chunk = 2));
	tine_future *f = NEED_NEW(tine_submit(pool, wants_null, NULL, 0, .result_size = 0));
	NEED(0, tine_future_get(f, NULL, TINE_FOREVER));
	NEED(0, tine_future_get(f, &out, TINE_FOREVER));
	kit_expect(out == 9);
	tine_future_free(f);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int is_context(const void *arg, void *result)
{
	*(bool *)result = tine_task_context() == *(void *const *)arg;
	return 0;
}

static int private_context(void *kind)
{
	int here = 0;
	void *p = &here;
	bool in_host = IN_HOST(KIND(kind)), same = false;

	if (!in_host)
		NEED_NULL(TINE_EINVAL, tine_pool_open(.workers = 1, .context = &here));
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1, .kind = KIND(kind)));
	NEED(in_host ? 0 : TINE_EINVAL, tine_map(pool, is_context, &p, 1, sizeof(p), &same,
						 .result_size = 1, .context = &here));
	kit_expect(same == in_host);
	if (!in_host)
		NEED_NULL(TINE_EINVAL,
			  tine_submit(pool, is_context, &p, sizeof(p), .context = &here));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int any_number_of_workers(void *arg)
{
	static const struct {
		int workers, least, most;
	} rows[] = {{1, 1, 1},     {3, 3, 3},       {0, 1, 4096},   {-1, 1, 4096},
		    {-2, 1, 4096}, {-100000, 1, 1}, {INT_MIN, 1, 1}};

	(void)arg;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		tine_pool *pool = NEED_NEW(tine_pool_open(.workers = rows[i].workers));
		int n = tine_pool_workers(pool);

		kit_expect(n >= rows[i].least && n <= rows[i].most);
		if (rows[i].workers == 0 || rows[i].workers == -1)
			kit_expect(n == tine_cpu_count());
		still_works(pool);
		NEED(0, tine_pool_close(pool, TINE_FOREVER));
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO_EACH(null_and_unknown_in_open),
		SCENARIO_EACH(numbers_in_open),
		SCENARIO_SERIAL(host_kinds_refuse_limits),
		SCENARIO_THREADS(host_kinds_refuse_limits),
		SCENARIO_EACH(wrong_maps),
		SCENARIO_EACH(wrong_submits),
		SCENARIO_EACH(wrong_futures),
		SCENARIO_EACH(wrong_pools),
		SCENARIO_EACH(shorter_figures),
		SCENARIO_EACH(nothing_to_do),
		SCENARIO_EACH(private_context),
		SCENARIO(any_number_of_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
