/* SPDX-License-Identifier: MIT */
/* No processes, no descriptors, no memory: a code that names the limit, nothing left, and all is well afterwards. */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int dies(const void *arg, void *result)
{
	(void)result;
	raise(*(const int *)arg);
	return 0;
}

/* ---- processes ---- */

/* As a user of whom nobody else has processes, as root is not limited; false where that cannot be. */
static bool become_somebody(void)
{
	if (getuid() == 0 && setuid(54321) != 0)
		return false;
	return prctl(PR_SET_DUMPABLE, 1) == 0 && getuid() != 0;
}

static void limit(int resource, rlim_t value)
{
	struct rlimit l;

	getrlimit(resource, &l);
	l.rlim_cur = value;
	kit_expect(setrlimit(resource, &l) == 0);
}

static void unlimit(int resource)
{
	struct rlimit l;

	getrlimit(resource, &l);
	limit(resource, l.rlim_max);
}

/* Each number of processes too small, up to the first that is enough. */
static int processes_at_open(void *arg)
{
	bool enough = false;
	int descriptors = 0, refused = 0;

	(void)arg;
	if (!become_somebody())
		return 0;
	for (rlim_t n = 1; n < 40 && !enough; n++) {
		limit(RLIMIT_NPROC, n);
		tine_pool *pool = tine_pool_open(.workers = 3);
		unlimit(RLIMIT_NPROC);
		enough = pool != NULL;
		if (!pool) {
			refused++;
			kit_expect(tine_last_code() == TINE_ESYSTEM ||
				   tine_last_code() == TINE_EINIT);
			kit_expect(strstr(tine_last_error(), "fork") ||
				   strstr(tine_last_error(), "pthread_create"));
		} else {
			works(pool);
			NEED(0, tine_pool_close(pool, TINE_FOREVER));
		}
		if (descriptors == 0 && tine_last_code() != TINE_ENOMEM)
			descriptors = kit_descriptors();
		kit_expect(kit_descriptors() == descriptors && kit_children() == 0);
	}
	kit_expect(enough && refused > 2);
	return 0;
}

static int processes_at_start(void *arg)
{
	bool enough = false;

	(void)arg;
	if (!become_somebody())
		return 0;
	tine_process_free(NEED_NEW(tine_process_start(nothing, NULL, .daemon = true)));
	nap(0.05);
	for (rlim_t n = 1; n < 10 && !enough; n++) {
		limit(RLIMIT_NPROC, n);
		tine_process *process = tine_process_start(nothing, NULL, .daemon = true);
		unlimit(RLIMIT_NPROC);
		enough = process != NULL;
		if (!process)
			kit_expect(tine_last_code() == TINE_ESYSTEM &&
				   strstr(tine_last_error(), "fork"));
		else
			NEED(0, tine_process_join(process, 10));
		tine_process_free(process);
	}
	kit_expect(enough);
	return 0;
}

/* Forks fail while the pool is open: it goes on with the workers it has, and gets new ones when it can. */
static int processes_later(void *arg)
{
	enum { ITEMS = 100 };
	int in[ITEMS] = {0}, codes[ITEMS];
	struct rlimit none = {.rlim_cur = 1}, before;

	(void)arg;
	if (!become_somebody())
		return 0;
	the_family = new_family();
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .init = tells_family));
	getrlimit(RLIMIT_NPROC, &before);
	none.rlim_max = before.rlim_max;
	kit_expect(prlimit(the_family->supervisor.pid, RLIMIT_NPROC, &none, NULL) == 0);
	in[0] = SIGKILL;
	NEED(TINE_EITEMS,
	     tine_map(pool, dies, in, ITEMS, sizeof(*in), NULL, .statuses = codes, .chunk = 1));
	kit_expect(codes[0] == TINE_ECRASHED && codes[ITEMS - 1] == 0);
	kit_expect(atomic_load(&the_family->workers) == 2);
	kit_expect(prlimit(the_family->supervisor.pid, RLIMIT_NPROC, &before, NULL) == 0);
	NEED(TINE_EITEMS,
	     tine_map(pool, dies, in, ITEMS, sizeof(*in), NULL, .statuses = codes, .chunk = 1));
	for (double end = now() + 5; atomic_load(&the_family->workers) < 4 && now() < end;)
		nap(0.002);
	kit_expect(atomic_load(&the_family->workers) == 4);
	works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* ---- descriptors ---- */

static void open_under(rlim_t n, bool *enough)
{
	limit(RLIMIT_NOFILE, n);
	tine_pool *pool = tine_pool_open(.workers = 2);
	*enough = pool != NULL;
	if (pool) {
		int in[3] = {SIGSEGV, SIGKILL, 0}, codes[3];

		NEED(TINE_EITEMS,
		     tine_map(pool, dies, in, 3, sizeof(*in), NULL, .statuses = codes, .chunk = 1));
		works(pool);
		NEED(0, tine_pool_close(pool, TINE_FOREVER));
	} else {
		kit_expect(tine_last_code() == TINE_ESYSTEM || tine_last_code() == TINE_ENOMEM);
		kit_expect(*tine_last_error());
	}
	unlimit(RLIMIT_NOFILE);
}

/* `number`: with a heap that is there already. */
static int descriptors(void *number)
{
	bool enough = false;
	int before, refused = 0;

	if (NUMBER(number))
		tine_shared_free(NEED_NEW(tine_shared_alloc(100)));
	before = kit_descriptors();
	for (rlim_t n = 3; n < 40 && !enough; n++) {
		open_under(n, &enough);
		refused += !enough;
		kit_expect(kit_descriptors() == before || !NUMBER(number) || enough);
		kit_expect(kit_children() == 0);
	}
	kit_expect(enough && refused > 0);
	open_under(1000, &enough);
	kit_expect(enough && kit_descriptors() <= before + 6);
	return 0;
}

