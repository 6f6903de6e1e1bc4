/* SPDX-License-Identifier: MIT */
/* Items that do what no item should: each ends alone, with a code, and leaves nothing behind. */
#include "scenario.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { N = 24, BAD = 10 };

static jmp_buf host_frame, dead_frame;
static int *volatile nowhere;
static char *volatile escaped;

/* ---- the deeds ---- */

static int exits_well(void)
{
	exit(0);
}
static int exits_badly(void)
{
	exit(3);
}
static int exits_at_once(void)
{
	_exit(0);
}
static int exits_quickly(void)
{
	quick_exit(4);
}
static int aborts(void)
{
	abort();
}

static int execs(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return 9;
}

static int jumps_to_the_host(void)
{
	longjmp(host_frame, 1);
	return 9;
}

__attribute__((noinline)) static int make_dead_frame(void)
{
	return setjmp(dead_frame);
}

static int jumps_to_a_dead_frame(void)
{
	static bool jumped;

	if (make_dead_frame() != 0 && jumped)
		abort(); /* it came out somewhere */
	jumped = true;
	longjmp(dead_frame, 1);
	return 9;
}

static int ends_its_thread(void)
{
	pthread_exit(NULL);
	return 9;
}

static int ends_its_thread_by_syscall(void)
{
	syscall(SYS_exit, 0);
	return 9;
}

static int closes_all_descriptors(void)
{
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	return 0;
}

/* Other files get the numbers; whatever the heap needs then must not go into them. */
static int takes_all_descriptors(void)
{
	char name[] = "/tmp/tine-test-XXXXXX", byte = 1;

	closes_all_descriptors();
	int file = mkstemp(name);
	unlink(name);
	for (int i = 0; i < 16; i++)
		if (dup(file) < 0)
			return 8;
	char *block = tine_shared_alloc(8 << 20), *small = tine_shared_alloc(100000);
	if (block)
		memset(block, 1, 8 << 20);
	tine_shared_free(block);
	tine_shared_free(small);
	return lseek(file, 0, SEEK_END) == 0 && pread(file, &byte, 1, 0) == 0 ? 0 : 7;
}

static int reads_stdin(void)
{
	char text[16];

	return read(STDIN_FILENO, text, sizeof(text)) == 0 && getchar() == EOF ? 0 : 9;
}

static int forks_a_child_that_stays(void)
{
	pid_t pid = fork();

	while (pid == 0)
		pause();
	return pid > 0 ? 0 : 9;
}

static int forks_a_session_that_stays(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		if (fork() == 0)
			for (;;)
				pause();
		_exit(0);
	}
	return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : 9;
}

static int forks_a_child_and_crashes(void)
{
	forks_a_session_that_stays();
	forks_a_child_that_stays();
	abort();
}

/* Both return from the item: the child is no worker. */
static int forks_and_both_return(void)
{
	pid_t pid = fork();

	return pid < 0 ? 9 : 0;
}

static int runs_a_command(void)
{
	return system("exit 3") == 3 << 8 ? 0 : 9;
}

static int blocks_all_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	return sigprocmask(SIG_SETMASK, &all, NULL) ? 9 : 0;
}

static int ignores_crashes(void)
{
	signal(SIGSEGV, SIG_IGN);
	signal(SIGABRT, SIG_IGN);
	*nowhere = 1;
	return 9;
}

static void does_nothing(int signal)
{
	(void)signal;
}

static int catches_crashes(void)
{
	signal(SIGABRT, does_nothing);
	abort();
}

static int signals_its_group(void)
{
	kill(0, SIGKILL);
	return 9;
}

static int interrupts_itself(void)
{
	return raise(SIGINT) || raise(SIGTSTP) || raise(SIGTTIN) || raise(SIGTTOU);
}

static int terminates_itself(void)
{
	raise(SIGTERM);
	return 9;
}

static void *runs_on(void *ignored)
{
	(void)ignored;
	for (;;)
		nap(0.001);
	return NULL;
}

