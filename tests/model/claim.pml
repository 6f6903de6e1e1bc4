/* SPDX-License-Identifier: MIT */
/*
 * One map, two workers that may be killed at any step, the supervisor that mends after them, and a submitter that may
 * abort.  Each step below is one store, load or read-modify-write of shared memory in the C code; a load and the
 * compare-and-swap that follows it are one step where a failed one changes nothing.
 *
 *     here                       there
 *     worker                     pool/worker.c work(); pool/run.c tini_run_job(), run_map()
 *     take_range                 run.c take_range(), move_cursor(), move_redo(), steal()
 *     run_range, run_item        run.c run_range(), run_chunk(), run_item(); claim.h tini_claim_take(), _finish(), _offer()
 *     try_end                    job.c tini_job_try_end(), is_done()
 *     redo_add, has_work         job.c tini_map_redo(), tini_job_has_work()
 *     end_unclaimed              job.c tini_job_end_unclaimed()
 *     repair                     supervise.c died(), start_missing(); repair.c tini_repair(), repair_range(), settle()
 *     submitter                  map.c look(); wait.c tini_job_look_after(): the watchdog
 *
 * A death is one step with the beginning of its repair: a worker that is dead and not yet found takes no steps, as one
 * that is alive and not scheduled takes none.  Sleep is a wait for the ready bit: how that wait ends is sleep.pml's.
 *
 * Asserted: an item is begun only while it has not ended, without retries once; it ends once; the cells add up to the
 * words only when all words are DONE; at the end results are there and statuses right.  A state in which nothing can go
 * on and the map has not ended is an invalid end state.
 *
 * Seeded bugs:
 *     BUG1  the range is cleared before the cell is told
 *     BUG2  the mark is stored after the task has run
 *     BUG3  the count is stored after the range
 *     BUG4  the count of a range from redo does not leave out words that this slot had DONE before
 *     BUG5  what an outside owner had DONE when it died is not counted again
 *     BUG6  an item that failed, was lost before its mark told so, and runs well when tried again keeps the failed status
 */
#ifndef WORDS
#define WORDS 3
#endif
#ifndef CHUNK
#define CHUNK 1 /* items per word */
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef RETRIES
#define RETRIES 0
#endif
#ifndef ABORTS
#define ABORTS 0 /* 1: the submitter may abort; 2: the supervisor may */
#endif
#ifndef SUBMITTER_DIES
#define SUBMITTER_DIES 0 /* 1: the submitter is a worker itself, and may be killed */
#endif
#ifndef SUPERVISOR_DIES
#define SUPERVISOR_DIES 0 /* 1: the supervisor may be killed; the host buries the pool */
#endif
#ifndef FAILS
#define FAILS 0 /* 1: a task may return a failure */
#endif
#ifndef TASKS
#define TASKS 0 /* items after which a worker leaves; 0: no limit */
#endif
#define ITEMS (WORDS * CHUNK)
#define REDO_STEP 2

/* ---- the claim word, a range, a mark: a byte each, all zero in a fresh job ---------------------------------------- */

#define FREE 0
#define CLAIMED 1
#define DONE 2
#define SUBMITTER 2 /* owners 0 and 1 are the workers */
#define SUPERVISOR 3
#define claim(state, owner, tries, offset) ((state) | (owner) << 2 | (tries) << 4 | (offset) << 5)
#define state_of(w) ((w) & 3)
#define owner_of(w) ((w) >> 2 & 3)
#define tries_of(w) ((w) >> 4 & 1)
#define offset_of(w) ((w) >> 5)
#define is(w, state, owner) (state_of(w) == (state) && owner_of(w) == (owner))

#define range(low, high) ((low) << 4 | (high))
#define low_of(r) ((r) >> 4)
#define high_of(r) ((r) & 15)
#define TAKING 255

#define mark_running(i) (((i) + 1) << 1)
#define mark_ended(i) (((i) + 1) << 1 | 1)
#define is_running(m) ((m) != 0 && !((m) & 1))
#define index_of(m) (((m) >> 1) - 1)

#define bit_of(i) (1 << (i))

byte word[WORDS];
byte cell[4]; /* each worker's, the submitter's, the supervisor's */
byte cursor, redo;
byte results, statuses; /* a bit per item: its result is there; it has failed */
bool job_ended, aborted, ready = true;

byte slot_range[2], slot_count[2], slot_mark[2];
bool slot_job[2], slot_tries[2];

#define KILLED 1
#define GONE 2
byte dead[2], supervisor_dead, submitter_dead; /* 0: alive */

/* What nobody in the program knows: kept to assert on it. */
#define OPEN 0
#define RAN 1
#define LOST 2
#define SKIPPED 3
byte fate[ITEMS], begun[ITEMS];

inline begin(item)
{
	assert(fate[item] == OPEN);
	assert(begun[item] <= RETRIES);
	begun[item]++
}

