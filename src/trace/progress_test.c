/* SPDX-License-Identifier: MIT */
/* Progress where it is seen: a terminal (the far end of a pty), files, pipes that are full or
 * closed. */
#include "kit/kit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <tine/trace.h>

#include "base/clock.h"
#include "base/fault.h"

static int stderr_before;

/* From here on fd is stderr; the given descriptor is closed. */
static void become_stderr(int fd)
{
	stderr_before = dup(STDERR_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
}

static void restore_stderr(void)
{
	dup2(stderr_before, STDERR_FILENO);
	close(stderr_before);
}

/* What comes out of fd until nothing has come for 50 ms. */
static size_t drain(int fd, char *text, size_t size)
{
	struct pollfd in = {.fd = fd, .events = POLLIN};
	size_t used = 0;
	ssize_t n;

	while (used + 1 < size && poll(&in, 1, 50) == 1 && (in.revents & POLLIN) &&
	       (n = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	return used;
}

static size_t count_of(const char *text, char c)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == c;
	return n;
}

static void nap(double seconds)
{
	tini_clock_sleep_until(tini_clock_deadline(seconds));
}

/* stderr becomes a terminal of so many columns; what is written there can be read from the result.
 */
static int open_terminal(unsigned short columns)
{
	struct winsize size = {.ws_row = 24, .ws_col = columns};
	int near_end = posix_openpt(O_RDWR | O_NOCTTY);

	assert_true(near_end >= 0);
	assert_int_equal(grantpt(near_end), 0);
	assert_int_equal(unlockpt(near_end), 0);
	int far_end = open(ptsname(near_end), O_RDWR | O_NOCTTY);
	assert_true(far_end >= 0);
	assert_int_equal(ioctl(far_end, TIOCSWINSZ, &size), 0);
	become_stderr(far_end);
	return near_end;
}

static void close_terminal(int near_end)
{
	restore_stderr();
	close(near_end);
}

static void test_terminal(void **state)
{
	int terminal = open_terminal(80);
	char text[8192];

	(void)state;
	unsetenv("NO_COLOR");
	tine_progress *progress = tine_progress_open("tiles", 200);
	assert_non_null(progress);
	for (int i = 0; i < 100; i++)
		tine_progress_add(progress, 1);
	nap(0.12);
	tine_progress_add(progress, 0);
	drain(terminal, text, sizeof(text));
	assert_non_null(strstr(text, "\rtiles 0% [....."));
	assert_non_null(strstr(text, "\rtiles 50% [##"));
	assert_non_null(strstr(text, " 100/200 "));
	assert_non_null(strstr(text, "0:00 left\033[K"));
	assert_int_equal(count_of(text, '\n'), 0);
	tine_progress_add(progress, 100);
	tine_progress_close(progress);
	drain(terminal, text, sizeof(text));
	assert_non_null(strstr(text, "\rtiles 100% [##"));
	assert_non_null(strstr(text, "in 0:00\033[K\r\n")); /* the terminal makes \r\n out of \n */
	close_terminal(terminal);
}

/* Ten drawings a second, whatever is added. */
static void test_pace(void **state)
{
	int terminal = open_terminal(100);
	char text[65536];

	(void)state;
	int64_t begin = tini_clock_now(), end = begin + INT64_C(350000000);
	tine_progress *progress = tine_progress_open(NULL, 0);
	while (tini_clock_now() < end)
		tine_progress_add(progress, 1);
	tine_progress_close(progress);
	double seconds = (double)(tini_clock_now() - begin) * 1e-9;
	drain(terminal, text, sizeof(text));
	size_t drawings = count_of(text, '\033');
	assert_true(drawings >= 3 && drawings <= 3 + (size_t)(seconds * 10));
	close_terminal(terminal);
}

static void test_no_color(void **state)
{
	int terminal = open_terminal(80);
	char text[8192];

	(void)state;
	setenv("NO_COLOR", "1", 1);
	tine_progress *progress = tine_progress_open("tiles", 1000000);
	nap(0.11);
	tine_progress_add(progress, 999999);
	nap(0.11);
	tine_progress_add(progress, 1);
	tine_progress_close(progress);
	unsetenv("NO_COLOR");
	drain(terminal, text, sizeof(text));
	assert_int_equal(count_of(text, '\033'), 0);
	assert_non_null(strstr(text, "tiles 100%"));
	close_terminal(terminal);
}

static void test_narrow_terminal(void **state)
{
	int terminal = open_terminal(5);
	char text[8192];

	(void)state;
	tine_progress *progress = tine_progress_open("tiles", 100);
	tine_progress_add(progress, 100);
	tine_progress_close(progress);
	drain(terminal, text, sizeof(text));
	assert_string_equal(text, "\rt 0%\033[K\r100%\033[K\r\n");
	close_terminal(terminal);
}

/* Ctrl-S: the program goes on, and close does not wait for long. */
static void test_stopped_terminal(void **state)
{
	int terminal = open_terminal(80);
	struct termios modes;

	(void)state;
	tcgetattr(STDERR_FILENO, &modes);
	modes.c_iflag |= IXON;
	tcsetattr(STDERR_FILENO, TCSANOW, &modes);
	assert_int_equal(tcflow(STDERR_FILENO, TCOOFF), 0);
	tine_progress *progress = tine_progress_open("tiles", 100);
	int64_t begin = tini_clock_now();
	for (int i = 0; i < 100; i++) {
		nap(0.003);
		tine_progress_add(progress, 1);
	}
	tine_progress_close(progress);
	assert_true(tini_clock_now() - begin < 3 * INT64_C(1000000000));
	tcflow(STDERR_FILENO, TCOON);
	close_terminal(terminal);
}

/* stderr becomes a pipe, whose other end is the result. */
static int open_pipe(void)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	become_stderr(ends[1]);
	return ends[0];
}

static void test_plain_lines(void **state)
{
	int in = open_pipe();
	char text[8192];

	(void)state;
	tine_progress *progress = tine_progress_open("two\nlines\033[31m", 100);
	for (int i = 0; i < 45; i++)
		tine_progress_add(progress, 1);
	assert_int_equal(drain(in, text, sizeof(text)), 0); /* nothing in the first second */
	nap(1.01);
	tine_progress_add(progress, 1);
	tine_progress_add(progress, 50);
	drain(in, text, sizeof(text));
	assert_int_equal(count_of(text, '\n'), 1);
	assert_non_null(strstr(text, "two lines [31m: 46%, 46 of 100, "));
	assert_non_null(strstr(text, " left\n"));
	tine_progress_close(progress);
	drain(in, text, sizeof(text));
	assert_non_null(strstr(text, ": 96%, 96 of 100, "));
	assert_non_null(strstr(text, ", in 0:01\n"));
	assert_int_equal(count_of(text, '\n'), 1);
	assert_int_equal(count_of(text, '\033'), 0);
	restore_stderr();
	close(in);
}

static volatile sig_atomic_t pipe_signals;

static void on_pipe(int signal)
{
	(void)signal;
	pipe_signals++;
}

static void show_once(void)
{
	tine_progress *progress = tine_progress_open("x", 1);

	tine_progress_add(progress, 1);
	errno = 4711;
	tine_progress_close(progress);
	assert_int_equal(errno, 4711);
}

static void test_closed_pipe(void **state)
{
	int in = open_pipe();

	(void)state;
	signal(SIGPIPE, on_pipe);
	close(in);
	show_once();
	restore_stderr();
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(pipe_signals, 0);
}

/* A socket without an other end looks writable to poll(): the write finds out. */
static void test_closed_socket(void **state)
{
	int ends[2];
	sigset_t pending;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	close(ends[0]);
	become_stderr(ends[1]);
	show_once(); /* SIGPIPE has its default: it would end this program */
	restore_stderr();
	sigpending(&pending);
	assert_false(sigismember(&pending, SIGPIPE));
}

static void test_closed_stderr(void **state)
{
	(void)state;
	int before = dup(STDERR_FILENO);
	close(STDERR_FILENO);
	show_once();
	dup2(before, STDERR_FILENO);
	close(before);
}

static void test_full_pipe(void **state)
{
	int in = open_pipe();
	char text[65536] = {0};
	int64_t begin = tini_clock_now();

	(void)state;
	fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
	while (write(STDERR_FILENO, text, sizeof(text)) > 0)
		;
	fcntl(STDERR_FILENO, F_SETFL, 0);
	show_once();
	assert_true(tini_clock_now() - begin < 3 * INT64_C(1000000000));
	restore_stderr();
	close(in);
}

enum { THREADS = 4, ADDS = 20000 };

static void *add_many(void *progress)
{
	for (int i = 0; i < ADDS; i++)
		tine_progress_add(progress, 1);
	return NULL;
}

static void test_threads(void **state)
{
	int terminal = open_terminal(80);
	pthread_t threads[THREADS];
	char text[65536];

	(void)state;
	tine_progress *progress = tine_progress_open("threads", THREADS * (size_t)ADDS);
	nap(0.1);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, progress), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	tine_progress_close(progress);
	drain(terminal, text, sizeof(text));
	assert_non_null(strstr(text, "threads 100% ["));
	assert_non_null(strstr(text, " 80.0k/80.0k "));
	close_terminal(terminal);
}

