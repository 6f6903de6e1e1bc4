/* SPDX-License-Identifier: MIT */
/*
 * steals [ITEMS [SEED]]: loops, reductions and tasks, nested in each other at random; nothing may be
 * lost, done twice or hung.
 *
 * One function, cover(), marks each index of a range once, in a way drawn at random: as a tree of
 * tasks, as a task for each index, as a loop or a reduction of any schedule, or as a task that nobody
 * here waits for; and of the pieces that come of it some are covered again.  A ground is a range of
 * indices with a byte for each.  It is covered by one thread of the program with the help of Tine's,
 * looked over, and begun again.  Several threads do so at once; they end and others come.
 *
 * An item is a task or a call of a body.  The line before the last tells how many of them another
 * thread did than the one that spawned the task or called the loop.
 *
 * Last line: items=N lost=N doubled=N hung=0|1; ends with 0 only where all but the first are 0.
 */
#include <tine.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	GROUND = 1 << 16, /* indices at most */
	HOSTS = 3,        /* threads of the program that work at the same time */
	PLACES = 1024,    /* for the figures of all threads at the same time */
	THREADS = 5,      /* the highest number of threads that is drawn */
	DEPTH = 12,       /* of covers within covers */
	KIDS = 4,
	HANG_SECONDS = 20,
};

typedef struct ground {
	_Atomic unsigned char mark[GROUND]; /* how often an index was covered */
	tine_group group;                   /* sometimes it is here and not on the host's stack */
} ground;

/* Each thread's own; read by others. */
typedef struct figures {
	_Alignas(64) _Atomic uint64_t tasks, tasks_elsewhere, calls, calls_elsewhere;
	_Atomic int used;
	uint64_t random;
} figures;

typedef struct range {
	ground *on;
	tine_group
		*group; /* of a task inside which all this happens: nothing waits for it but that */
	uint32_t first, count;
	uint16_t depth, by; /* by: the place of the thread that made it */
} range;

static ground grounds[HOSTS];
static figures place[PLACES];
static _Thread_local figures *here;
static uint64_t goal, seed;
static _Atomic uint64_t lost, doubled, covers, hosts_ended;

static void cover(const range *r);

/* ---- small things */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static void take_place(void)
{
	for (int i = 0; i < PLACES; i++)
		if (!atomic_exchange(&place[i].used, 1)) {
			here = &place[i];
			here->random = mix(seed + (uint64_t)i * 0x9e3779b97f4a7c15u);
			return;
		}
	abort(); /* more threads than there can be */
}

static inline figures *self(void)
{
	if (!here)
		take_place();
	return here;
}

static inline uint16_t my_number(void)
{
	return (uint16_t)(self() - place);
}

static inline uint32_t draw(uint32_t below)
{
	figures *f = self();

	f->random += 0x9e3779b97f4a7c15u;
	return (uint32_t)(((mix(f->random) >> 32) * below) >> 32);
}

/* Its thread alone adds to it. */
static inline void add_one(_Atomic uint64_t *figure)
{
	atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static inline void task_begins(uint16_t by)
{
	add_one(&self()->tasks);
	if (by != my_number())
		add_one(&here->tasks_elsewhere);
}

static inline void call_begins(uint16_t by)
{
	add_one(&self()->calls);
	if (by != my_number())
		add_one(&here->calls_elsewhere);
}

static uint64_t items_done(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < PLACES; i++)
		sum += atomic_load_explicit(&place[i].tasks, memory_order_relaxed) +
		       atomic_load_explicit(&place[i].calls, memory_order_relaxed);
	return sum;
}

/* What must not fail has failed: of what was asked some is not done. */
static void must(int code)
{
	if (code == 0)
		return;
	atomic_fetch_add(&lost, 1);
	fprintf(stderr, "steals: %d: %s\n", code, tine_last_error());
}

/* ---- ways to cover a range */

static inline void mark(ground *on, uint32_t index)
{
	atomic_fetch_add_explicit(&on->mark[index], 1, memory_order_relaxed);
}

static void mark_all(const range *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		mark(r->on, r->first + i);
}

/* A piece of what is being covered; most are marked at once. */
static void cover_piece(const range *r)
{
	if (r->count > 16 && r->depth < DEPTH && draw(8) == 0)
		cover(r);
	else
		mark_all(r);
}

/* A task for each index: all of what it must know is in its pointer, for who has spawned it may have
 * gone on. */
static void mark_one(void *arg)
{
	uint64_t word = (uint64_t)(uintptr_t)arg;

	task_begins((uint16_t)(word >> 32));
	mark(&grounds[word >> 48], (uint32_t)word);
}