/*
 * Nothing of it may change any more: what it was is forgotten, which saves states.  Who takes over from one that died
 * in the telling tells the same again.
 */
inline end_as(item, how)
{
	assert(fate[item] == OPEN || (fate[item] == how && how != RAN));
	fate[item] = how;
	begun[item] = 0;
	results = results & (255 - bit_of(item));
	statuses = statuses & (255 - bit_of(item))
}

/* ---- the job: within a d_step of the caller's ---------------------------------------------------------------------- */

#define has_redo (low_of(redo) < high_of(redo))
#define has_work (!job_ended && (cursor < WORDS || has_redo))

inline redo_add(from, to)
{
	if
	:: from == to
	:: from < to && !has_redo -> redo = range(from, to)
	:: from < to && has_redo -> redo = range((from < low_of(redo) -> from : low_of(redo)),
						 (to > high_of(redo) -> to : high_of(redo)))
	fi
}

inline assert_all_done()
{
	i = 0;
	do
	:: i < WORDS -> assert(state_of(word[i]) == DONE); i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < ITEMS -> assert(fate[i] != OPEN && (aborted || fate[i] != SKIPPED)); i++
	:: else -> break
	od;
	i = 0
}

/* Items from `from` on of word w will not run. */
inline leave_out(w, from)
{
	i = w * CHUNK + from;
	do
	:: i < w * CHUNK + CHUNK -> end_as(i, SKIPPED); i++
	:: else -> break
	od;
	i = 0
}

/* ---- the job: steps of their own ----------------------------------------------------------------------------------- */

/* The cells are read one after the other. */
inline try_end()
{
	sum = cell[0] + cell[2];
	d_step {
		if
		:: sum + cell[1] + cell[3] == WORDS && !job_ended -> assert_all_done(); job_ended = true
		:: else
		fi;
		sum = 0
	}
}

inline end_unclaimed(owner)
{
	do
	:: d_step { k < WORDS && state_of(word[k]) != FREE -> k++ }
	:: d_step {
		k < WORDS && state_of(word[k]) == FREE ->
		leave_out(k, offset_of(word[k]));
		word[k] = claim(CLAIMED, owner, 0, 0)
	   };
	   word[k] = claim(DONE, owner, 0, 0);
	   d_step { cell[owner] = cell[owner] + 1; k++ }
	:: d_step { k == WORDS -> k = 0 } -> break
	od;
	try_end()
}

/* ---- a worker ------------------------------------------------------------------------------------------------------ */

#define must_leave (TASKS > 0 && left == 0)

inline take_from_cursor(n)
{
	low = cursor;
	cursor = (cursor + n < WORDS -> cursor + n : WORDS); /* more than WORDS means the same */
	high = cursor
}

inline take_from_redo()
{
	low = low_of(redo);
	high = (low + REDO_STEP < high_of(redo) -> low + REDO_STEP : high_of(redo));
	redo = (high < high_of(redo) -> range(high, high_of(redo)) : 0)
}

/* From the far end of the other's range: a hint, which the claim will tell true or false. */
inline take_from_other()
{
	k = (slot_job[1 - me] && slot_range[1 - me] != TAKING -> high_of(slot_range[1 - me]) : 0);
	do
	:: k > low_of(slot_range[1 - me]) && state_of(word[k - 1]) == FREE -> low = k - 1; high = k; break
	:: k > low_of(slot_range[1 - me]) && state_of(word[k - 1]) != FREE -> k--
	:: else -> break
	od;
	k = 0
}

/* Its own words and its own cell, which nobody else changes. */
inline count_before()
{
	slot_count[me] = cell[me];
#ifndef BUG4
	k = low;
	do
	:: k < high ->
		if
		:: is(word[k], DONE, me) -> slot_count[me] = slot_count[me] - 1; done++
		:: else
		fi;
		k++
	:: else -> break
	od
#endif
}

/* The item i of word k. */
inline run_item()
{
#if RETRIES > 0
	d_step { /* what a lost try has left, which nobody else looks at; then the tries, before the mark */
		results = results & (255 - bit_of(i));
		slot_tries[me] = try
	};
#endif
#ifndef BUG2
	slot_mark[me] = mark_running(i);
#endif
	if /* the task */
	:: d_step { begin(i); results = results | bit_of(i) }
#if FAILS
	:: d_step { begin(i); failed = true };
	   statuses = statuses | bit_of(i)
#endif
	fi;
#if FAILS && RETRIES > 0 && !defined(BUG6)
	if
	:: try && !failed -> statuses = statuses & (255 - bit_of(i))
	:: else
	fi;
#endif
#ifdef BUG2
	slot_mark[me] = mark_running(i);
#endif
	d_step {
		slot_mark[me] = mark_ended(i);
		assert(failed || (results & bit_of(i)));
		assert(failed == ((statuses & bit_of(i)) != 0));
		end_as(i, RAN);
		failed = false;
		try = false;
		left = (TASKS > 0 -> left - 1 : 0);
		i++
	}
}