static int leaves_threads(void)
{
	pthread_t thread;

	for (int i = 0; i < 5; i++)
		if (pthread_create(&thread, NULL, runs_on, NULL) != 0)
			return 9;
	return 0;
}

static void *crashes_here(void *ignored)
{
	(void)ignored;
	*nowhere = 1;
	return NULL;
}

static int crashes_in_a_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, crashes_here, NULL);
	pthread_join(thread, NULL);
	return 9;
}

static int ruins_malloc(void)
{
	for (int i = 0; i < 20; i++) {
		char *p = malloc(40), *q = malloc(2000);

		escaped = p;
		memset(escaped - 16, 0xff, 80);
		free(q);
		free(p);
	}
	return 9;
}

static int crashes_inside_malloc(void)
{
	char *p = malloc(3000), *q = malloc(3000), *r = malloc(16);

	escaped = p;
	free(p);
	memset(escaped, 0x41, 32); /* the links of the free list */
	free(q);
	for (int i = 0; i < 100; i++)
		escaped = malloc(3000 + (size_t)i);
	free(r);
	abort();
}

__attribute__((noinline)) static int sinks(int n)
{
	volatile char room[4096];

	room[0] = (char)n;
	escaped = (char *)(uintptr_t)&room[n % 4096];
	return (n < 0 ? 0 : sinks(n + 1)) + room[0];
}

static int overflows_its_stack(void)
{
	return sinks(1);
}

static int fills_the_heap(void)
{
	void *first = NULL, *block;
	size_t size = (size_t)1 << 40;

	for (; size >= 4 << 20; size /= 2)
		while ((block = tine_shared_alloc(size, .lazy = true))) {
			*(void **)block = first;
			first = block;
		}
	if (tine_last_code() != TINE_ENOMEM)
		return 9;
	for (; first; first = block) {
		block = *(void **)first;
		tine_shared_free(first);
	}
	return 0;
}

static int changes_its_surroundings(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGCHLD, &action, NULL);
	prctl(PR_SET_NAME, "somebody else");
	setpgid(0, getppid());
	unsetenv("PATH");
	return chdir("/") ? 9 : 0;
}

static const struct {
	const char *name;
	int (*deed)(void);
	int code, other; /* what the item ends with, or this */
} deeds[] = {
	{"exits well", exits_well, TINE_EEXITED, 0},
	{"exits badly", exits_badly, TINE_EEXITED, 0},
	{"exits at once", exits_at_once, TINE_EEXITED, 0},
	{"exits quickly", exits_quickly, TINE_EEXITED, 0},
	{"aborts", aborts, TINE_ECRASHED, 0},
	{"execs", execs, TINE_EEXITED, 0},
	{"jumps to the host's frame", jumps_to_the_host, TINE_EEXITED, TINE_ECRASHED},
	{"jumps to a dead frame", jumps_to_a_dead_frame, TINE_ECRASHED, TINE_EEXITED},
	{"ends its thread", ends_its_thread, TINE_EEXITED, TINE_ECRASHED},
	{"ends its thread by syscall", ends_its_thread_by_syscall, TINE_EEXITED, TINE_ECRASHED},
	{"closes all descriptors", closes_all_descriptors, 0, 0},
	{"takes all descriptors", takes_all_descriptors, 0, 0},
	{"reads stdin", reads_stdin, 0, 0},
	{"forks a child that stays", forks_a_child_that_stays, 0, 0},
	{"forks a session that stays", forks_a_session_that_stays, 0, 0},
	{"forks children and crashes", forks_a_child_and_crashes, TINE_ECRASHED, 0},
	{"forks and both return", forks_and_both_return, 0, 0},
	{"runs a command", runs_a_command, 0, 0},
	{"blocks all signals", blocks_all_signals, 0, 0},
	{"ignores crashes", ignores_crashes, TINE_ECRASHED, 0},
	{"catches crashes", catches_crashes, TINE_ECRASHED, 0},
	{"signals its group", signals_its_group, TINE_ECRASHED, 0},
	{"interrupts itself", interrupts_itself, 0, 0},
	{"terminates itself", terminates_itself, TINE_ECRASHED, 0},
	{"leaves threads", leaves_threads, 0, 0},
	{"crashes in a thread", crashes_in_a_thread, TINE_ECRASHED, 0},
	{"ruins malloc", ruins_malloc, TINE_ECRASHED, 0},
	{"crashes inside malloc", crashes_inside_malloc, TINE_ECRASHED, 0},
	{"overflows its stack", overflows_its_stack, TINE_ECRASHED, 0},
	{"fills the heap", fills_the_heap, 0, 0},
	{"changes its surroundings", changes_its_surroundings, 0, 0},
};
enum { DEEDS = sizeof(deeds) / sizeof(*deeds) };