static void spawn_ones(const range *r, tine_group *group)
{
	uint64_t word = (uint64_t)(r->on - grounds) << 48 | (uint64_t)my_number() << 32;

	for (uint32_t i = 0; i < r->count; i++)
		must(tine_spawn(group, mark_one, (void *)(uintptr_t)(word | (r->first + i))));
}

static void cover_flat(const range *r)
{
	tine_group group = {0};

	if (draw(4) == 0) { /* into the group of others: it is they who wait */
		spawn_ones(r, r->group);
		return;
	}
	spawn_ones(r, &group);
	must(tine_group_wait(&group));
}

static void cover_node(void *arg)
{
	const range *r = arg;

	task_begins(r->by);
	if (r->count > 8 && r->depth < DEPTH)
		cover(r);
	else
		mark_all(r);
}

/* Up to so many children of any lengths; who spawns them sometimes does one itself, and sometimes
 * waits and uses the group again. */
static void cover_tree(const range *r)
{
	tine_group group = {0};
	range kid[KIDS];
	uint32_t kids = 2 + draw(KIDS - 1), at = 0;

	for (uint32_t k = 0; k < kids; k++) {
		uint32_t left = r->count - at, length = k + 1 == kids ? left : draw(left + 1);

		kid[k] =
			(range){r->on,      &group, r->first + at, length, (uint16_t)(r->depth + 1),
				my_number()};
		at += length;
		if (k + 1 == kids && draw(2) == 0)
			cover(&kid[k]);
		else
			must(tine_spawn(&group, cover_node, &kid[k]));
		if (draw(16) == 0)
			must(tine_group_wait(&group));
	}
	must(tine_group_wait(&group));
}

/* A task that outlives who has spawned it. */
static void cover_left_alone(void *arg)
{
	cover_node(arg);
	free(arg);
}

static void cover_leaving(const range *r)
{
	range *piece = malloc(sizeof(*piece));

	if (!piece) {
		mark_all(r);
		return;
	}
	*piece = *r;
	piece->by = my_number();
	must(tine_spawn(r->group, cover_left_alone, piece));
}

static range part_of(const range *r, size_t begin, size_t end)
{
	return (range){r->on,
		       r->group,
		       (uint32_t)begin,
		       (uint32_t)(end - begin),
		       (uint16_t)(r->depth + 1),
		       my_number()};
}

static void loop_body(size_t begin, size_t end, void *context)
{
	const range *r = context;
	range part = part_of(r, begin, end);

	call_begins(r->by);
	cover_piece(&part);
}

static void cover_loop(const range *r)
{
	range all = *r;

	all.by = my_number();
	must(tine_for(r->first, r->first + r->count, loop_body, .context = &all,
		      .schedule = (tine_schedule)draw(TINE_SCHEDULE_GUIDED + 1),
		      .grain = draw(4) == 0 ? draw(64) : 1,
		      .threads = draw(2) == 0 ? (int)draw(THREADS + 1) : 0));
}

/* A partial result is what it was made of; only neighbours may be combined. */
typedef struct span {
	uint64_t begin, end; /* both 0: nothing */
} span;

static void join_spans(void *into, const void *from, void *context)
{
	span *left = into;
	const span *right = from;

	(void)context;
	if (left->end != right->begin)
		atomic_fetch_add(&lost, 1);
	left->end = right->end;
}

static void reduce_body(size_t begin, size_t end, void *context, void *partial)
{
	span *s = partial;

	if (s->end != 0)
		atomic_fetch_add(&doubled, 1);
	*s = (span){begin, end};
	loop_body(begin, end, context);
}

static void cover_reduction(const range *r)
{
	range all = *r;
	span s;

	all.by = my_number();
	must(tine_reduce(r->first, r->first + r->count, reduce_body, join_spans, &all, &s,
			 sizeof(s), .grain = draw(2) == 0 ? draw(16) : 1,
			 .threads = draw(2) == 0 ? (int)draw(THREADS + 1) : 0));
	if (s.begin != r->first || s.end != r->first + r->count)
		atomic_fetch_add(&lost, 1);
}

/* ---- covering */

static void cover_somehow(const range *r)
{
	switch (draw(12)) {
	case 0:
	case 1:
	case 2:
	case 3:
		cover_flat(r);
		break;
	case 4:
	case 5:
	case 6:
		cover_tree(r);
		break;
	case 7:
		cover_leaving(r);
		break;
	case 8:
		cover_reduction(r);
		break;
	default:
		cover_loop(r);
	}
}

