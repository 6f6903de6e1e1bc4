/* SPDX-License-Identifier: MIT */
/*
 * The sleep and wake protocol: two workers that may be killed or stopped at any step, a submitter of two jobs (a map of
 * two units and a future), the supervisor.  Each step is one store, load or read-modify-write of shared memory.
 *
 *     here                      there
 *     ready_set, ready_clear    ready.c tini_ready_set(), tini_ready_clear(); both jobs lie in one segment
 *     find                      ready.c tini_ready_find(); any bit that is set may be found first
 *     wake_one, wake_lost       ready.c tini_wake_one(), tini_wake_lost()
 *     ring                      ready.c ring(); the bell and the futex are one step: a worker is before its look at the bell
 *                               and heeds only that, or in the futex and heeds only the wake
 *     go_to_sleep               ready.c tini_sleep(); base/futex.c wait() compares and sleeps in one step
 *     worker, finish            worker.c work(); run.c tini_run_job(), run_map(), run_future()
 *     try_end                   job.c tini_job_try_end()
 *     repair                    repair.c tini_repair(); what happens to words is claim.pml's
 *     watch                     supervise.c watch_jobs(): the watchdog
 *     submitter                 future.c tine_submit(), map.c run_job(); wait.c sleep_on(); at last the pool's end
 *
 * One item may be long: it ends when nothing else is left to do; or one worker is stopped, and goes on only then.  So a
 * state in which a unit is free, a live worker sleeps and nobody will wake it is a state in which nothing can go on: an
 * invalid end state.  What a killed worker had claimed is offered again.
 *
 * Seeded bugs:
 *     BUG1  the asleep bit is set after the look at the ready bits
 *     BUG2  the bell is read after the look at the ready bits
 *     BUG3  who sets the segment's bit again, because somebody has set a ready bit meanwhile, wakes nobody
 *     BUG4  nobody rings for those whose asleep bit was taken by a waker that did not ring
 */
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef STOPS
#define STOPS 0 /* 1: a worker may be stopped, and no item is long */
#endif
#ifndef WATCHDOG
#define WATCHDOG 1 /* 1: comes when nothing moves, as 50 ms are long; 2: comes at any time; 0: never */
#endif
#ifndef MAP_FIRST
#define MAP_FIRST 2 /* 1: the map is submitted first; 0: the future; 2: either */
#endif
#ifndef WAITER
#define WAITER 1 /* 0: the submitter's own sleep is left out */
#endif
#define UNITS 3 /* 0 and 1 are the map's, 2 is the future */

#define FREE 0
#define DONE 1
#define CLAIMED 2 /* + the worker */
byte unit[UNITS];

#define UNREAD 0 /* or it does not matter */
#define READ 1
#define RUNG 2

#define NEW 0
#define RUNNING 1
#define WAITED 2 /* running, and the submitter sleeps on it */
#define ENDED 3
byte state[2];

byte ready;   /* a bit per job */
bool segment; /* some of them may be set */
byte asleep;  /* a bit per worker */
byte bell[2]; /* what has happened since its worker has read it */
bool in_futex[2], submitter_in_futex;
byte named[2]; /* job + 1 */
bool closing;

#define KILLED 1
#define GONE 2
byte dead[2];
byte stopped;  /* the worker + 1, which is its process number */
byte long_one; /* the worker that is in a long item + 1; 3: it has ended */

#define bit_of(n) (1 << (n))
#define is_over(j) ((j) == 0 && unit[0] == DONE && unit[1] == DONE || (j) == 1 && unit[2] == DONE)
#define is_free(j) ((j) == 0 && (unit[0] == FREE || unit[1] == FREE) || (j) == 1 && unit[2] == FREE)
#define is_running(j) ((state[j] == RUNNING || state[j] == WAITED) && (WAITER || !is_over(j)))
#define has_work(j) (is_running(j) && is_free(j))

/* Nothing is left but what worker w has in hand. */
#define is_held(u, w) (unit[u] == DONE || unit[u] == CLAIMED + (w))
#define only_held(w) (is_held(0, w) && is_held(1, w) && is_held(2, w))

/* ---- ready.c -------------------------------------------------------------------------------------------------------- */

inline ready_set(j)
{
	ready = ready | bit_of(j);
	segment = true
}

/* Within a d_step of the caller's. */
inline ring(s)
{
	bell[s] = (bell[s] == READ -> RUNG : bell[s]);
	in_futex[s] = false
}

