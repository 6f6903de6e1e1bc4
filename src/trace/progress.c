/* SPDX-License-Identifier: MIT */
/*
 * Progress on stderr.
 *
 * Whoever adds something when a drawing is due tries to become the one who draws, by one atomic
 * exchange; all others go on at once.  So nobody waits for a lock while somebody writes, and a draw
 * that is not made is made by the next one.  What cannot be written now (a stopped terminal, a full
 * pipe, a closed one) is left out: the work matters more.
 */
#include <tine/trace.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/env.h"
#include "base/memory.h"
#include "trace/line.h"

/* Nanoseconds between two drawings: on a terminal; in plain lines; in those without a total. */
#define TERMINAL_PAUSE INT64_C(100000000)
#define PLAIN_PAUSE INT64_C(1000000000)
#define UNKNOWN_PAUSE INT64_C(10000000000)

enum {
	PLAIN_STEPS = 10, /* plain lines: at most one per tenth */
	PATIENCE = 500    /* ms that the last line waits for room */
};

struct tine_progress {
	_Atomic size_t done;
	_Atomic int64_t due; /* no drawing before this moment */
	atomic_bool drawing; /* whoever set it may write and use the members below */
	int last_step;       /* plain: tenths that the last line told */
	int last_columns;    /* terminal: columns of the last line */
	bool terminal;       /* these never change */
	bool escapes;
	size_t total;
	int64_t begin, pause; /* clock; ns between two drawings */
	char title[];
};

/* Control characters would act on the terminal. */
static void copy_title(char *to, const char *title)
{
	do
		*to++ = (char)(*title == 0x7f || (*title > 0 && *title < ' ') ? ' ' : *title);
	while (*title++);
}

static bool has_room(int wait)
{
	struct pollfd stderr_now = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&stderr_now, 1, wait) == 1 &&
	       (stderr_now.revents & (POLLOUT | POLLERR)) == POLLOUT;
}

/* Write, and swallow the SIGPIPE of a pipe that was closed since has_room(). */
static void write_quietly(const char *text, size_t bytes)
{
	sigset_t pipe_signal, before, pending;

	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	if (pthread_sigmask(SIG_BLOCK, &pipe_signal, &before) != 0)
		return;
	sigpending(&pending);
	if (write(STDERR_FILENO, text, bytes) < 0 && errno == EPIPE &&
	    !sigismember(&pending, SIGPIPE))
		sigtimedwait(&pipe_signal, NULL, &(struct timespec){0});
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void put(const char *text, size_t bytes, int wait)
{
	int before = errno;

	if (has_room(wait))
		write_quietly(text, bytes);
	errno = before;
}

/* Columns that may be written: in the last one many terminals begin a new line. */
static int columns_now(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return 79;
	return size.ws_col - 1;
}

static void draw_terminal(tine_progress *progress, const tini_line_state *state)
{
	char line[TINI_LINE_SIZE], text[2 * TINI_LINE_SIZE];
	int before = errno, columns = tini_line_terminal(line, state, columns_now());
	int blanks = progress->last_columns > columns ? progress->last_columns - columns : 0;

	/* Without the escape sequence that erases the rest, blanks do. */
	if (progress->escapes)
		blanks = 0;
	int bytes = snprintf(text, sizeof(text), "\r%s%*s%s%s", line, blanks, "",
			     progress->escapes ? "\033[K" : "", state->ended ? "\n" : "");
	progress->last_columns = columns;
	errno = before;
	put(text, (size_t)bytes, state->ended ? PATIENCE : 0);
}

static void draw_plain(tine_progress *progress, const tini_line_state *state)
{
	char line[TINI_LINE_SIZE];
	int step = tini_line_percent(state->done, state->total) / (100 / PLAIN_STEPS);

	if (state->total > 0 && step <= progress->last_step && !state->ended)
		return;
	progress->last_step = step;
	put(line, tini_line_plain(line, state), state->ended ? PATIENCE : 0);
}

static void draw(tine_progress *progress, int64_t now, bool ended)
{
	tini_line_state state = {
		.title = progress->title,
		.done = atomic_load(&progress->done),
		.total = progress->total,
		.seconds = (double)(now - progress->begin) * 1e-9,
		.ended = ended,
	};

	if (progress->terminal)
		draw_terminal(progress, &state);
	else
		draw_plain(progress, &state);
}

static int64_t pause_of(const tine_progress *progress)
{
	if (progress->terminal)
		return TERMINAL_PAUSE;
	return progress->total > 0 ? PLAIN_PAUSE : UNKNOWN_PAUSE;
}

tine_progress *tine_progress_open(const char *title, size_t total)
{
	int before = errno;

	title = title ? title : "";
	tine_progress *progress = tini_alloc(sizeof(*progress) + strlen(title) + 1, 1);
	if (!progress)
		return NULL;
	copy_title(progress->title, title);
	progress->total = total;
	progress->terminal = isatty(STDERR_FILENO);
	progress->escapes = progress->terminal && !tini_env_get(TINI_ENV_NO_COLOR);
	progress->pause = pause_of(progress);
	progress->begin = tini_clock_now();
	atomic_init(&progress->due, progress->begin + progress->pause);
	if (progress->terminal)
		draw(progress, progress->begin, false); /* the first item may take long */
	errno = before;
	return progress;
}

static void draw_if_free(tine_progress *progress, int64_t now)
{
	if (atomic_exchange(&progress->drawing, true))
		return;
	/* Another thread may have drawn between the look at the clock and the exchange. */
	if (now >= atomic_load(&progress->due)) {
		draw(progress, now, false);
		atomic_store(&progress->due, tini_clock_now() + progress->pause);
	}
	atomic_store(&progress->drawing, false);
}

void tine_progress_add(tine_progress *progress, size_t n)
{
	if (!progress)
		return;
	if (atomic_fetch_add(&progress->done, n) > SIZE_MAX - n)
		atomic_store(&progress->done, SIZE_MAX); /* more than can be counted */
	int64_t now = tini_clock_now();
	/* relaxed: a hint; draw_if_free() looks again */
	if (now >= atomic_load_explicit(&progress->due, memory_order_relaxed))
		draw_if_free(progress, now);
}

void tine_progress_close(tine_progress *progress)
{
	if (!progress)
		return;
	draw(progress, tini_clock_now(), true);
	tini_free(progress);
}
