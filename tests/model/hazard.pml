/* SPDX-License-Identifier: MIT */
/*
 * The life of one job record: used again and again, now for a future, now for a map whose memory is given back, while
 * workers that have found it in the ready bits look at it at any time, and may be killed at any step.
 *
 *     here                there
 *     take                job.c take_record(), map.c make_job(): the map is built while the record is NEW
 *     publish             job.c tini_job_publish()
 *     try_end             job.c tini_job_try_end(), is_done(); a worker leaves the giving back to the others
 *     end_unclaimed       job.c tini_job_end_unclaimed()
 *     let_go, recycle     job.c tini_job_let_go(), tini_job_recycle(), tini_job_discard(), is_looked_at()
 *     sweep               job.c tini_jobs_sweep_limbo()
 *     worker              run.c tini_run_job(), run_map(), run_future(); job.c tini_job_has_work()
 *     repair              repair.c tini_repair(), repair_map(), repair_future()
 *     watch, abort        supervise.c look_at(), watch_jobs(), abort_all()
 *     host                map.c tine_map_with(); future.c tine_submit(), tine_future_get(), tine_future_free()
 *
 * A map has one word.  The use count is the record's state's and the future's word's.  Asserted: no map is looked at
 * before it is built or after it is given back; none is given back twice; a use is ended only when its one item has
 * been run; a record is taken back only from a user who has let go; and each is: else the host waits for ever, an
 * invalid end state.
 *
 * Seeded bugs:
 *     BUG1  a worker looks at the state before it has named the job
 *     BUG2  the state that ends is compared without its use count
 *     BUG3  a worker does not look at the state again after it has loaded the map
 *     BUG4  who recycles does not compare the use with that of which it saw the end
 *     BUG5  a future is RUNNING before its word is the submitter's: DONE, as its last use has left it
 *     BUG6  the supervisor looks at a map without naming the job
 *     BUG7  the limbo is not told of a death: what the dead worker should have given back is lost
 *     BUG8  who ends what is unclaimed does not look whether state, map, word and abort were of one use
 *     BUG9  the supervisor, for a dead worker, loads the map before it looks at the state
 */
#ifndef USES
#define USES 3
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef ABORTS
#define ABORTS 0 /* 1: the supervisor may abort what runs, once */
#endif
#ifndef CANCELS
#define CANCELS 0 /* 1: the host may cancel a future */
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef LOOKS
#define LOOKS 2 /* how often workers look at the job without need */
#endif
#ifndef WATCHES
#define WATCHES 1 /* how often the supervisor looks at it, at any time */
#endif

/* The record's state word. */
#define FREE 0
#define NEW 1
#define RUNNING 2
#define ENDED 3
#define GONE 4 /* the user has let go */
#define state_of(s) ((s) & 3)
#define use_of(s) ((s) >> 3)
#define same(s, to) ((s) & 248 | (to)) /* the same use in another state, without flags */
byte state;

/* A claim word: FREE, or */
#define CLAIMED 1
#define DONE 2
#define word_of(w) ((w) & 3)
#define owner_of(w) ((w) >> 2 & 3)
#define claim(state, owner, use) ((state) | (owner) << 2 | (use) << 4)
#define SUBMITTER 2
#define SUPERVISOR 3
byte word = DONE; /* a future's */

/* The map, by the number of its use; 0: none. */
byte map;
#define BUILDING 1
#define BUILT 2
#define FREED 3
byte memory[USES + 1], map_word[USES + 1];
bool cell[USES + 1];
#define use_map(m) assert(memory[m] == BUILT)
/* A read: its memory must be there. */
#define glance(m) assert(memory[m] == BUILDING || memory[m] == BUILT)
#define check_glance(m) assert(m == 0 || memory[m] == BUILDING || memory[m] == BUILT)

byte named; /* a bit per worker: slot.job */
bool looked_at, limbo, aborted, over;
byte looks = LOOKS;

bool held;            /* the user has not let go */
bool done[USES + 1];  /* the item of this use has been run, or ended otherwise */

#define KILLED 1
#define DEAD 2
byte dead[2];

#define bit_of(n) (1 << (n))

/* What the waiting wait for; hints that are wrong are counted apart. */
#define is_free (state_of(state) == RUNNING && (map == 0 -> word_of(word) == FREE : map_word[map] == FREE))
#define is_done (map == 0 -> word_of(word) == DONE : cell[map])
#define is_same_use (state_of(seen) == RUNNING && (state & 251) == (seen & 251))

/* ---- job.c ---------------------------------------------------------------------------------------------------------- */

#ifdef BUG4
#define is_seen (state_of(seen) == ENDED && seen & GONE && state_of(state) == ENDED)
#else
#define is_seen (state_of(seen) == ENDED && seen & GONE && state == seen)
#endif

inline put_back()
{
	d_step { state = seen; seen = 0; m = 0 };
	limbo = true
}