/* Item i of word k is the next one.  Ends with k at the next word. */
inline run_chunk()
{
	do
	:: d_step { i < k * CHUNK + CHUNK && aborted -> leave_out(k, i - k * CHUNK); i = k * CHUNK + CHUNK }
	:: i < k * CHUNK + CHUNK && !aborted && !must_leave -> run_item()
	:: d_step { i < k * CHUNK + CHUNK && !aborted && must_leave -> word[k] = claim(FREE, 0, try, i - k * CHUNK) };
	   d_step { redo_add(k, k + 1); k++; i = 0; try = false };
	   break
	:: d_step { i == k * CHUNK + CHUNK -> word[k] = claim(DONE, me, 0, 0); done++; k++; i = 0; try = false } -> break
	od
}

inline run_range()
{
	do
	:: d_step {
		k < high && !must_leave && state_of(word[k]) == FREE ->
		i = k * CHUNK + offset_of(word[k]);
		try = tries_of(word[k]);
		word[k] = word[k] | claim(CLAIMED, me, 0, 0)
	   };
	   run_chunk()
	:: d_step { k < high && !must_leave && state_of(word[k]) != FREE -> k++ }
	:: d_step { k < high && must_leave -> redo_add(k, high); k = high }
#ifdef BUG1
	:: d_step { k == high -> slot_range[me] = 0; k = 0; low = 0; high = 0 } -> break
	od;
	atomic { cell[me] = slot_count[me] + done; slot_count[me] = 0; done = 0 }
#else
	:: d_step { k == high -> cell[me] = slot_count[me] + done; k = 0; low = 0; high = 0; done = 0 } -> break
	od;
	atomic { slot_range[me] = 0; slot_count[me] = 0 /* means nothing any more */ }
#endif
}

inline run_map()
{
	do
	:: must_leave -> break
	:: !must_leave -> slot_range[me] = TAKING;
		if
		:: d_step { cursor < WORDS -> take_from_cursor(1) }
		:: d_step { cursor < WORDS -> take_from_cursor(2) }
		:: d_step { cursor == WORDS && has_redo -> take_from_redo() }
		:: cursor == WORDS && !has_redo -> d_step { take_from_other() }
		fi;
		if
		:: d_step { low == high -> slot_range[me] = 0 } -> break
#ifdef BUG3
		:: d_step { low != high -> slot_range[me] = range(low, high) };
		   d_step { count_before(); k = low };
#else
		:: d_step { low != high -> count_before(); slot_range[me] = range(low, high); k = low };
#endif
		   run_range()
		fi
	od;
	if
	:: cursor == WORDS -> try_end()
	:: cursor < WORDS
	fi
}

proctype worker(bit me)
{
	byte low, high, k, i, done, sum, left = TASKS;
	bool try, failed;
born:
	{
		do
		:: job_ended -> break
		:: d_step { dead[me] == 0 && !job_ended && ready -> slot_job[me] = true };
		   run_map();
		   if
		   :: must_leave
		   :: !must_leave -> ready = false;
			if
			:: has_work -> ready = true
			:: !has_work
			fi
		   fi;
		   d_step { slot_mark[me] = 0; slot_job[me] = false; left = (must_leave -> TASKS : left) }
		od
	} unless {
		atomic {
			dead[me] == KILLED;
			d_step {
				low = 0; high = 0; k = 0; i = 0; done = 0; sum = 0; left = TASKS; try = false; failed = false;
				dead[me] = GONE
			}
		};
		goto born
	}
}

/* ---- the supervisor ------------------------------------------------------------------------------------------------ */

/* A claimed word of the dead one's: tini_claim_remains() and settle().  What it reads nobody else writes. */
inline repair_word()
{
	d_step {
		o = offset_of(word[k]);
		try = tries_of(word[k]);
		if
		:: slot_mark[s] != 0 && index_of(slot_mark[s]) >= k * CHUNK + o && index_of(slot_mark[s]) < k * CHUNK + CHUNK ->
			lost = is_running(slot_mark[s]);
			try = (lost -> slot_tries[s] : 0);
			o = index_of(slot_mark[s]) - k * CHUNK + 1
		:: else
		fi;
		if
		:: lost && try < RETRIES && !aborted -> try = try + 1; o = o - 1
		:: lost && !(try < RETRIES && !aborted) -> end_as(index_of(slot_mark[s]), LOST); try = 0
		:: !lost
		fi
	};
	d_step {
		word[k] = (o < CHUNK -> claim(FREE, 0, try, o) : claim(DONE, s, 0, 0));
		lost = false;
		o = 0;
		try = 0
	}
}