/* ---- how they are seen ---- */

typedef struct order {
	int deed; /* -1: none */
	int number;
} order;

static _Atomic int *runs; /* shared */

static int maybe_misbehaves(const void *arg, void *result)
{
	const order *o = arg;

	atomic_fetch_add(&runs[o->number], 1);
	*(int *)result = o->number + 1;
	return o->deed < 0 ? 0 : deeds[o->deed].deed();
}

static bool is_expected(int deed, int code)
{
	return code == deeds[deed].code || code == deeds[deed].other;
}

static void misbehave_in_a_map(tine_pool *pool, int deed, size_t chunk)
{
	order in[N];
	int out[N], codes[N];

	memset((void *)runs, 0, N * sizeof(*runs));
	for (int i = 0; i < N; i++)
		in[i] = (order){i == BAD ? deed : -1, i};
	(void)tine_map(pool, maybe_misbehaves, in, N, sizeof(*in), out, .result_size = sizeof(*out),
		       .statuses = codes, .chunk = chunk);
	for (int i = 0; i < N; i++) {
		if (i == BAD ? !is_expected(deed, codes[i]) : codes[i] != 0)
			fprintf(stderr, "%s: item %d: %d\n", deeds[deed].name, i, codes[i]);
		kit_expect(i == BAD ? is_expected(deed, codes[i]) : codes[i] == 0);
		kit_expect(out[i] == (codes[i] ? 0 : i + 1));
		kit_expect(atomic_load(&runs[i]) == 1);
	}
}

static void misbehave_in_a_future(tine_pool *pool, int deed)
{
	order in = {deed, 0};
	int out = 99;
	tine_future *f = NEED_NEW(
		tine_submit(pool, maybe_misbehaves, &in, sizeof(in), .result_size = sizeof(out)));
	int code = tine_future_get(f, &out, 10);

	kit_expect(is_expected(deed, code) && out == (code ? 0 : 1));
	tine_future_free(f);
}

static int misbehave(void *number)
{
	int deed = NUMBER(number);
	tine_heap_figures figures = {.struct_size = sizeof(figures)};

	if (setjmp(host_frame))
		return 44; /* a worker came here: it exits */
	runs = NEED_NEW(tine_shared_alloc(N * sizeof(*runs)));
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2));
	size_t before = heap_in_use();
	misbehave_in_a_map(pool, deed, 1);
	misbehave_in_a_map(pool, deed, 6);
	misbehave_in_a_future(pool, deed);
	works(pool);
	kit_expect(heap_settles(before) && kit_children() == 0);
	NEED(0, tine_heap_stats(&figures));
	kit_expect(figures.orphaned == 0);
	NEED(0, tine_pool_close(pool, 10));
	return 0;
}

int main(void)
{
	static scenario scenarios[DEEDS];
	struct CMUnitTest tests[DEEDS];

	for (int i = 0; i < DEEDS; i++) {
		scenarios[i] = (scenario){misbehave, i};
		tests[i] =
			(struct CMUnitTest){deeds[i].name, scenario_run, NULL, NULL, &scenarios[i]};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
