/* SPDX-License-Identifier: MIT */
/* A scenario is a function that runs in a process and a process group of its own, with a time limit. */
#ifndef TINE_TESTS_API_SCENARIO_H
#define TINE_TESTS_API_SCENARIO_H

#include "kit/kit.h"

#include <tine.h>

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

typedef struct scenario {
	int (*run)(void *number);
	int number; /* a kind of pool, or what the scenario likes */
} scenario;

static inline void scenario_run(void **state)
{
	scenario *s = *state;

	kit_run_clean(s->run, &s->number, 20);
}

/* A row for cmocka: with processes, serial, with threads, told by KIND(arg); SCENARIO_WORKERS: with
 * processes and with threads; SCENARIO_EACH: all three. */
#define SCENARIO(fn)                                       \
	{                                                  \
#fn, scenario_run, NULL, NULL, &(scenario) \
		{                                          \
			fn, TINE_PROCESSES                 \
		}                                          \
	}
#define SCENARIO_SERIAL(fn)                                           \
	{                                                             \
#fn ", serial", scenario_run, NULL, NULL, &(scenario) \
		{                                                     \
			fn, TINE_SERIAL                               \
		}                                                     \
	}
#define SCENARIO_THREADS(fn)                                           \
	{                                                              \
#fn ", threads", scenario_run, NULL, NULL, &(scenario) \
		{                                                      \
			fn, TINE_THREADS                               \
		}                                                      \
	}
#define SCENARIO_WORKERS(fn) SCENARIO(fn), SCENARIO_THREADS(fn)
#define SCENARIO_EACH(fn) SCENARIO_WORKERS(fn), SCENARIO_SERIAL(fn)
#define SCENARIO_WITH(fn, n)                                       \
	{                                                          \
#fn ", " #n, scenario_run, NULL, NULL, &(scenario) \
		{                                                  \
			fn, n                                      \
		}                                                  \
	}
#define NUMBER(arg) (*(const int *)(arg))
#define KIND(arg) ((tine_pool_kind)NUMBER(arg))

/* Tasks of such a pool run in this process: what is private is theirs too, and so are deaths. */
#define IN_HOST(kind) ((kind) != TINE_PROCESSES)

/* The call gives this code; one that fails says so in words too. */
#define NEED(code, call) scenario_need((code), (call), #call, __FILE__, __LINE__)
static inline void scenario_need(int code, int got, const char *call, const char *file, int line)
{
	if (got == code && (code == 0 || code == TINE_EPENDING ||
			    (tine_last_code() == code && *tine_last_error())))
		return;
	fprintf(stderr, "%s gave %d, last error %d (%s); needed was %d\n", call, got,
		tine_last_code(), tine_last_error(), code);
	kit_leave(call, file, line);
}

/* The call gives NULL and this code. */
#define NEED_NULL(code, call) NEED(code, (call) == NULL ? tine_last_code() : 0)

/* The call makes something. */
#define NEED_NEW(call) scenario_new((call), #call, __FILE__, __LINE__)
static inline void *scenario_new(void *made, const char *call, const char *file, int line)
{
	if (made)
		return made;
	fprintf(stderr, "%s gave NULL: %s\n", call, tine_last_error());
	kit_leave(call, file, line);
}

static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline void nap(double seconds)
{
	struct timespec t = {.tv_sec = (time_t)seconds};

	t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
	nanosleep(&t, NULL);
}

static inline size_t heap_in_use(void)
{
	tine_heap_figures figures = {.struct_size = sizeof(figures)};

	NEED(0, tine_heap_stats(&figures));
	return figures.in_use;
}

/* No more than that is in use, or will be when the last worker has looked away from an ended map. */
static inline bool heap_settles(size_t in_use)
{
	for (double end = now() + 3; now() < end; nap(0.001))
		if (heap_in_use() <= in_use)
			return true;
	fprintf(stderr, "%zu bytes in use instead of %zu\n", heap_in_use(), in_use);
	return false;
}

static inline tine_pool_figures pool_figures(tine_pool *pool)
{
	tine_pool_figures figures = {.struct_size = sizeof(figures)};

	NEED(0, tine_pool_stats(pool, &figures));
	return figures;
}

#endif
