/* SPDX-License-Identifier: MIT */
/*
 * The handler of a worker's last moment.  It may run with a broken heap and inside any lock, so it
 * only stores words; a handler that hangs nevertheless is ended by the supervisor, which it has
 * told that it began.
 */
#include "process/crash.h"

#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <ucontext.h>
#include <unistd.h>

static tini_crash *crash_record;
static pid_t crash_parent, crash_self;
static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
enum { CRASH_SIGNALS = sizeof crash_signals / sizeof *crash_signals, ALT_STACK = 64 * 1024 };

/* Where the signal struck. */
static const void *place_of(const void *context)
{
	const ucontext_t *c = context;
#if defined(__x86_64__)
	return (const void *)c->uc_mcontext.gregs[REG_RIP]; // NOLINT(performance-no-int-to-ptr)
#elif defined(__aarch64__)
	return (const void *)c->uc_mcontext.pc;       // NOLINT(performance-no-int-to-ptr)
#else
	(void)c;
	return NULL;
#endif
}

/* Who has called a function that is not there: the unwinder does not get past it. */
static const void *caller_of_nothing(const void *context)
{
	const ucontext_t *c = context;
#if defined(__x86_64__)
	return *(const void *const *)
			c->uc_mcontext.gregs[REG_RSP]; // NOLINT(performance-no-int-to-ptr)
#elif defined(__aarch64__)
	return (const void *)c->uc_mcontext.regs[30]; // NOLINT(performance-no-int-to-ptr)
#else
	(void)c;
	return NULL;
#endif
}

/* The place first, then its callers: what lies above it in the walk is this handler. */
static void store_frames(tini_crash *crash, const void *place, const void *context)
{
	void *frames[TINI_CRASH_FRAMES + 4];
	int depth = backtrace(frames, TINI_CRASH_FRAMES + 4), first = depth;

	for (int i = 0; i < depth && first == depth; i++)
		if (frames[i] == place)
			first = i + 1;
	crash->frames[0] = place;
	crash->depth = 1;
	if (first == depth && (uintptr_t)place < 4096)
		crash->frames[crash->depth++] = caller_of_nothing(context);
	for (int i = first; i < depth && crash->depth < TINI_CRASH_FRAMES; i++)
		crash->frames[crash->depth++] = frames[i];
}

static void store(tini_crash *crash, int signal, const siginfo_t *info, const void *context)
{
	uint32_t none = 0;

	if (!atomic_compare_exchange_strong(&crash->state, &none, 1))
		return; /* a second thread crashes too: the first one's story stands */
	crash->signal = signal;
	crash->has_address =
		info->si_code > 0 && signal != SIGABRT && signal != SIGTRAP && signal != SIGSYS;
	crash->address = crash->has_address ? info->si_addr : NULL;
	if (getppid() == crash_parent)
		kill(crash_parent,
		     SIGUSR1); /* so that somebody looks at the clock while the frames are walked */
	store_frames(crash, place_of(context), context);
	atomic_store(&crash->state, 2);
}

static void on_crash(int signal_number, siginfo_t *info, void *context)
{
	struct sigaction fallback = {.sa_handler = SIG_DFL};

	sigaction(signal_number, &fallback, NULL);
	if (getpid() == crash_self) /* a child that an item has forked dies for itself */
		store(crash_record, signal_number, info, context);
	raise(signal_number); /* pending until this handler returns; then it ends the process */
}

void tini_crash_prepare(void)
{
	void *warm[2];

	backtrace(warm, 2); /* loads the unwinder */
}

void tini_crash_catch(tini_crash *record)
{
	crash_record = record;
	crash_parent = getppid();
	crash_self = getpid();
	memset(record, 0, sizeof *record);
	struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
	action.sa_sigaction = on_crash;
	sigfillset(&action.sa_mask);
	for (int i = 0; i < CRASH_SIGNALS; i++)
		sigaction(crash_signals[i], &action, NULL);
}

void tini_crash_thread_stack(void)
{
	static char memory[ALT_STACK]; /* one thread of a worker runs items */
	stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};

	sigaltstack(&stack, NULL);
}

const char *tini_signal_name(int signal, char *scratch, size_t size)
{
	const char *name = sigabbrev_np(signal);

	if (name)
		snprintf(scratch, size, "SIG%s", name);
	else
		snprintf(scratch, size, "signal %d", signal);
	return scratch;
}