static int descriptors_of_a_process(void *arg)
{
	bool enough = false;

	(void)arg;
	tine_shared_free(NEED_NEW(tine_shared_alloc(100)));
	int before = kit_descriptors();
	for (rlim_t n = 3; n < 40 && !enough; n++) {
		limit(RLIMIT_NOFILE, n);
		tine_process *process = tine_process_start(nothing, NULL, .daemon = true);
		enough = process != NULL;
		if (process)
			NEED(0, tine_process_join(process, 10));
		else
			kit_expect(tine_last_code() == TINE_ESYSTEM);
		tine_process_free(process);
		unlimit(RLIMIT_NOFILE);
		kit_expect(kit_descriptors() == before && kit_children() == 0);
	}
	kit_expect(enough);
	return 0;
}

/* ---- memory ---- */

static void *fill(size_t least)
{
	void *first = NULL, *block;

	for (size_t size = (size_t)1 << 34; size >= least; size /= 2)
		while ((block = tine_shared_alloc(size, .lazy = size > 1 << 20))) {
			*(void **)block = first;
			first = block;
		}
	kit_expect(tine_last_code() == TINE_ENOMEM && *tine_last_error());
	return first;
}

static void empty(void *first)
{
	while (first) {
		void *next = *(void **)first;

		tine_shared_free(first);
		first = next;
	}
}

static int prints_only(const void *arg, void *result)
{
	(void)arg;
	*(void **)result = tine_result_alloc(100000);
	return *(void **)result ? 0 : tine_last_code();
}

/* A heap without room: every call says so, and none hangs or harms the pool. */
static int full_heap(void *number)
{
	enum { MANY = 100000 };
	static int in[MANY], out[MANY];
	void *block;

	setenv("TINE_HEAP_SIZE", "1G", 1);
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2));
	works(pool);
	size_t before = heap_in_use();
	void *filled = fill((size_t)NUMBER(number));
	NEED(TINE_ENOMEM,
	     tine_map(pool, add_one, in, MANY, sizeof(*in), out, .result_size = sizeof(*out)));
	NEED_NULL(TINE_ENOMEM, tine_submit(pool, add_one, in, sizeof(*in), .result_size = 1 << 20));
	tine_pool *second = tine_pool_open(.workers = 2); /* what is left may do for a small one */
	kit_expect(second || tine_last_code() == TINE_ENOMEM);
	NEED(0, tine_pool_close(second, TINE_FOREVER));
	tine_future *f = tine_submit(pool, prints_only, NULL, 0, .result_size = sizeof(block));
	if (f) {
		NEED(TINE_ENOMEM, tine_future_get(f, &block, TINE_FOREVER));
		tine_future_free(f);
	}
	empty(filled);
	kit_expect(heap_settles(before));
	works(pool);
	NEED(0, tine_map(pool, add_one, in, MANY, sizeof(*in), out, .result_size = sizeof(*out)));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* Items that fail and crash when there is no room for their stories: codes and counts are there all the same. */
static int no_room_for_stories(void *arg)
{
	enum { ITEMS = 60 };
	int in[ITEMS], codes[ITEMS];
	static tine_failure f[ITEMS];
	size_t failed;
	tine_map_args call;

	(void)arg;
	setenv("TINE_HEAP_SIZE", "1G", 1);
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2));
	for (int i = 0; i < ITEMS; i++)
		in[i] = i % 3 == 0 ? SIGKILL : 0;
	void *room = NEED_NEW(tine_shared_alloc(60000)), *filled = fill(16);
	tine_shared_free(room);
	call = (tine_map_args){.struct_size = sizeof(call),
			       .pool = pool,
			       .task = dies,
			       .args = in,
			       .count = ITEMS,
			       .arg_size = sizeof(*in),
			       .statuses = codes,
			       .failures = f,
			       .max_failures = ITEMS,
			       .failure_count = &failed,
			       .chunk = 1};
	int rc = tine_map_with(&call);
	if (rc != TINE_ENOMEM) {
		kit_expect(rc == TINE_EITEMS && failed == ITEMS / 3);
		for (int i = 0; i < ITEMS; i++)
			kit_expect(codes[i] == (i % 3 == 0 ? TINE_ECRASHED : 0));
		for (size_t k = 0; k < failed; k++)
			kit_expect(f[k].index == 3 * k && f[k].code == TINE_ECRASHED && *f[k].text);
	}
	empty(filled);
	works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* The limits of a shell: named in the refusal. */
static int ulimits(void *number)
{
	int resource = NUMBER(number);

	limit(resource, 64 << 20);
	NEED_NULL(TINE_ENOMEM, tine_pool_open(.workers = 1));
	kit_expect(strstr(tine_last_error(), resource == RLIMIT_AS ? "ulimit -v" : "RLIMIT_FSIZE"));
	unlimit(resource);
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1));
	works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO(processes_at_open),
		SCENARIO(processes_at_start),
		SCENARIO(processes_later),
		SCENARIO_WITH(descriptors, 0),
		SCENARIO_WITH(descriptors, 1),
		SCENARIO(descriptors_of_a_process),
		SCENARIO_WITH(full_heap, 4096),
		SCENARIO_WITH(full_heap, 16),
		SCENARIO(no_room_for_stories),
		SCENARIO_WITH(ulimits, RLIMIT_AS),
		SCENARIO_WITH(ulimits, RLIMIT_FSIZE),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
