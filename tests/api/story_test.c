/* SPDX-License-Identifier: MIT */
/* What the stories say: the item, the worker, its pid, what ended it and where. */
#include "scenario.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int *volatile nowhere;
static volatile int zero;
static char *private_block; /* made after the pool: no worker has it */

/* Not inlined: the story names the function. */
__attribute__((noinline)) static int writes_to_nowhere(void)
{
	*nowhere = 1;
	return 0;
}

static int ends(const void *arg, void *result)
{
	(void)result;
	switch (*(const int *)arg) {
	case 0:
		return writes_to_nowhere();
	case 1:
		abort();
	case 2:
		return 123456 / zero;
	case 3:
		raise(SIGKILL);
		return 0;
	case 4:
		raise(SIGTERM);
		return 0;
	case 5:
		exit(7);
	case 6:
		_exit(255);
	case 7:
		__builtin_trap();
	case 8:
		raise(SIGRTMIN);
		return 0;
	case 9:
		raise(SIGBUS);
		return 0;
	default:
		return 0;
	}
}

enum { ENDS = 10 };
static const struct {
	int code, signal;
	const char *words[3];
} expected[ENDS] = {
	{TINE_ECRASHED,
	 SIGSEGV,
	 {"SIGSEGV at address 0x0", "in writes_to_nowhere", "(story_test.c:"}},
	{TINE_ECRASHED, SIGABRT, {"SIGABRT", "in ends", "(story_test.c:"}},
	{TINE_ECRASHED, SIGFPE, {"SIGFPE", "in ends", "(story_test.c:"}},
	{TINE_ECRASHED, SIGKILL, {"SIGKILL", "", ""}},
	{TINE_ECRASHED, SIGTERM, {"SIGTERM", "", ""}},
	{TINE_EEXITED, 0, {"exit", "7", ""}},
	{TINE_EEXITED, 0, {"exit", "255", ""}},
	{TINE_ECRASHED, SIGILL, {"SIGILL", "in ends", "(story_test.c:"}},
	{TINE_ECRASHED, 34, {"34", "", ""}},
	{TINE_ECRASHED, SIGBUS, {"SIGBUS", "", ""}},
};

/* Lines can be told where this program was compiled with -g. */
static bool has_lines(void)
{
	static int known = -1;
	static char text[1 << 24];
	char name[] = "?debug_line";
	FILE *self = known < 0 ? fopen("/proc/self/exe", "re") : NULL;

	if (self) {
		size_t n = fread(text, 1, sizeof(text), self);

		name[0] = '.'; /* so that the name of the section is not found here */
		known = memmem(text, n, name, strlen(name)) != NULL;
		fclose(self);
	}
	return known > 0;
}

static void check(const tine_failure *f, int how)
{
	char words[64];

	snprintf(words, sizeof(words), "worker %d (pid %d)", f->worker, f->pid);
	kit_expect(f->code == expected[how].code && f->attempts == 1 && strstr(f->text, words));
	kit_expect(f->signal == expected[how].signal || (f->signal == SIGRTMIN && how == 8));
	for (int i = 0; i < (has_lines() ? 3 : 2); i++)
		if (!strstr(f->text, expected[how].words[i]))
			kit_leave(f->text, expected[how].words[i], how);
	kit_expect(strlen(f->text) < sizeof(f->text) - 1);
}

static int every_ending(void *arg)
{
	int in[ENDS], codes[ENDS];
	tine_failure f[ENDS];
	size_t failed;
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2));

	(void)arg;
	for (int i = 0; i < ENDS; i++)
		in[i] = i;
	NEED(TINE_EITEMS,
	     tine_map(pool, ends, in, ENDS, sizeof(*in), NULL, .statuses = codes, .failures = f,
		      .max_failures = ENDS, .failure_count = &failed, .chunk = 3));
	kit_expect(failed == ENDS && strstr(tine_last_error(), f[0].text));
	for (int i = 0; i < ENDS; i++) {
		kit_expect(f[i].index == (size_t)i && codes[i] == expected[i].code);
		check(&f[i], i);
		tine_future *future =
			NEED_NEW(tine_submit(pool, ends, &i, sizeof(i), .retries = -1));
		NEED(expected[i].code, tine_future_get(future, NULL, TINE_FOREVER));
		check(tine_future_failure(future), i);
		kit_expect(strcmp(tine_last_error(), tine_future_failure(future)->text) == 0);
		tine_future_free(future);
	}
	kit_expect(f[0].address == NULL);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int writes_there(const void *arg, void *result)
{
	(void)result;
	**(char *const *)arg = 1;
	return 0;
}

/* An address in the host's private memory is said to be one: the usual mistake. */
static int private_memory(void *arg)
{
	tine_failure f;
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1));

	(void)arg;
	private_block = malloc(64 << 20);
	memset(private_block, 1, 64 << 20);
	char *inside = private_block + (32 << 20);
	NEED(TINE_EITEMS, tine_map(pool, writes_there, &inside, 1, sizeof(inside), NULL,
				   .failures = &f, .max_failures = 1));
	kit_expect(f.address == inside && f.signal == SIGSEGV);
	kit_expect(strstr(f.text, "private") && strstr(f.text, "writes_there"));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* The attempts, the limit, and items that never ran. */
static int naps_or_dies(const void *arg, void *result)
{
	(void)result;
	if (*(const int *)arg == 0)
		raise(SIGKILL);
	pause();
	return 0;
}

static int attempts_and_limits(void *arg)
{
	int in[2] = {0, 1};
	tine_failure f[2];
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 1));

	(void)arg;
	NEED(TINE_EITEMS, tine_map(pool, naps_or_dies, in, 2, sizeof(*in), NULL, .failures = f,
				   .max_failures = 2, .retries = 2, .timeout = 0.05));
	for (int i = 0; i < 2; i++)
		kit_expect(f[i].attempts == 3 && strstr(f[i].text, "after 3 attempts"));
	kit_expect(strstr(f[1].text, "limit of 0.05 s"));
	NEED(TINE_EDEADLINE, tine_map(pool, naps_or_dies, &in[1], 1, sizeof(*in), NULL,
				      .failures = f, .max_failures = 1, .deadline = 0.05));
	kit_expect(f[0].code == TINE_EDEADLINE && f[0].attempts == 1);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* A text of any length is cut, and stays a text. */
__attribute__((noinline)) static int
a_function_with_a_name_that_is_longer_than_anybody_would_ever_want_to_type_or_to_read_in_a_story_which_has_only_two_hundred_and_forty_bytes_for_everything_that_it_has_to_tell_to_the_reader(
	const void *arg, void *result)
{
	(void)arg;
	(void)result;
	*nowhere = 1;
	return 0;
}

static int long_names(void *arg)
{
	tine_failure f[2];
	tine_pool *pool =
		NEED_NEW(tine_pool_open(.workers = 1,
					.name = "a pool with a name of more than sixty-four "
						"bytes, which is more than there is room for"));

	(void)arg;
	NEED(TINE_EITEMS,
	     tine_map(
		     pool,
		     a_function_with_a_name_that_is_longer_than_anybody_would_ever_want_to_type_or_to_read_in_a_story_which_has_only_two_hundred_and_forty_bytes_for_everything_that_it_has_to_tell_to_the_reader,
		     NULL, 1, 0, NULL, .failures = f, .max_failures = 2));
	kit_expect(strnlen(f[0].text, sizeof(f[0].text)) < sizeof(f[0].text));
	kit_expect(strstr(f[0].text, "a_function_with_a_name"));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO(every_ending),
		SCENARIO(private_memory),
		SCENARIO(attempts_and_limits),
		SCENARIO(long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
