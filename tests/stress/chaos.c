/* SPDX-License-Identifier: MIT */
/*
 * chaos SECONDS [SEED]: kill the workers of pools at random, under load, and count what should not be.
 *
 *     maps      of a million items, all chunk sizes, with and without retries, 2 to 4 workers, for SECONDS
 *     futures   storms of them, with random cancels and frees, for a tenth of that
 *     points    each step of the protocols at which a worker can die, by name
 *     ends      the supervisor killed, the host killed
 *
 * Last line: what was done and what went wrong; ends with 0 only where nothing did and enough was done.
 */
#include "chaos.h"

#include "kit/kit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

chaos_state *chaos;

static const struct {
	uint64_t items, signals, crashes;
} least = {100000000, 10000, 5000}; /* in 60 s */

/* ---- small things ---- */

static uint64_t random_state;

void chaos_seed(uint64_t seed)
{
	random_state = seed;
}

uint64_t chaos_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

uint64_t chaos_random(void)
{
	return chaos_mix(random_state++);
}

double chaos_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void chaos_nap(double seconds)
{
	struct timespec t = {.tv_sec = (time_t)seconds};

	t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
	nanosleep(&t, NULL);
}

void chaos_count(_Atomic uint64_t *counter, const char *name, const char *format, ...)
{
	static _Atomic int said;
	va_list args;

	atomic_fetch_add(counter, 1);
	if (atomic_fetch_add(&said, 1) >= 20)
		return;
	fprintf(stderr, "chaos: %s: ", name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* ---- the watchdog ---- */

void chaos_begin(const char *doing)
{
	atomic_store(&chaos->doing, doing);
	atomic_store(&chaos->began, chaos_now());
}

void chaos_end(void)
{
	atomic_store(&chaos->began, 0);
}

static void *watchdog(void *ignored)
{
	(void)ignored;
	for (;;) {
		double began = atomic_load(&chaos->began);

		chaos_nap(0.1);
		if (began == 0 || began != atomic_load(&chaos->began) ||
		    chaos_now() - began < HANG_SECONDS)
			continue;
		CHAOS_COUNT(hung, "%s takes more than %d s", atomic_load(&chaos->doing),
			    HANG_SECONDS);
		inside_dump(atomic_load(&chaos->pool));
		if (getenv("CHAOS_STAY"))
			for (;;) /* for gdb */
				pause();
		_exit(1);
	}
	return NULL;
}

/* ---- pools ---- */

tine_pool *chaos_pool(int workers, size_t tasks_per_worker, tine_init *init)
{
	atomic_store(&chaos->workers, workers);
	atomic_store(&chaos->births, 0);
	atomic_store(&chaos->left, 0);
	chaos_begin("tine_pool_open");
	tine_pool *pool = tine_pool_open(.workers = workers, .init = init, .exit = killer_left,
					 .name = "chaos", .tasks_per_worker = tasks_per_worker);
	chaos_end();
	if (!pool)
		CHAOS_COUNT(lost, "tine_pool_open: %s", tine_last_error());
	atomic_store(&chaos->pool, pool);
	return pool;
}

void chaos_close(tine_pool *pool, int expected)
{
	chaos_begin("tine_pool_close");
	int rc = tine_pool_close(pool, HANG_SECONDS + 5);
	chaos_end();
	atomic_store(&chaos->pool, NULL);
	if (rc != expected)
		CHAOS_COUNT(wrong, "tine_pool_close gave %d instead of %d: %s", rc, expected,
			    tine_last_error());
	killer_wait_gone("tine_pool_close");
	if (expected == 0) /* .stats would count only those that died in an item */
		atomic_fetch_add(&chaos->sum.crashes,
				 atomic_load(&chaos->births) - atomic_load(&chaos->left));
}

/* ---- the parts ---- */

size_t chaos_in_use(size_t *orphaned)
{
	tine_heap_figures figures = {.struct_size = sizeof(figures)};

	tine_heap_stats(&figures);
	if (orphaned)
		*orphaned = figures.orphaned;
	return figures.in_use;
}

static void part(const char *name, void (*run)(double seconds), double seconds)
{
	double begin = chaos_now();
	size_t orphaned_before, orphaned, before = chaos_in_use(&orphaned_before);
	int open_before = kit_descriptors();

	run(seconds);
	size_t after = chaos_in_use(&orphaned);
	const char *broken = inside_check_heap();
	fprintf(stderr,
		"chaos: %-10s %5.1f s: %llu maps, %llu items, %llu signals, %llu crashes so far\n",
		name, chaos_now() - begin, (unsigned long long)chaos->sum.maps,
		(unsigned long long)chaos->sum.items, (unsigned long long)chaos->sum.signals,
		(unsigned long long)chaos->sum.crashes);
	orphaned -= orphaned_before;
	if (after != before + orphaned)
		CHAOS_COUNT(lost,
			    "%s: %zu bytes of the heap in use before, %zu after; %zu orphaned",
			    name, before, after, orphaned);
	if (orphaned > 0 && run == futures_run)
		fprintf(stderr,
			"chaos: %zu bytes orphaned: workers killed between tine_result_alloc()'s "
			"block and the telling of it\n",
			orphaned);
	else if (orphaned > 0)
		CHAOS_COUNT(lost, "%s: %zu bytes of the heap orphaned", name, orphaned);
	if (broken)
		CHAOS_COUNT(wrong, "%s: the heap is broken: %s", name, broken);
	for (int i = kit_descriptors(); i > open_before; i--)
		CHAOS_COUNT(leaked_fds, "%s: one descriptor more", name);
}

static void run_points(double seconds)
{
	(void)seconds;
	points_run();
}

static void run_supervisor(double seconds)
{
	ends_supervisor(seconds < 30 ? 4 : 16);
}

typedef struct options {
	double seconds;
	uint64_t seed;
} options;

/* The host of all pools but those that die with their host. */
static int host(void *p)
{
	const options *o = p;
	pthread_t thread;

	chaos_seed(o->seed);
	pid_t killer = killer_start(chaos_random());
	pthread_create(&thread, NULL, watchdog, NULL);
	tine_pool_close(chaos_pool(1, 0, killer_tell),
			TINE_FOREVER); /* what is made once is made here */
	part("maps", maps_run, o->seconds);
	part("futures", futures_run, o->seconds / 10);
	part("points", run_points, o->seconds);
	part("supervisor", run_supervisor, o->seconds);
	killer_stop(killer);
	return 0;
}

/* Run a part in a process of its own; what it leaves behind are orphans. */
static void apart(const char *name, int (*fn)(void *), void *arg, double limit)
{
	kit_outcome outcome = kit_run(fn, arg, limit);

	if (outcome.failed || outcome.signal != 0 || outcome.code != 0)
		fprintf(stderr, "chaos: %s ended with code %d, signal %d\n", name, outcome.code,
			outcome.signal);
	if (outcome.timed_out)
		CHAOS_COUNT(hung, "%s took more than %.0f s", name, limit);
	else if (outcome.failed || outcome.signal != 0 || outcome.code > 1)
		CHAOS_COUNT(lost, "%s did not come to its end", name);
	for (int i = 0; i < outcome.left; i++)
		CHAOS_COUNT(orphans, "%s left %s", name, outcome.names);
}

static int tell_verdict(double seconds)
{
	const tally *sum = &chaos->sum;
	double share = seconds < 60 ? seconds / 60 : 1;
	uint64_t bad =
		sum->lost + sum->wrong + sum->doubled + sum->hung + sum->orphans + sum->leaked_fds;
	bool enough = (double)sum->items >= share * (double)least.items &&
		      (double)sum->signals >= share * (double)least.signals &&
		      (double)sum->crashes >= share * (double)least.crashes;

	if (!enough)
		printf("chaos: too little was done: at least %.0f items, %.0f signals, %.0f "
		       "crashes\n",
		       share * (double)least.items, share * (double)least.signals,
		       share * (double)least.crashes);
#define N(what) (unsigned long long)sum->what
	printf("maps=%llu items=%llu signals=%llu crashes=%llu lost=%llu wrong=%llu doubled=%llu "
	       "hung=%llu "
	       "orphans=%llu leaked_fds=%llu\n",
	       N(maps), N(items), N(signals), N(crashes), N(lost), N(wrong), N(doubled), N(hung),
	       N(orphans), N(leaked_fds));
	return bad == 0 && enough ? 0 : 1;
}

int main(int argc, char **argv)
{
	options o = {argc > 1 ? atof(argv[1]) : 60,
		     argc > 2 ? strtoull(argv[2], NULL, 0)
			      : chaos_mix((uint64_t)time(NULL) ^ (uint64_t)getpid())};
	int repeats = o.seconds < 30 ? 4 : 12;

	chaos = mmap(NULL, sizeof(*chaos), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (chaos == MAP_FAILED || o.seconds <= 0) {
		fprintf(stderr, "usage: chaos SECONDS [SEED]\n");
		return 2;
	}
	printf("chaos: %g s, seed 0x%llx\n", o.seconds, (unsigned long long)o.seed);
	fflush(stdout);
	apart("host", host, &o, 3 * o.seconds + 300);
	apart("host kills", ends_host, &repeats, 120);
	return tell_verdict(o.seconds);
}
