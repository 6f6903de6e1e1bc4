/* SPDX-License-Identifier: MIT */
/*
 * The threads that loops and tasks run on.
 *
 *     team ──> helper[]    threads of ours: look for work, spin a little, sleep
 *         └──> host[]      threads of the program that have called us
 *
 * Each has a tini_worker, which is never unmapped: whoever looks at one that has just ended sees an
 * empty deque.  Work is found in two ways.  A caller that opens a region writes its address into
 * the mail of an idle helper, one cache line that the helper is looking at; and whoever is idle
 * looks at the tops of all deques.
 *
 *     mail:  AWAY <-> SEARCHING <-> ASLEEP      the helper's own steps
 *            SEARCHING -> a region              an invitation, by anyone
 *            ASLEEP -> a region, SEARCHING      the same and a wake-up
 *            a region -> SEARCHING              the invitation taken back, by who gave it
 *            a region -> AWAY                   accepted
 *
 * `searching` counts helpers whose mail is SEARCHING or a region, `asleep` those that are ASLEEP.
 */
#ifndef TINI_LOOP_TEAM_H
#define TINI_LOOP_TEAM_H

#include "loop/deque.h"
#include "loop/region.h"

enum {
	TINI_HELPERS_MAX = TINI_SHARES_MAX - 1,
	TINI_HOSTS_MAX = 1024,
	TINI_LEVELS = 8, /* nested regions of one thread; deeper ones are run by their caller */
};

typedef enum tini_mail { TINI_AWAY, TINI_SEARCHING, TINI_ASLEEP, TINI_MAIL_REGION } tini_mail;

typedef struct tini_worker {
	_Alignas(64) _Atomic uint64_t mail; /* a tini_mail or the address of a region; futex */
	tini_deque deque;
	/* the owner alone writes what follows */
	_Alignas(64) uintptr_t stack_low; /* of its stack; 0: not known */
	size_t stack_size;
	_Atomic(tine_group *) group; /* of the running task; NULL: none */
	tine_group *root;            /* of the innermost stolen task that runs */
	_Atomic uint32_t level;      /* regions that are open here; the same */
	_Atomic bool napping;        /* waits for a group and has found nothing to do */
	uint32_t seed;               /* where to look first */
	int32_t score;               /* whether spinning has paid: see idle.c */
	uint32_t number;             /* in helper[] or host[] */
	bool is_helper;
	_Atomic bool used;      /* a host's: its thread lives */
	_Atomic uint32_t limit; /* threads that may take its tasks; read by thieves */
	int32_t ready_for;   /* number of threads that the last tine_spawn() has found in order */
	uint32_t generation; /* the process it belongs to */
	tini_region region[TINI_LEVELS];
} tini_worker;

typedef struct tini_team {
	_Atomic uint32_t helpers, hosts; /* how many of the places are filled; only grow */
	_Atomic uint32_t wanted;         /* helpers that were asked for; only grows */
	_Atomic uint32_t cpus;           /* that may be used; 0: not asked for yet */
	_Atomic uint32_t generation;     /* counts forks between here and the first process */
	_Alignas(
		64) _Atomic int32_t searching; /* may be below 0 for a moment: mail changes first */
	_Atomic uint32_t asleep;
	_Alignas(64) _Atomic uint32_t open; /* regions at level 0 */
	_Alignas(64) _Atomic(tini_worker *) helper[TINI_HELPERS_MAX];
	_Atomic(tini_worker *) host[TINI_HOSTS_MAX];
} tini_team;

extern tini_team tini_the_team;

extern _Thread_local tini_worker *tini_worker_here __attribute__((tls_model("initial-exec")));

/* This thread's worker, made at its first call; NULL where that cannot be: then run everything at
 * once. */
tini_worker *tini_worker_new(void);
static inline tini_worker *tini_worker_get(void)
{
	return tini_worker_here ? tini_worker_here : tini_worker_new();
}

/* See that there are so many helpers, as far as threads can be started.  Where one cannot, it is
 * tried again after a second, by tini_team_retry(). */
void tini_team_start(uint32_t helpers);
static inline void tini_team_grow(uint32_t helpers)
{
	helpers = helpers < TINI_HELPERS_MAX ? helpers : TINI_HELPERS_MAX;
	if (atomic_load_explicit(&tini_the_team.wanted, memory_order_relaxed) < helpers)
		tini_team_start(helpers); /* it only grows */
}
static inline void tini_team_retry(uint32_t helpers)
{
	helpers = helpers < TINI_HELPERS_MAX ? helpers : TINI_HELPERS_MAX;
	uint32_t wanted = atomic_load_explicit(&tini_the_team.wanted, memory_order_relaxed);

	if (wanted < helpers ||
	    atomic_load_explicit(&tini_the_team.helpers, memory_order_relaxed) < wanted)
		tini_team_start(helpers);
}

/* How many workers there are to look at, and each of them; NULL: not there. */
uint32_t tini_team_size(void);
tini_worker *tini_team_at(uint32_t number);

/* What a helper does all its life. */
_Noreturn void tini_helper_loop(tini_worker *worker);

/* Invite a helper below `limit` that is not busy: one that searches, else, where `wake`, one that
 * sleeps.  Counts it in the region's group before.  Returns its number, or -1. */
int tini_invite(tini_region *region, tini_worker *inviter, uint32_t limit, bool wake);

/* A caller is going to: the line that it will change may be on its way meanwhile. */
void tini_invite_soon(void);

/* Take it back unless it was accepted. */
void tini_uninvite(tini_region *region, tini_worker *inviter, int number);

/* Wake one sleeper below `limit` to search. */
void tini_wake_searcher(uint32_t limit);

/* Run a task that was taken from another's deque, and with it those of its group that lie in the
 * worker's own above `base`; tell the group. */
void tini_run_stolen(tini_worker *worker, const tini_task *task, int64_t base);

/* A moment in a spin; false when it has gone on for too long. */
typedef struct tini_spin {
	int64_t end;
	uint32_t turns;
} tini_spin;
bool tini_spin_allowed(const tini_worker *worker);
bool tini_spin_once(tini_spin *spin);

/* Whether to look at the deques of others in this turn: less and less often, because every look
 * takes a cache line away from who is working with it. */
static inline bool tini_spin_looks(const tini_spin *spin)
{
	uint32_t turns = spin->turns;

	return turns % 32 == 0 || turns == 8 || turns == 16;
}
void tini_spin_scored(tini_worker *worker, bool paid);

#endif
