/* SPDX-License-Identifier: MIT */
/* A thousand items that all kill their workers: a thousand stories in order, and the pool lives. */
#include "scenario.h"

enum { N = 1000 };

static int *volatile nowhere;

static int dies(const void *arg, void *result)
{
	memset(result, 0xa5, sizeof(int));
	switch (*(const int *)arg % 4) {
	case 0:
		*nowhere = 1;
		break;
	case 1:
		raise(SIGKILL);
		break;
	case 2:
		exit(*(const int *)arg % 100);
	default:
		abort();
	}
	return 0;
}

static void check(const tine_failure *f, int i)
{
	static const char *const words[] = {"SIGSEGV at address 0x0", "SIGKILL", "exit(",
					    "SIGABRT"};
	char item[32];

	snprintf(item, sizeof(item), "item %d:", i);
	kit_expect(f->index == (size_t)i && f->code == (i % 4 == 2 ? TINE_EEXITED : TINE_ECRASHED));
	kit_expect(strstr(f->text, item) && strstr(f->text, words[i % 4]));
	kit_expect(f->attempts == 1 && f->pid > 0 && f->worker >= 0 && f->worker < 2);
}

static int thousand_stories(void *chunk)
{
	static int in[N], out[N], codes[N];
	static tine_failure f[N];
	size_t failed = 0;
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2));
	size_t before = heap_in_use();

	for (int i = 0; i < N; i++)
		in[i] = i;
	NEED(TINE_EITEMS, tine_map(pool, dies, in, N, sizeof(*in), out, .result_size = sizeof(*out),
				   .statuses = codes, .failures = f, .max_failures = N,
				   .failure_count = &failed, .chunk = (size_t)NUMBER(chunk)));
	kit_expect(failed == N && strstr(tine_last_error(), "1000 of 1000"));
	for (int i = 0; i < N; i++) {
		kit_expect(out[i] == 0 && codes[i] == f[i].code);
		check(&f[i], i);
	}
	works(pool);
	kit_expect(heap_settles(before));
	tine_pool_figures figures = pool_figures(pool);
	kit_expect(figures.crashed == N && figures.failed == N);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int thousand_futures(void *arg)
{
	static tine_future *list[N];
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2));

	(void)arg;
	for (int i = 0; i < N; i++)
		list[i] =
			NEED_NEW(tine_submit(pool, dies, &i, sizeof(i), .result_size = sizeof(i)));
	for (int i = 0; i < N; i++) {
		int out = 1;

		NEED(i % 4 == 2 ? TINE_EEXITED : TINE_ECRASHED,
		     tine_future_get(list[i], &out, TINE_FOREVER));
		kit_expect(out == 0 &&
			   tine_future_failure(list[i])->code == tine_future_status(list[i]));
		tine_future_free(list[i]);
	}
	works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO_WITH(thousand_stories, 0),
		SCENARIO_WITH(thousand_stories, 100),
		SCENARIO(thousand_futures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
