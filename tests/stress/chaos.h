/* SPDX-License-Identifier: MIT */
/* What the parts of the chaos test share: one page of counters and orders, seen by all of its processes. */
#ifndef TINE_TESTS_CHAOS_H
#define TINE_TESTS_CHAOS_H

#include <tine.h>

#include <stdatomic.h>
#include <sys/types.h>

enum { MAP_ITEMS = 1000000, TOLD_MAX = 256, HANG_SECONDS = 20 };

/* A process of the pool, known by two numbers that no stranger shares. */
typedef struct told {
	_Atomic pid_t pid;
	_Atomic uint64_t start; /* field 22 of /proc/PID/stat */
} told;

typedef struct tally {
	_Atomic uint64_t maps, items, signals, crashes, lost, wrong, doubled, hung, orphans,
		leaked_fds;
} tally;

typedef struct chaos_state {
	tally sum;
	/* told by the workers in their .init */
	told supervisor, worker[TOLD_MAX];
	_Atomic uint64_t births, left; /* workers that began; that ended in peace */
	_Atomic int workers;           /* of the open pool */
	_Atomic int load;              /* number of the map or batch that runs */
	_Atomic int worked;            /* how often a worker has begun its first item of a load */
	/* orders to the killer */
	_Atomic int armed;           /* 1: workers may be signalled at any time */
	_Atomic int idle_signals;    /* while not armed: how many may be sent all the same */
	_Atomic int kill_supervisor; /* 1: once, now; the killer sets it back */
	_Atomic int end;
	_Atomic double supervisor_died; /* when */
	/* for the watchdog */
	_Atomic double began; /* when what is waited for began; 0: nothing is */
	const char *_Atomic doing;
	_Atomic(tine_pool *) pool;
} chaos_state;

extern chaos_state *chaos;

/* Random numbers: each process has its own. */
uint64_t chaos_random(void);
void chaos_seed(uint64_t seed);
uint64_t chaos_mix(uint64_t x);
double chaos_now(void);
void chaos_nap(double seconds);

/* Something is not as it must be: count it and say it, the first 20 times. */
#define CHAOS_COUNT(what, ...) chaos_count(&chaos->sum.what, #what, __VA_ARGS__)
void chaos_count(_Atomic uint64_t *counter, const char *name, const char *format, ...)
	TINE_PRINTF(3, 4);

/* The watchdog looks after what happens between these two. */
void chaos_begin(const char *doing);
void chaos_end(void);

/* A pool whose workers tell who they are; counted and NULL where it cannot be opened. */
tine_pool *chaos_pool(int workers, size_t tasks_per_worker, tine_init *init);
void chaos_close(tine_pool *pool, int expected);

size_t chaos_in_use(size_t *orphaned); /* bytes of the heap; orphaned may be NULL */

/* killer.c */
pid_t killer_start(uint64_t seed);
void killer_stop(pid_t killer);
int killer_tell(void *context);           /* the .init of chaos_pool() */
void killer_left(void *context);          /* its .exit */
void killer_worked(void);                 /* an item of this worker begins */
void killer_arm(void);                    /* a load begins: workers may be signalled */
int killer_still_there(int *pids);        /* told processes that live; their pids */
void killer_end_all(void);                /* kill what is still there */
void killer_stop_one(bool go_on);         /* SIGSTOP, or SIGCONT, to the first worker told */
void killer_wait_gone(const char *after); /* at most 2 s; what is left then is an orphan */

/* maps.c, futures.c, points.c, ends.c: one kind of load each */
void maps_run(double seconds);
void futures_run(double seconds);
void points_run(void);
void ends_supervisor(int repeats);
int ends_host(void *repeats); /* for kit_run(): in a process that has no heap yet */

/* inside.c: what only the library's internals tell */
void inside_dump(tine_pool *pool);
bool inside_any_asleep(tine_pool *pool); /* does a worker of it sleep now? */
void inside_set_hook(void (*hook)(const char *name));
const char *inside_check_heap(void); /* NULL: it is whole */

#endif
