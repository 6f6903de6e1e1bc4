/* SPDX-License-Identifier: MIT */
/* An init that fails, crashes, exits or hangs: at the open, or later in a worker that takes another's place. */
#include "scenario.h"

typedef struct board {           /* shared */
	_Atomic int inits, good; /* how many of the first inits are good */
	int how;
} board;

enum { FAIL, CRASH, EXIT, EXIT_WELL, KILL, HANG };

static int *volatile nowhere;

static int ends(int how)
{
	switch (how) {
	case FAIL:
		return 17;
	case CRASH:
		*nowhere = 1;
		break;
	case EXIT:
		exit(3);
	case EXIT_WELL:
		exit(0);
	case KILL:
		raise(SIGKILL);
		break;
	default:
		pause();
	}
	return 18;
}

static int goes_bad(void *context)
{
	board *b = context;

	return atomic_fetch_add(&b->inits, 1) < atomic_load(&b->good) ? 0 : ends(b->how);
}

static board *new_board(int how, int good)
{
	board *b = NEED_NEW(tine_shared_alloc(sizeof(*b), .zero = true));

	b->how = how;
	atomic_store(&b->good, good);
	return b;
}

static const char *const words[] = {"17", "SIGSEGV", "exit(3)", "exit(0)", "SIGKILL"};

/* `good` of four inits are: the open fails, with the reason, and no worker is tried twice. */
static int at_open(void *number)
{
	int how = NUMBER(number) / 4, good = NUMBER(number) % 4;
	board *b = new_board(how, good);

	NEED_NULL(TINE_EINIT, tine_pool_open(.workers = 4, .init = goes_bad, .context = b));
	kit_expect(strstr(tine_last_error(), words[how]));
	kit_expect(atomic_load(&b->inits) <= 4 && kit_children() == 0);
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2));
	works(pool);
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

static int dies(const void *arg, void *result)
{
	(void)result;
	raise(*(const int *)arg);
	return 0;
}

/* The workers of the open die, and none that comes after them can begin: the pool says so and the call ends. */
static int later(void *number)
{
	enum { N = 30 };
	board *b = new_board(NUMBER(number), 2);
	int in[N], codes[N];
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 2, .init = goes_bad, .context = b));
	double begin = now();

	for (int i = 0; i < N; i++)
		in[i] = i < 10 ? SIGKILL : 0;
	int rc = tine_map(pool, dies, in, N, sizeof(*in), NULL, .statuses = codes, .chunk = 1);
	kit_expect((rc == TINE_EBROKEN || rc == TINE_EINIT) && tine_last_code() == rc);
	kit_expect(strstr(tine_last_error(), words[NUMBER(number)]) && now() - begin < 5);
	for (int i = 0; i < N; i++)
		kit_expect(codes[i] == 0 || codes[i] == TINE_ECRASHED || codes[i] == rc);
	kit_expect(codes[N - 1] == rc && atomic_load(&b->inits) <= 2 + 3 * 2 + 2);
	NEED(rc, tine_map(pool, dies, in, N, sizeof(*in), NULL, .statuses = codes, .chunk = 1));
	NEED_NULL(rc, tine_submit(pool, dies, in, sizeof(*in), .retries = -1));
	rc = tine_pool_close(pool, TINE_FOREVER);
	kit_expect(rc == 0 || rc == TINE_EBROKEN);
	return 0;
}

/* Some inits fail between good ones: that is not the end. */
static int fails_every_other_time(void *context)
{
	return atomic_fetch_add(&((board *)context)->inits, 1) % 2 == 0 ? 0 : ends(CRASH);
}

static int now_and_then(void *arg)
{
	enum { N = 40 };
	board *b = new_board(CRASH, 0);
	int in[N], codes[N];
	tine_pool *pool = NEED_NEW(
		tine_pool_open(.workers = 1, .init = fails_every_other_time, .context = b));

	(void)arg;
	for (int i = 0; i < N; i++)
		in[i] = i % 2 ? SIGKILL : 0;
	NEED(TINE_EITEMS,
	     tine_map(pool, dies, in, N, sizeof(*in), NULL, .statuses = codes, .chunk = 1));
	for (int i = 0; i < N; i++)
		kit_expect(codes[i] == (i % 2 ? TINE_ECRASHED : 0));
	NEED(0, tine_pool_close(pool, TINE_FOREVER));
	return 0;
}

/* An init may use the heap and print; a pool's exit that crashes or exits harms nobody. */
static void exits_badly(void *context)
{
	if (atomic_fetch_add(&((board *)context)->inits, 1) == 0)
		*nowhere = 1;
	exit(3);
}

static int bad_exit(void *arg)
{
	board *b = new_board(0, 0);
	tine_pool *pool = NEED_NEW(tine_pool_open(.workers = 3, .exit = exits_badly, .context = b));

	(void)arg;
	works(pool);
	NEED(0, tine_pool_close(pool, 10));
	kit_expect(atomic_load(&b->inits) == 3);
	return 0;
}

/* One that never returns: the pool's .timeout and 5 s more end the open. */
static int hangs(void *arg)
{
	board *b = new_board(HANG, 1);
	double begin = now();

	(void)arg;
	NEED_NULL(TINE_EINIT,
		  tine_pool_open(.workers = 2, .init = goes_bad, .context = b, .timeout = 0.1));
	kit_expect(now() - begin > 5 && now() - begin < 8 && *tine_last_error());
	return 0;
}

#define AT_OPEN(how, good)                                                         \
	{                                                                          \
		"at_open, " #how ", " #good, scenario_run, NULL, NULL, &(scenario) \
		{                                                                  \
			at_open, (how)*4 + (good)                                  \
		}                                                                  \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		AT_OPEN(FAIL, 0),           AT_OPEN(FAIL, 3),
		AT_OPEN(CRASH, 0),          AT_OPEN(CRASH, 2),
		AT_OPEN(EXIT, 0),           AT_OPEN(EXIT_WELL, 0),
		AT_OPEN(EXIT_WELL, 1),      AT_OPEN(KILL, 0),
		SCENARIO_WITH(later, FAIL), SCENARIO_WITH(later, CRASH),
		SCENARIO_WITH(later, EXIT), SCENARIO_WITH(later, EXIT_WELL),
		SCENARIO_WITH(later, KILL), SCENARIO(now_and_then),
		SCENARIO(bad_exit),         SCENARIO(hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
