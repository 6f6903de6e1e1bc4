/* SPDX-License-Identifier: MIT */
/* What a crash leaves behind, and how it is told. */
#include "kit/kit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tine/heap.h>

#include "process/crash.h"

static tini_crash *record;
static volatile int depth;

__attribute__((noinline)) static void read_null(void)
{
	*(volatile int *)(uintptr_t)depth = 1;
}
__attribute__((noinline)) static void call_null(void)
{
	((void (*)(void))(uintptr_t)depth)();
	depth = 0; /* no tail call: this function must be on the stack */
}
__attribute__((noinline)) static void give_up(void)
{
	abort();
}
__attribute__((noinline)) static void divide(void)
{
	depth = 1000 / depth;
}
__attribute__((noinline)) static int overflow(int n) // NOLINT(misc-no-recursion)
{
	volatile char big[4096];

	big[0] = (char)n;
	return n == depth - 1 ? 0 : overflow(n + 1) + big[0]; /* depth is 0 */
}
static void overflow_stack(void)
{
	depth = overflow(0);
}
static void send_segv(void)
{
	raise(SIGSEGV);
	depth = 0; /* no tail call */
}

static char *late; /* mapped by the parent after the fork */
static void touch_late(void)
{
	late[0] = 1;
}

/* Run fn in a child that catches its crash; returns the signal that ended it. */
static int die_of(void (*fn)(void))
{
	int status;

	memset(record, 0, sizeof *record);
	int go[2];
	assert_int_equal(pipe(go), 0);
	pid_t pid = fork();
	if (pid == 0) {
		char c;

		tini_crash_catch(record);
		tini_crash_thread_stack();
		if (read(go[0], &late, sizeof late) < 0)
			_exit((int)sizeof c);
		fn();
		_exit(0);
	}
	late = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (write(go[1], &late, sizeof late) < 0)
		fail();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(go[0]);
	close(go[1]);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

typedef struct crash_case {
	void (*fn)(void);
	int signal;
	const char *parts[3];
} crash_case;

static const crash_case cases[] = {
	{read_null, SIGSEGV, {" at address 0x0 in read_null (crash_test.c:"}},
	{call_null, SIGSEGV, {" at address 0x0", "call_null"}},
	{give_up, SIGABRT, {" in give_up (crash_test.c:"}},
	{divide, SIGFPE, {" at address 0x", " in divide (crash_test.c:"}},
	{overflow_stack, SIGSEGV, {" at address 0x", " in overflow (crash_test.c:"}},
	{send_segv, SIGSEGV, {"send_segv"}},
	{touch_late, SIGSEGV, {"private memory of the host", "touch_late"}},
};

static void test_stories(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* they tell such things in their own way */
#endif
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[240];

		assert_int_equal(die_of(cases[i].fn), cases[i].signal);
		assert_int_equal(record->signal, cases[i].signal);
		tini_crash_tell(record, text, sizeof text);
		for (int k = 0; k < 3 && cases[i].parts[k]; k++)
			if (!strstr(text, cases[i].parts[k]))
				fail_msg("case %zu: \"%s\" is not in \"%s\"", i, cases[i].parts[k],
					 text);
		munmap(late, 1 << 20);
	}
}

static void test_no_crash(void **state)
{
	char text[240] = "x";

	(void)state;
	memset(record, 0, sizeof *record);
	tini_crash_tell(record, text, sizeof text);
	assert_string_equal(text, "");
	record->state = 1; /* it died while it wrote */
	tini_crash_tell(record, text, sizeof text);
	assert_string_equal(text, "");
}

static void test_signal_names(void **state)
{
	char scratch[32];

	(void)state;
	assert_string_equal(tini_signal_name(SIGKILL, scratch, sizeof scratch), "SIGKILL");
	assert_string_equal(tini_signal_name(99, scratch, sizeof scratch), "signal 99");
}

static int set_up(void **state)
{
	(void)state;
	signal(SIGUSR1, SIG_IGN); /* meant for a supervisor, who looks at the clock then */
	tini_crash_prepare();
	record = tine_shared_alloc(sizeof *record, .zero = true);
	return record ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_stories),
					   cmocka_unit_test(test_no_crash),
					   cmocka_unit_test(test_signal_names)};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
