/* SPDX-License-Identifier: MIT */
/* tine_map(): every item once, whatever the shape; codes, stories and kept results when items fail or time runs out. */
#include "scenario.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GARBAGE = 0xa5 };

static tine_pool *open_pool(void *kind, int workers)
{
	return NEED_NEW(tine_pool_open(.workers = workers, .kind = KIND(kind)));
}

/* ---- shapes ---- */

typedef struct pair {
	uint32_t a;
	uint64_t b;
} pair;

static int combine(const void *arg, void *result)
{
	const pair *p = arg;

	*(uint64_t *)result = p->a * 3 + p->b + tine_task_index();
	return 0;
}

static void *buffer(bool shared, size_t size)
{
	return shared ? NEED_NEW(tine_shared_alloc(size)) : NEED_NEW(malloc(size));
}

static void drop(bool shared, void *p)
{
	if (shared)
		tine_shared_free(p);
	else
		free(p);
}

static void map_shape(tine_pool *pool, size_t count, size_t chunk, bool shared_in, bool shared_out)
{
	pair *in = buffer(shared_in, count * sizeof(*in));
	uint64_t *out = buffer(shared_out, count * sizeof(*out));
	int *codes = malloc(count * sizeof(*codes));
	size_t failed = 1;

	for (size_t i = 0; i < count; i++)
		in[i] = (pair){(uint32_t)i, i * i};
	memset(out, GARBAGE, count * sizeof(*out));
	memset(codes, GARBAGE, count * sizeof(*codes));
	NEED(0, tine_map(pool, combine, in, count, sizeof(*in), out, .result_size = sizeof(*out),
			 .chunk = chunk, .statuses = codes, .failure_count = &failed));
	kit_expect(failed == 0);
	for (size_t i = 0; i < count; i++)
		kit_expect(codes[i] == 0 && out[i] == (uint32_t)i * 3 + i * i + i);
	drop(shared_in, in);
	drop(shared_out, out);
	free(codes);
}

static int every_shape(void *kind)
{
	static const size_t counts[] = {1, 2, 3, 7, 100, 1001, 40000},
			    chunks[] = {0, 1, 7, 100, 1000000, SIZE_MAX};
	tine_pool *pool = open_pool(kind, 3);
	size_t before = heap_in_use();

	for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++)
		for (size_t k = 0; k < sizeof(chunks) / sizeof(*chunks); k++)
			for (int where = 0; where < 4; where++)
				map_shape(pool, counts[c], chunks[k], where & 1, where & 2);
	kit_expect(heap_settles(before));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int halve(const void *arg, void *result)
{
	*(double *)result = *(const double *)arg / 2;
	return 0;
}

