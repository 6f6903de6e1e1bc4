/* SPDX-License-Identifier: MIT */
/*
 * The table of actors: one word each, so that joining, being adopted and leaving are one step.
 *
 *          |63      34|33    24|23  2|1   0|
 *   LIVE   |start time|pid ns  | pid |state|   the start time and the namespace cut to these bits
 *   ADOPTED|          adopter        |state|
 *
 * Only a certain death counts, as the dead actor's half-done work is undone: the kernel must say
 * that there is no such process, or one that was started at another time, or a zombie without
 * threads.  A pid of another pid namespace means nothing here: such an actor is never taken for
 * dead, and what it was in the middle of stays as it is.
 */
#include "heap/actor.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/killpoint.h"
#include "base/os.h"
#include "heap/commit.h"
#include "heap/layout.h"

enum { NOBODY, LIVE, ADOPTED };

#define START_MASK (((uint64_t)1 << 30) - 1)

_Atomic unsigned tini_actor_cached;
static pthread_mutex_t joining = PTHREAD_MUTEX_INITIALIZER;

void tini_actor_forked(void)
{
	atomic_store(&tini_actor_cached, 0);
	pthread_mutex_init(&joining, NULL);
}

static unsigned state_of(uint64_t w)
{
	return w & 3;
}

static pid_t pid_of(uint64_t w)
{
	return (pid_t)(w >> 2 & 0x3fffff);
}

static unsigned namespace_of(uint64_t w)
{
	return w >> 24 & 1023;
}

static uint64_t start_of(uint64_t w)
{
	return w >> 34;
}

static uint64_t adopted_word(unsigned adopter)
{
	return ADOPTED | (uint64_t)adopter << 2;
}

static unsigned my_namespace(void)
{
	struct stat file;

	return stat("/proc/self/ns/pid", &file) ? 0 : (unsigned)file.st_ino & 1023;
}

static uint64_t live_word(void)
{
	pid_t pid = getpid();

	return LIVE | (uint64_t)pid << 2 | (uint64_t)my_namespace() << 24 |
	       (tini_os_start_time(pid) & START_MASK) << 34;
}

unsigned tini_actor_top(void)
{
	unsigned top = atomic_load(&tini_the_heap.control->actor_top);

	return top < TINI_ACTOR_LIMIT ? top : TINI_ACTOR_LIMIT;
}

/* One number more may be used from now on; the page of its word is backed first. */
static bool raise_top(unsigned top)
{
	tini_lack lack;
	tini_word *word = &tini_the_heap.actors[top];
	bool first_in_page = ((uintptr_t)word & 4095) == 0;

	if (top >= TINI_ACTOR_LIMIT ||
	    (first_in_page && !tini_commit(TINI_CONTROL, word, 4096, &lack)))
		return false;
	atomic_compare_exchange_strong(&tini_the_heap.control->actor_top, &top, top + 1);
	return true;
}

static unsigned take_entry(uint64_t word)
{
	for (unsigned i = 1;; i++) {
		uint64_t nobody = 0;
		unsigned top = tini_actor_top();
		if (i >= top && !raise_top(top))
			return 0;
		if (atomic_load(&tini_the_heap.actors[i]) == 0 &&
		    atomic_compare_exchange_strong(&tini_the_heap.actors[i], &nobody, word))
			return i;
	}
}

unsigned tini_actor_join(void)
{
	pthread_mutex_lock(&joining);
	unsigned me = atomic_load(&tini_actor_cached);
	if (!me) {
		me = take_entry(live_word());
		TINI_KILL_POINT("actor-joined");
		atomic_store(&tini_actor_cached, me);
	}
	pthread_mutex_unlock(&joining);
	return me;
}

bool tini_actor_is_live(unsigned actor)
{
	return actor && actor < tini_actor_top() &&
	       state_of(atomic_load(&tini_the_heap.actors[actor])) == LIVE;
}

/* A zombie with no thread left: one whose main thread has called pthread_exit() still lives. */
static bool is_dead_zombie(pid_t pid)
{
	char path[64], text[1024];

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	if (tini_os_read_file(path, text, sizeof(text)) <= 0)
		return false;
	const char *at = strrchr(text, ')');
	if (!at || !at[1] || !strchr("ZXx", at[2]))
		return false;
	for (int field = 3; at && field <= 20; field++)
		at = strchr(at + 1, ' ');
	return at && strtol(at, NULL, 10) <= 1;
}

static bool is_dead(uint64_t w)
{
	pid_t pid = pid_of(w);

	if (namespace_of(w) != my_namespace())
		return false;
	if (kill(pid, 0) && errno == ESRCH)
		return true;
	uint64_t now = tini_os_start_time(pid) & START_MASK;
	if (now && start_of(w))
		return now != start_of(w);
	return !now && is_dead_zombie(pid);
}

bool tini_actor_seems_gone(unsigned actor)
{
	uint64_t w = atomic_load(&tini_the_heap.actors[actor]);

	return state_of(w) == LIVE && kill(pid_of(w), 0) && errno == ESRCH;
}

bool tini_actor_claim_dead(unsigned actor, pid_t pid)
{
	tini_word *entry = &tini_the_heap.actors[actor];
	uint64_t w = atomic_load(entry);

	if (state_of(w) != LIVE || (pid && pid_of(w) != pid) || !is_dead(w))
		return false;
	unsigned me = tini_actor_me();
	return me && atomic_compare_exchange_strong(entry, &w, adopted_word(me));
}

bool tini_actor_inherit(unsigned actor, unsigned adopter)
{
	uint64_t w = adopted_word(adopter);

	return atomic_compare_exchange_strong(&tini_the_heap.actors[actor], &w,
					      adopted_word(tini_actor_me()));
}

void tini_actor_retire(unsigned actor)
{
	atomic_store(&tini_the_heap.actors[actor], 0);
}

static bool entry_valid(uint64_t w)
{
	return state_of(w) == LIVE ? pid_of(w) > 0 : w == 0;
}

bool tini_actor_table_valid(const char **why)
{
	for (unsigned i = 1; i < tini_actor_top(); i++)
		if (!entry_valid(atomic_load(&tini_the_heap.actors[i]))) {
			*why = "an entry of the table of actors is neither free nor live";
			return false;
		}
	return true;
}
