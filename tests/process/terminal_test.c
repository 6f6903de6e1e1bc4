/* SPDX-License-Identifier: MIT */
/* Keys on a terminal: Ctrl-C ends the host and all of the pool, with at most one line; so does hanging up. */
#include "scenario.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static tine_cancel *flag;

static int naps_long(const void *arg, void *result)
{
	(void)arg;
	(void)result;
	nap(0.002);
	return 0;
}

static int sleeps_for_ever(const void *arg, void *result)
{
	(void)arg;
	(void)result;
	for (;;)
		pause();
	return 0;
}

static void raises_flag(int signal)
{
	(void)signal;
	tine_cancel_request(flag);
}

enum { IN_MAP, IN_HUNG_MAP, BETWEEN, CANCELS };

static _Noreturn void be_a_host(int how)
{
	if (how == CANCELS) {
		flag = NEED_NEW(tine_cancel_new());
		signal(SIGINT, raises_flag);
	}
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 3, .init = tells_family));
	if (how == BETWEEN)
		for (;;)
			pause();
	int rc = tine_map(pool, how == IN_HUNG_MAP ? sleeps_for_ever : naps_long, NULL, 100000, 0,
			  NULL, .chunk = 1, .cancel = flag);
	kit_expect(how == CANCELS && rc == TINE_ECANCELLED);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	_exit(0);
}

/* A host with a terminal of its own, as the shell would start it; returns the other end. */
static int start_on_terminal(int how, pid_t *host)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	kit_expect(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	const char *name = ptsname(master);
	the_family = new_family();
	*host = fork();
	if (*host == 0) {
		close(master);
		setsid();
		int slave = open(name, O_RDWR);
		kit_expect(slave >= 0 && ioctl(slave, TIOCSCTTY, 0) == 0);
		for (int fd = 0; fd < 3; fd++)
			dup2(slave, fd);
		if (slave > 2)
			close(slave);
		be_a_host(how);
	}
	for (double end = now() + 5; atomic_load(&the_family->workers) < 3 && now() < end;)
		nap(0.001);
	kit_expect(atomic_load(&the_family->workers) == 3);
	nap(0.02);
	return master;
}

/* What the terminal shows until it is quiet. */
static int lines_on(int master)
{
	struct pollfd p = {.fd = master, .events = POLLIN};
	char text[4096];
	int lines = 0;

	while (poll(&p, 1, 50) > 0) {
		ssize_t n = read(master, text, sizeof(text));

		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			lines += text[i] == '\n';
	}
	return lines;
}

static int interrupt(void *number)
{
	int how = NUMBER(number), status;
	pid_t host;
	int master = start_on_terminal(how, &host);
	double begin = now();

	kit_expect(write(master, "\003", 1) == 1);
	kit_expect(waitpid(host, &status, 0) == host && now() - begin < 2);
	kit_expect(how == CANCELS ? WIFEXITED(status) && WEXITSTATUS(status) == 0
				  : WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
	kit_expect(all_gone(2) && lines_on(master) <= 1);
	close(master);
	return 0;
}

static int hang_up(void *number)
{
	int status;
	pid_t host;
	int master = start_on_terminal(NUMBER(number), &host);

	close(master);
	kit_expect(waitpid(host, &status, 0) == host && WIFSIGNALED(status) &&
		   WTERMSIG(status) == SIGHUP);
	kit_expect(all_gone(2));
	return 0;
}

/* Ctrl-Z stops the host alone; when it goes on, so does its map. */
static int suspend(void *arg)
{
	int status;
	pid_t host;
	int master = start_on_terminal(CANCELS, &host);

	(void)arg;
	kit_expect(kill(host, SIGSTOP) == 0 && waitpid(host, &status, WUNTRACED) == host &&
		   WIFSTOPPED(status));
	nap(0.1);
	kit_expect(lives(the_family->supervisor) && kill(host, SIGCONT) == 0);
	kit_expect(write(master, "\003", 1) == 1);
	kit_expect(waitpid(host, &status, 0) == host && WIFEXITED(status) &&
		   WEXITSTATUS(status) == 0);
	close(master);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO_WITH(interrupt, IN_MAP),
		SCENARIO_WITH(interrupt, IN_HUNG_MAP),
		SCENARIO_WITH(interrupt, BETWEEN),
		SCENARIO_WITH(interrupt, CANCELS),
		SCENARIO_WITH(hang_up, IN_MAP),
		SCENARIO_WITH(hang_up, BETWEEN),
		SCENARIO(suspend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