static int in_place(void *kind)
{
	enum { N = 1000 };
	tine_pool *pool = open_pool(kind, 2);
	double *data = NEED_NEW(tine_shared_alloc(N * sizeof(*data)));

	for (int i = 0; i < N; i++)
		data[i] = i;
	NEED(0, tine_map(pool, halve, data, N, sizeof(*data), data, .result_size = sizeof(*data)));
	for (int i = 0; i < N; i++)
		kit_expect(data[i] == i / 2.0);
	tine_shared_free(data);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

typedef struct page {
	unsigned char bytes[1 << 20];
} page;

static int invert(const void *arg, void *result)
{
	for (size_t i = 0; i < sizeof(page); i++)
		((page *)result)->bytes[i] = (unsigned char)~((const page *)arg)->bytes[i];
	return 0;
}

static int large_items(void *kind)
{
	enum { N = 5 };
	tine_pool *pool = open_pool(kind, 2);
	page *in = malloc(N * sizeof(*in)), *out = malloc(N * sizeof(*out));

	memset(in, 0x3c, N * sizeof(*in));
	NEED(0, tine_map(pool, invert, in, N, sizeof(*in), out, .result_size = sizeof(*out)));
	for (int i = 0; i < N; i++)
		for (size_t k = 0; k < sizeof(page); k += 4095)
			kit_expect(out[i].bytes[k] == (unsigned char)~0x3c);
	free(in);
	free(out);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int default_pool(void *arg)
{
	double in[10], out[10];

	(void)arg;
	for (int i = 0; i < 10; i++)
		in[i] = i;
	for (int round = 0; round < 3; round++) {
		NEED(0,
		     tine_map(NULL, halve, in, 10, sizeof(*in), out, .result_size = sizeof(*out)));
		kit_expect(out[9] == 4.5);
	}
	tine_future *f = NEED_NEW(
		tine_submit(NULL, halve, &in[3], sizeof(*in), .result_size = sizeof(*out)));
	NEED(0, tine_future_get(f, out, TINE_FOREVER));
	kit_expect(out[0] == 1.5);
	tine_future_free(f);
	return 0; /* its processes end with the host: the runner looks for them */
}

/* ---- failures ---- */

static int fails_often(const void *arg, void *result)
{
	int i = *(const int *)arg;

	memset(result, GARBAGE, sizeof(int)); /* a failed item's bytes are zero all the same */
	if (i % 3 == 1)
		return i % 100 + 1;
	if (i % 50 == 12)
		return -123456;
	if (i % 50 == 6)
		return TINE_ESHAPE;
	if (i % 50 == 3)
		return tine_task_fail(7, "no row %d in the table", i);
	*(int *)result = i + 1;
	return 0;
}

static int code_of(int i)
{
	if (i % 3 == 1)
		return i % 100 + 1;
	return i % 50 == 12 ? TINE_ETASK : i % 50 == 6 ? TINE_ESHAPE : i % 50 == 3 ? 7 : 0;
}

static void check_failures(const tine_failure *f, size_t told, const int *codes, size_t count)
{
	size_t k = 0;
	char words[64];

	for (size_t i = 0; i < count && k < told; i++) {
		if (codes[i] == 0)
			continue;
		snprintf(words, sizeof(words), "item %zu", i);
		kit_expect(f[k].index == i && f[k].code == codes[i] && f[k].attempts == 1);
		kit_expect(strstr(f[k].text, words) && f[k].signal == 0 && f[k].worker >= 0 &&
			   f[k].pid > 0);
		if (i % 50 == 3 && i % 3 != 1)
			kit_expect(strstr(f[k].text, "no row"));
		k++;
	}
	kit_expect(k == told);
}

static void map_failing(tine_pool *pool, size_t chunk, size_t room, bool shared)
{
	enum { N = 2000 };
	int *in = malloc(N * sizeof(*in)), *out = buffer(shared, N * sizeof(*out)),
	    *codes = malloc(N * sizeof(*codes));
	tine_failure *failures = malloc((room + 1) * sizeof(*failures));
	size_t failed = 0, expected = 0;

	for (int i = 0; i < N; i++) {
		in[i] = i;
		expected += code_of(i) != 0;
	}
	memset(out, GARBAGE, N * sizeof(*out));
	memset(failures, GARBAGE, (room + 1) * sizeof(*failures));
	NEED(TINE_EITEMS,
	     tine_map(pool, fails_often, in, N, sizeof(*in), out, .result_size = sizeof(*out),
		      .chunk = chunk, .statuses = codes, .failures = failures, .max_failures = room,
		      .failure_count = &failed));
	kit_expect(strstr(tine_last_error(), "item 1"));
	for (int i = 0; i < N; i++)
		kit_expect(codes[i] == code_of(i) && out[i] == (codes[i] ? 0 : i + 1));
	kit_expect(failed == expected);
	check_failures(failures, room < failed ? room : failed, codes, N);
	kit_expect(*(unsigned char *)&failures[room] == GARBAGE || room > failed);
	free(in);
	drop(shared, out);
	free(codes);
	free(failures);
}

static int codes_and_stories(void *kind)
{
	static const size_t chunks[] = {0, 1, 7, 5000}, rooms[] = {0, 1, 5, 40, 3000};
	tine_pool *pool = open_pool(kind, 3);
	size_t before = heap_in_use();

	for (size_t c = 0; c < sizeof(chunks) / sizeof(*chunks); c++)
		for (size_t r = 0; r < sizeof(rooms) / sizeof(*rooms); r++)
			map_failing(pool, chunks[c], rooms[r], r % 2);
	kit_expect(heap_settles(before));
	kit_expect(pool_figures(pool).failed > 0);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- ends before the end ---- */

static _Atomic int *begun; /* shared */

static int counts_and_fails(const void *arg, void *result)
{
	int i = *(const int *)arg;

	atomic_fetch_add(begun, 1);
	nap(0.0005);
	*(int *)result = i + 1;
	return i == 10 ? 5 : 0;
}

static void numbers(int *in, int n)
{
	for (int i = 0; i < n; i++)
		in[i] = i;
}

static int stop_on_error(void *kind)
{
	enum { N = 5000 };
	static int in[N], out[N], codes[N];
	static tine_failure failures[N];
	size_t failed = 0, cancelled = 0;

	begun = NEED_NEW(tine_shared_alloc(sizeof(*begun), .zero = true));
	tine_pool *pool = open_pool(kind, 2);
	numbers(in, N);
	NEED(TINE_EITEMS,
	     tine_map(pool, counts_and_fails, in, N, sizeof(*in), out, .result_size = sizeof(*out),
		      .on_error = TINE_STOP, .chunk = 4, .statuses = codes, .failures = failures,
		      .max_failures = N, .failure_count = &failed));
	for (int i = 0; i < N; i++) {
		kit_expect(codes[i] == (i == 10 ? 5 : codes[i] ? TINE_ECANCELLED : 0));
		kit_expect(out[i] == (codes[i] ? 0 : i + 1));
		cancelled += codes[i] == TINE_ECANCELLED;
	}
	kit_expect(failed == cancelled + 1 && cancelled > N / 2);
	kit_expect(atomic_load(begun) == (int)(N - cancelled));
	for (size_t k = 0; k < failed; k++)
		kit_expect(codes[failures[k].index] == failures[k].code &&
			   (failures[k].code == 5 ||
			    (failures[k].attempts == 0 && failures[k].worker == -1)));
	kit_expect(strstr(tine_last_error(), "item"));
	NEED(0, tine_map(pool, counts_and_fails, in, 10, sizeof(*in), out,
			 .result_size = sizeof(*out)));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int takes_a_while(const void *arg, void *result)
{
	for (int k = 0; k < 5; k++) {
		nap(0.001);
		if (tine_task_cancelled())
			return TINE_ECANCELLED;
	}
	*(int *)result = *(const int *)arg + 1;
	return 0;
}

static int hangs(const void *arg, void *result)
{
	int i = *(const int *)arg;

	*(int *)result = i + 1;
	while (i % 5 == 4)
		pause();
	return 0;
}

static void check_ended(const int *codes, const int *out, int n, int code)
{
	int kept = 0, ended = 0;

	for (int i = 0; i < n; i++) {
		kit_expect(codes[i] == 0 || codes[i] == code || codes[i] == TINE_ECANCELLED);
		kit_expect(out[i] == (codes[i] ? 0 : i + 1));
		kept += codes[i] == 0;
		ended += codes[i] != 0;
	}
	kit_expect(kept > 0 && ended > 0);
}

static int deadline(void *kind)
{
	enum { N = 2000 };
	static int in[N], out[N], codes[N];
	tine_pool *pool = open_pool(kind, 2);
	double begin = now();

	numbers(in, N);
	NEED(TINE_EDEADLINE,
	     tine_map(pool, takes_a_while, in, N, sizeof(*in), out, .result_size = sizeof(*out),
		      .deadline = 0.1, .statuses = codes));
	kit_expect(now() - begin >= 0.1 && now() - begin < 2);
	check_ended(codes, out, N, TINE_EDEADLINE);
	NEED(0, tine_map(pool, takes_a_while, in, 3, sizeof(*in), out, .result_size = sizeof(*out),
			 .deadline = 10));
	NEED(0, tine_map(pool, takes_a_while, in, 3, sizeof(*in), out, .result_size = sizeof(*out),
			 .deadline = TINE_FOREVER));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* Items that never end by themselves, and with private results. */
static int deadline_of_hung_items(void *kind)
{
	enum { N = 50 };
	int in[N], out[N], codes[N];
	tine_pool *pool = open_pool(kind, 2);
	double begin = now();

	numbers(in, N);
	NEED(TINE_EDEADLINE,
	     tine_map(pool, hangs, in, N, sizeof(*in), out, .result_size = sizeof(*out),
		      .deadline = 0.1, .statuses = codes, .chunk = 1));
	kit_expect(now() - begin < 2);
	for (int i = 0; i < N; i++)
		kit_expect(codes[i] == 0 ? out[i] == i + 1
					 : codes[i] == TINE_EDEADLINE && out[i] == 0);
	kit_expect(codes[4] == TINE_EDEADLINE);
	NEED(0, tine_map(pool, hangs, in, 4, sizeof(*in), out, .result_size = sizeof(*out)));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static void *cancels_soon(void *flag)
{
	nap(0.05);
	tine_cancel_request(flag);
	return NULL;
}

static int cancel_from_a_thread(void *kind)
{
	enum { N = 2000 };
	static int in[N], out[N], codes[N];
	pthread_t thread;
	tine_pool *pool = open_pool(kind, 2);
	tine_cancel *flag = NEED_NEW(tine_cancel_new());
	double begin = now();

	numbers(in, N);
	pthread_create(&thread, NULL, cancels_soon, flag);
	NEED(TINE_ECANCELLED,
	     tine_map(pool, takes_a_while, in, N, sizeof(*in), out, .result_size = sizeof(*out),
		      .cancel = flag, .statuses = codes));
	kit_expect(now() - begin < 2);
	pthread_join(thread, NULL);
	check_ended(codes, out, N, TINE_ECANCELLED);
	/* a flag that is up already: nothing begins */
	NEED(TINE_ECANCELLED,
	     tine_map(pool, takes_a_while, in, N, sizeof(*in), out, .result_size = sizeof(*out),
		      .cancel = flag, .statuses = codes));
	tine_cancel_free(flag);
	NEED(0,
	     tine_map(pool, takes_a_while, in, 3, sizeof(*in), out, .result_size = sizeof(*out)));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int cancel_from_a_child(void *kind)
{
	enum { N = 20 };
	int in[N], out[N], codes[N];
	tine_cancel *flag = NEED_NEW(tine_cancel_new());
	tine_pool *pool = open_pool(kind, 2);
	double begin = now();
	pid_t pid = fork();

	if (pid == 0) {
		cancels_soon(flag);
		_exit(0);
	}
	numbers(in, N);
	NEED(TINE_ECANCELLED,
	     tine_map(pool, hangs, in, N, sizeof(*in), out, .result_size = sizeof(*out),
		      .cancel = flag, .statuses = codes, .chunk = 1));
	kit_expect(now() - begin < 2 && codes[4] == TINE_ECANCELLED && codes[0] == 0 &&
		   out[0] == 1);
	kit_expect(waitpid(pid, NULL, 0) == pid);
	tine_cancel_free(flag);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int cancels_its_own_map(const void *arg, void *result)
{
	*(int *)result = *(const int *)arg + 1;
	if (*(const int *)arg == 3)
		tine_cancel_request(tine_task_context());
	nap(0.001);
	return 0;
}

static int cancel_from_a_task(void *kind)
{
	enum { N = 3000 };
	static int in[N], out[N], codes[N];
	tine_pool *pool = open_pool(kind, 2);
	tine_cancel *flag = NEED_NEW(tine_cancel_new());

	numbers(in, N);
	NEED(TINE_ECANCELLED, tine_map(pool, cancels_its_own_map, in, N, sizeof(*in), out,
				       .result_size = sizeof(*out), .cancel = flag, .context = flag,
				       .statuses = codes, .chunk = 1));
	check_ended(codes, out, N, TINE_ECANCELLED);
	tine_cancel_free(flag);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- company ---- */

static void *maps_many_times(void *p)
{
	enum { N = 500 };
	double in[N], out[N];

	for (int i = 0; i < N; i++)
		in[i] = i;
	for (int round = 0; round < 100; round++) {
		memset(out, 0, sizeof(out));
		NEED(0, tine_map(p, halve, in, N, sizeof(*in), out, .result_size = sizeof(*out)));
		for (int i = 0; i < N; i++)
			kit_expect(out[i] == i / 2.0);
	}
	return NULL;
}

static int three_threads_on_one_pool(void *kind)
{
	pthread_t threads[3];
	tine_pool *pool = open_pool(kind, 2);

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, maps_many_times, pool);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	kit_expect(pool_figures(pool).items == 3 * 100 * 500);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int prints(const void *arg, void *result)
{
	(void)result;
	printf("line %d\n", *(const int *)arg);
	return *(const int *)arg == 20 ? 1 : 0;
}

/* What items print is there when the map ends, once each, and what the host had printed stands before it. */
static int output_is_flushed(void *kind)
{
	enum { N = 50 };
	int in[N], seen[N] = {0}, number, lines = 0;
	char text[64];
	FILE *file = tmpfile();

	numbers(in, N);
	kit_expect(file && dup2(fileno(file), STDOUT_FILENO) == STDOUT_FILENO);
	printf("before\n");
	tine_pool *pool = open_pool(kind, 2);
	NEED(TINE_EITEMS, tine_map(pool, prints, in, N, sizeof(*in), NULL, .chunk = 3));
	fflush(stdout); /* a serial pool prints into the host's own buffer */
	rewind(file);
	kit_expect(fgets(text, sizeof(text), file) && strcmp(text, "before\n") == 0);
	for (; fgets(text, sizeof(text), file); lines++)
		kit_expect(sscanf(text, "line %d", &number) == 1 && number >= 0 && number < N &&
			   seen[number]++ == 0);
	kit_expect(lines == N);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO_EACH(every_shape),
		SCENARIO_EACH(in_place),
		SCENARIO_EACH(large_items),
		SCENARIO(default_pool),
		SCENARIO_EACH(codes_and_stories),
		SCENARIO_EACH(stop_on_error),
		SCENARIO_EACH(deadline),
		SCENARIO(deadline_of_hung_items),
		SCENARIO_EACH(cancel_from_a_thread),
		SCENARIO(cancel_from_a_child),
		SCENARIO_EACH(cancel_from_a_task),
		SCENARIO_EACH(three_threads_on_one_pool),
		SCENARIO_EACH(output_is_flushed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