/* Each index of the range once: now, or, for what goes to r->group, before that ends. */
static void cover(const range *r)
{
	bool pushes = draw(32) == 0;

	if (r->count == 0 || r->depth >= DEPTH) {
		mark_all(r);
		return;
	}
	if (pushes)
		must(tine_threads_push((int)draw(THREADS + 1)));
	cover_somehow(r);
	if (pushes)
		must(tine_threads_pop());
}

/* ---- grounds */

static void look_over(ground *on, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		unsigned char marks = atomic_load_explicit(&on->mark[i], memory_order_relaxed);

		if (marks == 0)
			atomic_fetch_add(&lost, 1);
		else if (marks > 1)
			atomic_fetch_add(&doubled, 1);
		atomic_store_explicit(&on->mark[i], 0, memory_order_relaxed);
	}
}

static void cover_ground(ground *on)
{
	tine_group group = {0}, *g = draw(4) == 0 ? &on->group : &group;
	uint32_t count = 1 + draw(2u << draw(16));

	if (count > GROUND)
		count = GROUND;
	cover(&(range){on, g, 0, count, 0, my_number()});
	must(tine_group_wait(g));
	look_over(on, count);
	atomic_fetch_add(&covers, 1);
}

/* ---- threads of the program */

static void *host(void *arg)
{
	uint32_t lives = 1 + draw(200);

	for (uint32_t i = 0; i < lives && items_done() < goal; i++)
		cover_ground(arg);
	atomic_fetch_add(&hosts_ended, 1);
	atomic_store(&self()->used, 0); /* the next one counts on in its place */
	return NULL;
}

/* One host after the other. */
static void *hosts(void *arg)
{
	pthread_t thread;

	while (items_done() < goal) {
		if (pthread_create(&thread, NULL, host, arg) != 0)
			host(arg);
		else
			pthread_join(thread, NULL);
	}
	return NULL;
}

static int tell(int hung)
{
	uint64_t sum[4] = {0};

	for (int i = 0; i < PLACES; i++) {
		sum[0] += atomic_load_explicit(&place[i].tasks, memory_order_relaxed);
		sum[1] += atomic_load_explicit(&place[i].tasks_elsewhere, memory_order_relaxed);
		sum[2] += atomic_load_explicit(&place[i].calls, memory_order_relaxed);
		sum[3] += atomic_load_explicit(&place[i].calls_elsewhere, memory_order_relaxed);
	}
	printf("steals: %ju tasks, %ju of them stolen; %ju calls of bodies, %ju of them elsewhere; "
	       "%ju grounds, %ju threads that ended\n",
	       (uintmax_t)sum[0], (uintmax_t)sum[1], (uintmax_t)sum[2], (uintmax_t)sum[3],
	       (uintmax_t)covers, (uintmax_t)hosts_ended);
	printf("items=%ju lost=%ju doubled=%ju hung=%d\n", (uintmax_t)(sum[0] + sum[2]),
	       (uintmax_t)lost, (uintmax_t)doubled, hung);
	fflush(stdout);
	return lost != 0 || doubled != 0 || hung;
}

/* The watchdog; it also changes the number of threads of the process, at any time. */
static void *watch(void *unused)
{
	uint64_t seen = 0, random = seed;
	int still = 0; /* tenths of a second */

	for (;; still++) {
		uint64_t now = items_done();

		if (now != seen)
			still = 0;
		seen = now;
		if (still >= 10 * HANG_SECONDS) {
			tell(1);
			if (getenv("STEALS_STAY"))
				pause(); /* for gdb */
			_exit(1);
		}
		random = mix(random + 0x9e3779b97f4a7c15u);
		must(tine_set_num_threads((int)(random % (THREADS + 1))));
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	}
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t watchdog, thread[HOSTS];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	goal = argc > 1 ? (uint64_t)strtod(argv[1], NULL) : 1000000000;
	seed = argc > 2 ? strtoull(argv[2], NULL, 0)
			: mix((uint64_t)now.tv_nsec ^ (uint64_t)getpid());
	if (goal == 0)
		return fprintf(stderr, "usage: steals [ITEMS [SEED]]\n"), 2;
	printf("steals: %ju items, seed %#jx\n", (uintmax_t)goal, (uintmax_t)seed);
	fflush(stdout);
	if (pthread_create(&watchdog, NULL, watch, NULL) != 0)
		return perror("pthread_create"), 2;
	for (int i = 1; i < HOSTS; i++)
		if (pthread_create(&thread[i], NULL, hosts, &grounds[i]) != 0)
			return perror("pthread_create"), 2;
	while (items_done() < goal) /* the first thread lives as long as the program */
		cover_ground(&grounds[0]);
	for (int i = 1; i < HOSTS; i++)
		pthread_join(thread[i], NULL);
	return tell(0);
}