inline discard()
{
	d_step { assert(!held); state = same(state, FREE); seen = 0 }
}

/* By the host or the supervisor; `seen` is what the caller saw. */
inline recycle()
{
	if
	:: d_step { !is_seen -> seen = 0 }
	:: d_step { is_seen -> seen = state; state = seen - ENDED + NEW };
	   m = map;
	   if
	   :: m == 0 -> discard()
	   :: m != 0 && looked_at -> put_back()
	   :: m != 0 && !looked_at ->
		if
		:: named & 1 -> put_back()
		:: !(named & 1) ->
			if
			:: named & 2 -> put_back()
			:: !(named & 2) -> map = 0;
				d_step { use_map(m); memory[m] = FREED; map_word[m] = 0; cell[m] = false; m = 0 };
				discard()
			fi
		fi
	   fi
	fi
}

inline sweep()
{
	limbo = false;
	seen = state;
	recycle()
}

#ifdef BUG2
#define is_running_still (state_of(state) == RUNNING)
#else
#define is_running_still (state_of(state) == RUNNING && use_of(state) == use_of(seen))
#endif

/* Ends with `seen` as what it has ended, or 0. */
inline try_end()
{
	seen = state;
	if
	:: d_step { state_of(seen) != RUNNING -> seen = 0 }
	:: d_step { state_of(seen) == RUNNING -> m = map };
	   if
	   :: d_step { (m == 0 -> word_of(word) != DONE : !cell[m]) -> check_glance(m); m = 0; seen = 0 }
	   :: d_step { (m == 0 -> word_of(word) == DONE : cell[m]) -> check_glance(m); m = 0 };
		if
		:: d_step {
			is_running_still ->
			assert(done[use_of(state)]);
			seen = state - RUNNING + ENDED;
			state = seen
		   }
		:: d_step { !is_running_still -> seen = 0 }
		fi
	   fi
	fi
}

/* By a worker: it leaves the giving back to the others. */
inline try_end_by_worker()
{
	try_end();
	if
	:: d_step { seen != 0 -> limbo = true; seen = 0 }
	:: seen == 0
	fi
}

/* What is free is ended with the abort's code, in place of a run. */
#define end_as_aborted(u) assert(aborted); done[u] = true

/* By the host or the supervisor.  `seen`, `m` and `w` are of one use. */
inline end_unclaimed(owner)
{
#ifndef BUG8
	seen = state;
#endif
	m = map;
	w = word;
#ifndef BUG8
	found = aborted;
#endif
	if
#ifndef BUG8
	:: d_step { !found || !is_same_use -> m = 0 }
	:: d_step { found && is_same_use -> seen = 0; found = false };
#else
	:: true ->
#endif
	   if
	   :: m != 0 ->
		if
		:: d_step { map_word[m] == FREE -> use_map(m); map_word[m] = claim(CLAIMED, owner, 0) };
		   d_step { use_map(m); end_as_aborted(m); map_word[m] = claim(DONE, owner, 0) };
		   d_step { use_map(m); cell[m] = true };
		   d_step { use_map(m) } /* the next word */
		:: d_step { map_word[m] != FREE -> use_map(m) }
		fi
	   :: m == 0 ->
		if
		:: d_step { word_of(w) == FREE && word == w -> word = claim(CLAIMED, owner, w >> 4) };
		   d_step { end_as_aborted(w >> 4); word = claim(DONE, 0, w >> 4) }
		:: !(word_of(w) == FREE && word == w)
		fi
	   fi
	fi;
	d_step { m = 0; w = 0; seen = 0; found = false };
	try_end();
	recycle()
}

/* ---- a worker ------------------------------------------------------------------------------------------------------- */

inline run_map()
{
	if
	:: d_step { map_word[m] == FREE -> use_map(m); map_word[m] = claim(CLAIMED, me, 0) };
	   d_step { use_map(m); done[m] = true; map_word[m] = claim(DONE, me, 0) };
	   d_step { use_map(m); cell[m] = true }
	:: d_step { map_word[m] != FREE -> use_map(m) }
	fi;
	m = 0;
	try_end_by_worker()
}

inline run_future()
{
	if
	:: d_step { word_of(word) == FREE -> word = claim(CLAIMED, me, word >> 4) };
	   d_step { done[word >> 4] = true; word = claim(DONE, 0, word >> 4) /* by whom does not matter */ };
	   try_end_by_worker()
	:: word_of(word) != FREE
	fi
}

/* tini_job_has_work(): a hint, but its reader must not read what is gone */
inline has_work()
{
	if
	:: state_of(state) != RUNNING
	:: d_step { state_of(state) == RUNNING -> m = map };
	   d_step { check_glance(m); m = 0 }
	fi
}