inline repair_range()
{
	k = low_of(slot_range[s]);
	do
	:: k < high_of(slot_range[s]) && is(word[k], CLAIMED, s) -> repair_word()
	:: d_step { k < high_of(slot_range[s]) && is(word[k], DONE, s) -> done++; k++ }
	:: d_step { k < high_of(slot_range[s]) && state_of(word[k]) == FREE -> found = true; k++ }
	:: d_step { k < high_of(slot_range[s]) && state_of(word[k]) != FREE && owner_of(word[k]) != s -> k++ }
	:: d_step { k == high_of(slot_range[s]) -> k = 0; cell[s] = slot_count[s] + done } -> break
	od;
	done = 0;
	if
	:: d_step { found -> redo_add(low_of(slot_range[s]), high_of(slot_range[s])); found = false }
	:: !found
	fi
}

inline repair()
{
	if
	:: job_ended
	:: !job_ended ->
		if
		:: d_step { slot_range[s] == TAKING -> redo_add(0, cursor) }
		:: slot_range[s] != TAKING && slot_range[s] != 0 -> repair_range()
		:: slot_range[s] == 0
		fi;
		if
		:: aborted -> end_unclaimed(SUPERVISOR)
		:: !aborted
		fi;
		try_end();
		if
		:: has_work -> ready = true
		:: !has_work
		fi
	fi;
	slot_range[s] = 0;
	d_step { slot_mark[s] = 0; slot_tries[s] = 0; slot_count[s] = 0; slot_job[s] = false }
}

/* What an outside owner that died had in hand; no live one uses its words or its cell. */
inline settle_outside(owner)
{
	k = 0;
	do
	:: k < WORDS ->
		if
		:: is(word[k], CLAIMED, owner) -> leave_out(k, offset_of(word[k])); word[k] = claim(DONE, owner, 0, 0)
		:: else
		fi;
		done = done + (is(word[k], DONE, owner) -> 1 : 0);
		k++
	:: else -> break
	od;
	k = 0;
#ifndef BUG5
	cell[owner] = done;
#endif
	done = 0
}

/* A death between jobs leaves nothing to mend: none is looked at. */
proctype supervisor()
{
	byte deaths, k, i, o, try, done, sum;
	bit s;
	bool lost, found;

	{
		do
		:: job_ended -> break
		:: d_step { !job_ended && deaths < DEATHS && slot_job[0] -> s = 0; dead[0] = KILLED; deaths++ };
		   dead[0] == GONE;
		   repair();
		   dead[0] = 0
		:: d_step { !job_ended && deaths < DEATHS && slot_job[1] -> s = 1; dead[1] = KILLED; deaths++ };
		   dead[1] == GONE;
		   repair();
		   dead[1] = 0
		:: !job_ended && !ready && has_work -> ready = true /* the watchdog */
#if ABORTS == 2
		:: !job_ended && !aborted -> aborted = true; end_unclaimed(SUPERVISOR)
#endif
#if SUBMITTER_DIES
		:: d_step { !job_ended && submitter_dead == 0 -> submitter_dead = KILLED };
		   submitter_dead == GONE;
		   aborted = true;
		   d_step { settle_outside(SUBMITTER) };
		   end_unclaimed(SUPERVISOR)
#endif
		od
	} unless {
		atomic { supervisor_dead == KILLED; supervisor_dead = GONE }
	}
}

/* ---- the submitter ------------------------------------------------------------------------------------------------- */

/* tini_bury_pool(): the workers go on for a while, then die with their parent.  Nobody is left but the host. */
inline bury()
{
	d_step { !job_ended && supervisor_dead == 0 -> supervisor_dead = KILLED };
	supervisor_dead == GONE;
	if
	:: dead[0] == 0 -> dead[0] = KILLED
	:: dead[0] != 0
	fi;
	if
	:: dead[1] == 0 -> dead[1] = KILLED
	:: dead[1] != 0
	fi;
	atomic {
		job_ended || (dead[0] == GONE && dead[1] == GONE);
		s = 0;
		repair();
		s = 1;
		repair();
		s = 0;
		aborted = true;
		settle_outside(SUPERVISOR);
		end_unclaimed(SUPERVISOR);
		assert(job_ended)
	}
}

proctype submitter()
{
	byte k, i, o, try, done, sum;
	bit s;
	bool lost, found;

	{
		do
		:: job_ended -> break
#if ABORTS == 1
		:: !aborted && !job_ended -> aborted = true; end_unclaimed(SUBMITTER)
#endif
#if SUPERVISOR_DIES
		:: bury()
#endif
		od
	} unless {
		atomic { submitter_dead == KILLED; submitter_dead = GONE }
	}
}

init {
	atomic { run worker(0); run worker(1); run supervisor(); run submitter() }
}