static void test_overflow(void **state)
{
	int in = open_pipe();
	char text[8192];

	(void)state;
	tine_progress *progress = tine_progress_open(NULL, 10);
	tine_progress_add(progress, SIZE_MAX - 1);
	tine_progress_add(progress, SIZE_MAX - 1);
	tine_progress_close(progress);
	tine_progress_add(NULL, 1);
	tine_progress_close(NULL);
	drain(in, text, sizeof(text));
	assert_int_equal(strncmp(text, "100%, 18446744073709551615 of 10, ", 34), 0);
	restore_stderr();
	close(in);
}

static int open_and_close(void *unused)
{
	(void)unused;
	tine_progress *progress = tine_progress_open("x", 0);
	int code = progress ? 0 : tine_last_code();

	tine_progress_close(progress);
	return code;
}

static void test_faults(void **state)
{
	int in = open_pipe();

	(void)state;
	kit_each_fault(TINI_FAULT_ALLOC, open_and_close, NULL);
	restore_stderr();
	close(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_terminal),         cmocka_unit_test(test_pace),
		cmocka_unit_test(test_no_color),         cmocka_unit_test(test_narrow_terminal),
		cmocka_unit_test(test_stopped_terminal), cmocka_unit_test(test_plain_lines),
		cmocka_unit_test(test_closed_pipe),      cmocka_unit_test(test_closed_socket),
		cmocka_unit_test(test_closed_stderr),    cmocka_unit_test(test_full_pipe),
		cmocka_unit_test(test_threads),          cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