/* The lowest of the bits that were seen. */
inline wake_one(woken)
{
	if
	:: asleep == 0
	:: d_step { asleep != 0 -> bits = asleep };
	   do
	   :: d_step { bits & 1 && asleep & 1 -> asleep = asleep & 2; bits = 0 };
	      d_step { ring(0); woken = true };
	      break
	   :: d_step { bits & 1 && !(asleep & 1) -> bits = bits & 2 }
	   :: d_step { bits == 2 && asleep & 2 -> asleep = asleep & 1; bits = 0 };
	      d_step { ring(1); woken = true };
	      break
	   :: d_step { bits == 2 && !(asleep & 2) -> bits = 0 } -> break
	   :: bits == 0 -> break
	   od
	fi
}

inline wake_lost()
{
#ifndef BUG4
	if
	:: d_step { !(asleep & 1) -> ring(0) }
	:: asleep & 1
	fi;
	if
	:: d_step { !(asleep & 2) -> ring(1) }
	:: asleep & 2
	fi
#else
	skip
#endif
}

inline ready_clear(j)
{
	if
	:: d_step { ready & (3 - bit_of(j)) -> ready = ready & (3 - bit_of(j)) }
	:: d_step { !(ready & (3 - bit_of(j))) -> ready = 0 };
	   segment = false;
	   if
	   :: ready == 0
	   :: ready != 0 -> segment = true;
#ifndef BUG3
		wake_one(_)
#endif
	   fi
	fi
}

/* ---- the job -------------------------------------------------------------------------------------------------------- */

inline try_end(j)
{
#if WAITER
	if
	:: d_step { state[j] == RUNNING && is_over(j) -> state[j] = ENDED }
	:: d_step { state[j] == WAITED && is_over(j) -> state[j] = ENDED };
	   submitter_in_futex = false
	:: !is_running(j) || !is_over(j)
	fi
#else
	skip
#endif
}

/* ---- a worker ------------------------------------------------------------------------------------------------------- */

inline wait_on_bell()
{
#ifdef BUG1
	asleep = asleep | bit_of(me);
#endif
#ifdef BUG2
	bell[me] = READ;
#endif
	if
	:: d_step { !closing && bell[me] == READ -> in_futex[me] = true; bell[me] = UNREAD };
	   d_step { !in_futex[me] -> asleep = asleep & (3 - bit_of(me)) }
	:: d_step { closing || bell[me] == RUNG -> asleep = asleep & (3 - bit_of(me)); bell[me] = UNREAD }
	fi
}

inline go_to_sleep()
{
#ifndef BUG2
	bell[me] = READ;
#endif
#ifndef BUG1
	asleep = asleep | bit_of(me);
#endif
	if
	:: !segment -> wait_on_bell()
	:: segment ->
		if
		:: ready == 0 -> wait_on_bell()
		:: d_step { ready != 0 -> asleep = asleep & (3 - bit_of(me)); bell[me] = UNREAD }
		fi
	fi
}

inline run_unit(u)
{
	if
	:: unit[u] = DONE
#if !STOPS
	:: d_step { long_one == 0 -> long_one = me + 1 };
	   d_step { only_held(me) -> unit[u] = DONE; long_one = 3 }
#endif
	fi
}

inline run_map()
{
	wake_one(_);
	do
	:: d_step { unit[0] == FREE -> unit[0] = CLAIMED + me } -> run_unit(0)
	:: d_step { unit[0] != FREE && unit[1] == FREE -> unit[1] = CLAIMED + me } -> run_unit(1)
	:: unit[0] != FREE && unit[1] != FREE -> break
	od;
	try_end(0)
}

inline run_future()
{
	if
	:: d_step { unit[2] == FREE -> unit[2] = CLAIMED + me };
	   ready_clear(1);
	   run_unit(2);
	   try_end(1)
	:: unit[2] != FREE
	fi
}

inline finish(j)
{
	ready_clear(j);
	if
	:: has_work(j) -> ready_set(j); named[me] = 0
	:: d_step { !has_work(j) -> named[me] = 0 }
	fi
}

proctype worker(bit me) provided (stopped != _pid)
{
	byte bits;
born:
	{
		do
		:: dead[me] == 0 && closing -> break
		:: dead[me] == 0 && !closing && !segment -> go_to_sleep()
		:: dead[me] == 0 && !closing && segment ->
			if
			:: ready == 0 -> go_to_sleep()
			:: d_step { ready & 1 && is_running(0) -> named[me] = 1 };
			   run_map();
			   finish(0)
			:: d_step { ready & 1 && !is_running(0) -> named[me] = 1 };
			   finish(0)
			:: d_step { ready & 2 && is_running(1) -> named[me] = 2 };
			   run_future();
			   finish(1)
			:: d_step { ready & 2 && !is_running(1) -> named[me] = 2 };
			   finish(1)
			fi
		od
	} unless {
		atomic {
			dead[me] == KILLED;
			d_step {
				bits = 0; in_futex[me] = false; bell[me] = UNREAD;
				long_one = (long_one == me + 1 -> 3 : long_one);
				dead[me] = GONE
			}
		};
		goto born
	}
}

