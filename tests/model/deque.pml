/* SPDX-License-Identifier: MIT */
/*
 * The work-stealing deque of the loop engine: an owner that pushes, pops and steals from itself, thieves that
 * steal.  Each step is one store, load or compare-and-swap of shared memory.
 *
 *     here             there
 *     push             loop/deque.h tini_deque_push(); what is refused is run at once: spawn.c tine_spawn()
 *     pop              deque.h tini_deque_pop()
 *     steal            deque.h tini_deque_steal()
 *     set_bottom       the store of bottom that ends a push or a pop; with -DDELAYS=1 others see it later: the owner
 *                      goes on meanwhile, with its own loads and with stores to entries, until its next store of bottom
 *     set_bottom_now   the sequentially consistent store of bottom in pop
 *
 * An entry is two words, written and read one by one.  Asserted: each task is run once, by who has taken it; both
 * words that were read are of the task that was pushed at the index that was taken; top_seen is never ahead of top;
 * in the end the deque is empty.
 *
 * Seeded bugs:
 *     BUG1  pop takes the last entry without moving top
 *     BUG2  push believes that there is room
 *     BUG3  a thief reads the entry after it has moved top
 *     BUG4  push stores bottom before the entry
 *     BUG5  pop stores bottom as push does (needs DELAYS)
 *     BUG6  a thief loads bottom before top
 *     BUG7  pop remembers bottom for top where it has not found the last entry
 *     BUG8  pop leaves bottom as it is where the last entry was stolen
 */
#ifndef SIZE
#define SIZE 2
#endif
#ifndef PUSHES
#define PUSHES 4
#endif
#ifndef THIEVES
#define THIEVES 2
#endif
#ifndef DELAYS
#define DELAYS 0
#endif
#define NOBODY 255

byte top, bottom, top_seen; /* indices begin with 1, so that one less is no negative number */
byte own_bottom;            /* bottom as the owner sees it */
byte delayed;               /* what bottom will be; 0: it is that */
byte first[SIZE], second[SIZE];
byte at[PUSHES + 3]; /* the task that was pushed at an index last, for the assertions */
bool run_already[PUSHES + 1];
bool done;

#define at_slot(index) ((index) % SIZE)

/* Within a d_step of the caller's. */
inline run_task(a, b, index)
{
	assert(a == b && a == at[index]);
	assert(!run_already[a]);
	run_already[a] = true;
	a = 0;
	b = 0
}

inline set_bottom(value)
{
#if DELAYS
	d_step { delayed == 0 -> own_bottom = value; delayed = value }
#else
	d_step { own_bottom = value; bottom = value }
#endif
}

inline set_bottom_now(value)
{
#ifdef BUG5
	set_bottom(value)
#else
	d_step { delayed == 0 -> own_bottom = value; bottom = value }
#endif
}

#ifdef BUG6
#define seems_empty (seen_bottom <= t)
#else
#define seems_empty (own <= t)
#endif

inline steal(own)
{
#ifdef BUG6
	seen_bottom = bottom;
#endif
	t = top;
	if
	:: d_step { seems_empty -> t = 0 }
	:: !seems_empty ->
#ifndef BUG3
		a = first[at_slot(t)];
		b = second[at_slot(t)];
#endif
		if
#ifdef BUG3
		:: d_step { top == t -> top++ };
		   a = first[at_slot(t)];
		   d_step { b = second[at_slot(t)]; run_task(a, b, t); t = 0 }
#else
		:: d_step { top == t -> top++; run_task(a, b, t); t = 0 }
#endif
		:: d_step { top != t -> a = 0; b = 0; t = 0 }
		fi
	fi;
#ifdef BUG6
	seen_bottom = 0
#endif
}

proctype thief()
{
	byte t, a, b;
#ifdef BUG6
	byte seen_bottom;
#endif

	do
	:: !done -> steal(bottom)
	:: done -> break
	od
}

/* ---- the owner ------------------------------------------------------------------------------------------------------ */

inline push()
{
	if
	:: own_bottom - top_seen >= SIZE -> d_step { top_seen = top; assert(top_seen <= top) }
	:: own_bottom - top_seen < SIZE
	fi;
	if
#ifndef BUG2
	:: d_step { own_bottom - top_seen >= SIZE -> run_already[task] = true }
#endif
#ifdef BUG2
	:: d_step { t = own_bottom; at[t] = task };
#else
	:: d_step { own_bottom - top_seen < SIZE -> t = own_bottom; at[t] = task };
#endif
#ifdef BUG4
	   set_bottom(t + 1);
#endif
	   first[at_slot(t)] = task;
	   second[at_slot(t)] = task;
#ifndef BUG4
	   set_bottom(t + 1);
#endif
	   t = 0
	fi
}

inline pop()
{
	if
	:: d_step { own_bottom - 1 < top_seen -> taken = false }
	:: d_step { own_bottom - 1 >= top_seen -> t = own_bottom - 1; taken = true };
	   set_bottom_now(t);
	   seen = top;
	   if
	   :: d_step { seen < t ->
#ifdef BUG7
		top_seen = t;
#endif
		a = first[at_slot(t)]; b = second[at_slot(t)]; run_task(a, b, t) }
	   :: seen == t ->
		d_step { a = first[at_slot(t)]; b = second[at_slot(t)] };
		if
#ifdef BUG1
		:: d_step { run_task(a, b, t); top_seen = t }
#else
		:: d_step { top == t -> top = t + 1; run_task(a, b, t); top_seen = t + 1 }
		:: d_step { top != t -> a = 0; b = 0; taken = false; top_seen = t + 1 }
#endif
		fi;
#ifndef BUG1
		set_bottom(t + 1)
#endif
	   :: d_step { seen > t -> taken = false; top_seen = t + 1 };
#ifndef BUG8
		set_bottom(t + 1)
#endif
	   fi;
	   d_step { assert(top_seen <= top); t = 0; seen = 0 }
	fi
}

proctype owner()
{
	byte task = 1, t, seen, a, b;
	bool taken;
#ifdef BUG6
	byte seen_bottom;
#endif

	do
	:: task <= PUSHES -> push(); task++
	:: task <= PUSHES -> pop()
	:: task <= PUSHES -> steal(own_bottom)
	:: task > PUSHES -> break
	od;
	do
	:: pop();
	   if
	   :: taken
	   :: !taken -> break
	   fi
	od;
	done = true
}

#if DELAYS
proctype memory()
{
	do
	:: d_step { delayed != 0 -> bottom = delayed; delayed = 0 }
	:: done && delayed == 0 -> break
	od
}
#endif

init {
	atomic {
		top = 1; bottom = 1; own_bottom = 1; top_seen = 1;
		run owner();
		run thief();
#if THIEVES > 1
		run thief();
#endif
#if DELAYS
		run memory();
#endif
	};
	_nr_pr == 1;
	d_step {
		byte i;
		for (i : 1 .. PUSHES) {
			assert(run_already[i])
		};
		assert(top == bottom)
	}
}
