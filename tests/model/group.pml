/* SPDX-License-Identifier: MIT */
/*
 * The split count of a group: its owner, who spawns, runs tasks and waits; a helper that steals tasks, which spawn
 * others; a stranger that waits for the group.  Each step is one store, load or read-modify-write of shared memory.
 *
 *     here                  there
 *     own_open, own_steps   loop/group.h word[0]; none but the owner writes it: its load and store are one step
 *     others, sleeper       word[1]
 *     own_add, own_end      group.h tini_group_add(), tini_group_end() by the owner
 *     add, end              the same by the helper
 *     look                  group.h tini_group_is_open()
 *     nap                   spawn.c nap(); base/futex.c wait() compares and sleeps in one step
 *     wait                  spawn.c tini_group_join(); a thread without a worker: tine_group_wait()
 *     bag                   the deques: how many tasks of the group lie in the owner's, and in the helper's
 *
 * `open` is how many tasks there are in truth.  Asserted: the owner's wait returns when there is none; the
 * stranger's, when there was none at some moment of its last look; nobody touches the group after the owner's wait
 * has returned (which, as the program must see to, is after the stranger's).  A nap that is never ended is an
 * invalid end state.  Steps are counted modulo 64, which no look sees pass; the count wraps soon after the
 * beginning.
 *
 * Seeded bugs:
 *     BUG1  who ends a task looks at the sleeper bit in a step of its own
 *     BUG2  who looks reads the owner's word once
 *     BUG3  the owner's word has no steps
 *     BUG4  who naps sets the sleeper bit after its look
 *     BUG5  the steps that wrap carry into the open ones
 *     BUG6  who wakes up stores the others' word as it has seen it
 */
#ifndef TASKS
#define TASKS 4
#endif
#ifndef STRANGER
#define STRANGER 1
#endif
#ifndef TIMED
#define TIMED 1 /* 0: no nap ends by itself */
#endif
#define STEPS 64

short own_open, others;
byte own_steps = STEPS - 2;
bool sleeper;

byte open, spawned, bag[2];
bool was_ended[2]; /* the owner's and the stranger's last looks: none was open at some moment */
bool in_futex[2];
bool told; /* the stranger's wait has returned */
bool gone; /* the owner's has */

/* Within d_steps of the callers'. */
inline step()
{
#ifndef BUG3
	own_steps++;
	if
	:: own_steps == STEPS -> own_steps = 0;
#ifdef BUG5
		own_open++
#endif
	:: else
	fi
#else
	skip
#endif
}

inline one_less()
{
	assert(!gone && open > 0);
	open--;
	if
	:: open == 0 -> was_ended[0] = true; was_ended[1] = true
	:: else
	fi
}

inline own_add() { d_step { spawned < TASKS -> open++; spawned++; own_open++; step() } }
inline add() { d_step { spawned < TASKS -> assert(!gone); open++; spawned++; others++ } }
inline own_end() { d_step { own_open--; step(); one_less() } }

inline end()
{
#ifdef BUG1
	d_step { others--; one_less() };
	d_step { assert(!gone); had_sleeper = sleeper };
#else
	d_step { others--; had_sleeper = sleeper; one_less() };
#endif
	if
	:: d_step { had_sleeper -> in_futex[0] = false; in_futex[1] = false; had_sleeper = false }
	:: !had_sleeper
	fi
}

#define OWNER 0
#define OTHER 1

/* ---- waiting -------------------------------------------------------------------------------------------------------- */

#define is_same (after_open == before_open && after_steps == before_steps)

inline forget()
{
	before_open = 0; before_steps = 0; after_open = 0; after_steps = 0; seen_others = 0
}

inline look()
{
	d_step { assert(!gone); was_ended[me] = (open == 0); after_open = own_open; after_steps = own_steps };
	do
	:: d_step { before_open = after_open; before_steps = after_steps; seen_others = others };
#ifndef BUG2
	   d_step { assert(!gone); after_open = own_open; after_steps = own_steps };
#endif
	   if
	   :: d_step { is_same -> is_open = (before_open + seen_others != 0); forget() } -> break
	   :: !is_same
	   fi
	od
}

inline nap()
{
#ifdef BUG4
	look();
	skip;
	d_step { assert(!gone); seen = others; sleeper = true };
#else
	d_step { assert(!gone); seen = others; sleeper = true };
	look();
#endif
	if
	:: !is_open
	:: is_open ->
		if
		:: d_step { others == seen && sleeper -> in_futex[me] = true };
		   if
		   :: !in_futex[me]
#if TIMED
		   :: in_futex[me] -> in_futex[me] = false
#endif
		   fi
		:: others != seen || !sleeper
		fi
	fi;
	d_step {
		assert(!gone);
		sleeper = false;
#ifdef BUG6
		others = seen;
#endif
		seen = 0
	}
}

/* ---- the threads ---------------------------------------------------------------------------------------------------- */

proctype owner()
{
	short before_open, after_open, seen_others, seen;
	byte before_steps, after_steps;
	bool is_open;
	bit me = OWNER;

	do
	:: own_add(); bag[OWNER]++
	:: d_step { bag[OWNER] > 0 -> bag[OWNER]-- } -> own_end()
	:: d_step { bag[OTHER] > 0 -> bag[OTHER]-- } -> own_end()
	:: break
	od;
	do
	:: look();
	   if
	   :: !is_open -> break
	   :: d_step { is_open && bag[OWNER] > 0 -> bag[OWNER]-- } -> own_end()
	   :: d_step { is_open && bag[OWNER] == 0 && bag[OTHER] > 0 -> bag[OTHER]-- } -> own_end()
	   :: is_open && bag[OWNER] == 0 && bag[OTHER] == 0 -> nap()
	   fi
	od;
	assert(open == 0);
	told || !STRANGER;
	gone = true
}

proctype helper()
{
	bool had_sleeper;

	do
	:: gone -> break
	:: d_step { bag[OTHER] > 0 -> bag[OTHER]-- } ->
running:	do
		:: add();
		   bag[OTHER]++
		:: break
		od;
		end()
	:: d_step { bag[OWNER] > 0 -> bag[OWNER]-- } -> goto running
	od
}

#if STRANGER
proctype stranger()
{
	short before_open, after_open, seen_others, seen;
	byte before_steps, after_steps;
	bool is_open;
	bit me = OTHER;

	do
	:: look();
	   if
	   :: !is_open -> assert(was_ended[me]); break
	   :: is_open -> nap()
	   fi
	od;
	told = true
}
#endif

init {
	atomic {
		run owner();
		run helper();
#if STRANGER
		run stranger();
#endif
	}
}