/* ---- the supervisor ------------------------------------------------------------------------------------------------- */

#define offered(u) (unit[u] == CLAIMED + s -> FREE : unit[u])

inline find_and_wake_one()
{
	if
	:: !segment
	:: segment ->
		if
		:: d_step { ready == 0 -> woken = true }
		:: ready != 0 -> wake_one(woken)
		fi
	fi
}

inline repair()
{
	d_step {
		asleep = asleep & (3 - bit_of(s));
		if
		:: named[s] != 0 -> unit[0] = offered(0); unit[1] = offered(1); unit[2] = offered(2); j = named[s] - 1
		:: else
		fi
	};
	if
	:: named[s] == 0
	:: named[s] != 0 ->
		try_end(j);
		if
		:: has_work(j) -> ready_set(j)
		:: !has_work(j)
		fi;
		d_step { named[s] = 0; j = 0 }
	fi;
	find_and_wake_one();
	wake_lost();
	d_step { woken = false; dead[s] = 0 }
}

#define is_still(w) (in_futex[w] || stopped == (w) + 1 || long_one == (w) + 1)
#define is_time (WATCHDOG == 2 || submitter_in_futex && is_still(0) && is_still(1))

/* Only where it changes something: who looks for ever is no help. */
#ifndef BUG4
#define is_of_use(j) (has_work(j) && (!(ready & bit_of(j)) || !segment || asleep || in_futex[0] || in_futex[1]))
#else
#define is_of_use(j) (has_work(j) && (!(ready & bit_of(j)) || !segment || asleep))
#endif

inline watch()
{
	ready_set(j);
	j = 0;
	find_and_wake_one();
	if
	:: !woken -> wake_lost()
	:: woken -> woken = false
	fi
}

#define kill(w) s = w; deaths++; dead[w] = KILLED; stopped = (stopped == w + 1 -> 0 : stopped)

proctype supervisor()
{
	byte deaths, bits, j;
	bit s;
	bool woken;

	do
	:: closing -> break
	:: d_step { !closing && deaths < DEATHS -> kill(0) };
	   dead[0] == GONE;
	   repair()
	:: d_step { !closing && deaths < DEATHS -> kill(1) };
	   dead[1] == GONE;
	   repair()
#if WATCHDOG
	:: d_step { !closing && is_time && is_of_use(0) -> j = 0 };
	   watch()
	:: d_step { !closing && is_time && is_of_use(1) -> j = 1 };
	   watch()
#endif
	od;
	skip;
	d_step { ring(0) };
	d_step { ring(1) }
}

/* ---- the submitter -------------------------------------------------------------------------------------------------- */

inline submit(j)
{
	d_step { state[j] = RUNNING; ready = ready | bit_of(j) };
	segment = true;
	wake_one(_)
}

inline wait_for(j)
{
	do
	:: state[j] == ENDED -> break
	:: d_step { state[j] == RUNNING -> state[j] = WAITED }
	:: d_step { state[j] == WAITED -> submitter_in_futex = true };
	   if
	   :: !submitter_in_futex
#if WATCHDOG
	   :: state[j] == ENDED -> submitter_in_futex = false
#endif
	   fi
	od
}

proctype submitter()
{
	byte bits;

	if
#if MAP_FIRST != 0
	:: submit(0); submit(1)
#endif
#if MAP_FIRST != 1
	:: submit(1); submit(0)
#endif
	fi;
#if WAITER
	wait_for(0);
	wait_for(1);
#else
	submitter_in_futex = true;
	is_over(0) && is_over(1);
#endif
	closing = true
}

/* ---- the world ------------------------------------------------------------------------------------------------------ */

init {
	atomic { run worker(0); run worker(1); run supervisor(); run submitter() };
#if STOPS
	if
	:: d_step { dead[0] == 0 -> stopped = 1 }
	:: d_step { dead[1] == 0 -> stopped = 2 }
	:: closing
	fi;
	stopped == 0 || closing || only_held(stopped - 1);
	stopped = 0
#endif
}