inline look_at_job()
{
#ifndef BUG1
	named = named | bit_of(me);
#endif
	seen = state;
	m = map;
	if
#ifdef BUG3
	:: d_step { state_of(seen) == RUNNING -> seen = 0 };
#else
	:: d_step { is_same_use -> seen = 0 };
#endif
#ifdef BUG1
	   named = named | bit_of(me);
#endif
	   if
	   :: m != 0 -> run_map()
	   :: m == 0 -> run_future()
	   fi
#ifdef BUG3
	:: d_step { state_of(seen) != RUNNING -> seen = 0; m = 0 }
#else
	:: d_step { !is_same_use -> seen = 0; m = 0 }
#endif
	fi;
	has_work();
	named = named & (3 - bit_of(me))
}

proctype worker(bit me)
{
	byte seen, m;
	bool found;
born:
	{
		do
		:: dead[me] == 0 && over -> break
		:: d_step { dead[me] == 0 && !over && is_free -> skip };
		   look_at_job()
		:: d_step { dead[me] == 0 && !over && !is_free && looks > 0 -> looks-- };
		   look_at_job()
		od
	} unless {
		atomic {
			dead[me] == KILLED;
			d_step { seen = 0; m = 0; found = false; dead[me] = DEAD }
		};
		goto born
	}
}

/* ---- the supervisor ------------------------------------------------------------------------------------------------- */

inline repair()
{
	if
	:: named & bit_of(s) ->
#ifdef BUG9
		m = map;
		if
		:: state_of(state) == RUNNING ->
#else
		if
		:: state_of(state) == RUNNING ->
			m = map;
#endif
			if
			:: d_step {
				m != 0 ->
				glance(m);
				if
				:: map_word[m] == claim(CLAIMED, s, 0) -> map_word[m] = FREE
				:: map_word[m] == claim(DONE, s, 0) -> cell[m] = true
				:: else
				fi
			   }
			:: d_step {
				m == 0 ->
				if
				:: word_of(word) == CLAIMED && owner_of(word) == s -> word = claim(FREE, 0, word >> 4)
				:: else
				fi
			   }
			fi;
			m = 0;
			if
			:: aborted -> end_unclaimed(SUPERVISOR)
			:: !aborted
			fi;
			try_end();
			recycle();
			has_work()
		:: state_of(state) != RUNNING -> m = 0
		fi
	:: !(named & bit_of(s))
	fi;
	named = named & (3 - bit_of(s));
#ifndef BUG7
	limbo = true;
#endif
	dead[s] = 0
}

proctype supervisor()
{
	byte seen, m, w, deaths, watches;
	bit s;
	bool found;

	do
	:: over -> break
	:: d_step { !over && deaths < DEATHS && named & 1 -> s = 0; deaths++; dead[0] = KILLED };
	   dead[0] == DEAD;
	   repair()
	:: d_step { !over && deaths < DEATHS && named & 2 -> s = 1; deaths++; dead[1] = KILLED };
	   dead[1] == DEAD;
	   repair()
	:: !over && limbo -> sweep()
#if WATCHES
	:: d_step { !over && watches < WATCHES -> watches++ };
#ifndef BUG6
		looked_at = true;
#endif
		if
		:: has_work()
#if ABORTS
		:: !aborted && state_of(state) == RUNNING -> aborted = true; end_unclaimed(SUPERVISOR)
#endif
		fi;
		looked_at = false
#endif
	od
}

/* ---- the host ------------------------------------------------------------------------------------------------------- */

inline take()
{
	do
	:: d_step { state_of(state) == FREE -> state = same(state, NEW) + 8; use++; held = true } -> break
	:: limbo -> sweep()
	od;
	aborted = false;
	if
	:: memory[use] = BUILDING; map = use; memory[use] = BUILT
	:: true
	fi
}

inline publish()
{
	if
	:: map == 0 ->
#ifdef BUG5
		state = same(state, RUNNING);
		word = claim(CLAIMED, SUBMITTER, use);
#else
		word = claim(CLAIMED, SUBMITTER, use);
		state = same(state, RUNNING);
#endif
		word = claim(FREE, 0, use)
	:: map != 0 -> state = same(state, RUNNING)
	fi
}

proctype host()
{
	byte seen, m, w, use;
	bool found;

	do
	:: use < USES ->
		take();
		publish();
#if CANCELS
		if
		:: map == 0 -> aborted = true; end_unclaimed(SUBMITTER)
		:: true
		fi;
#endif
		if
		:: map == 0 /* freed before it has ended */
		:: true ->
			do
			:: state_of(state) == ENDED -> break
			:: state_of(state) == RUNNING && is_done -> try_end(); recycle()
			od
		fi;
		atomic { held = false; seen = state | GONE; state = seen };
		recycle()
	:: use == USES -> break
	od;
	do
	:: state_of(state) == FREE -> break
	:: limbo -> sweep()
	od;
	over = true
}

init {
	atomic {
		run worker(0);
		if
		:: WORKERS == 2 -> run worker(1)
		:: WORKERS == 1
		fi;
		run supervisor();
		run host()
	}
}
