/* SPDX-License-Identifier: MIT */
/*
 * Who sleeps and who wakes in the loop engine: two helpers, pushers that are in a long task after their pushes, a
 * caller that invites helpers into a region and takes back what was not accepted.  Each step is one store, load or
 * read-modify-write of shared memory.
 *
 *     here                          there
 *     helper                        loop/idle.c tini_helper_loop(), spin_for_work(), look_once(), steal_some(),
 *                                   sleep_well()
 *     find_victim, stop_searching   idle.c, the same
 *     wake_searcher                 idle.c tini_wake_searcher()
 *     invite, uninvite              idle.c tini_invite(), tini_uninvite()
 *     look_after_push               spawn.c group_push()
 *     in_futex, ring                base/futex.c wait() compares and sleeps in one step
 *     length                        the deques: how many entries lie there; the details are deque.pml's
 *
 * With -DDELAYS=1 others see a push later: the pusher goes on meanwhile.  The short sleep may end at any time, but
 * not before what was on its way at its beginning has arrived.
 *
 * A state in which an entry lies in a deque and can be taken by nobody but a helper that sleeps without limit is a
 * state in which nothing can go on: an invalid end state.  With -DLONG=1 one helper may have a task that ends only
 * when all has been taken: so nobody may rely on it either.  Asserted: the region's count ends with 0 and is never
 * negative, nobody accepts what was taken back, `asleep` is never negative, and both counters are right when all is
 * quiet.  `searching` may be one less than what it counts, as who wakes a helper counts it afterwards: it may be
 * negative.
 *
 * Seeded bugs:
 *     BUG1  no look at the deques after `asleep` was raised (the short sleep left out too)
 *     BUG2  `asleep` is raised after the mail
 *     BUG3  who takes an invitation back does not compare the mail
 *     BUG4  no short sleep (needs DELAYS)
 *     BUG5  the last one that stops looking does not look in its place (needs LONG)
 *     BUG6  `searching` is compared as if it were never negative (needs LONG)
 *     BUG7  who rings does so before it has changed the mail
 *     BUG8  what a region's task has left in the helper's own deque is left there (needs LONG)
 *     BUG9  a pusher relies on a searcher that may not take from it (needs LIMITED)
 *     BUG10 the last one that stops looking does not see what it has stolen itself (needs LONG, POPS)
 *     BUG11 a pusher that sees somebody asleep looks at `searching` before others can see its push (needs LONG, DELAYS)
 */
#ifndef PUSHERS
#define PUSHERS 2
#endif
#ifndef PUSHES
#define PUSHES 1 /* of each */
#endif
#ifndef CALLERS
#define CALLERS 0 /* 1: a region */
#endif
#ifndef SPAWNS
#define SPAWNS 0 /* 1: its body, where a helper runs it, pushes an entry that nobody waits for */
#endif
#ifndef DELAYS
#define DELAYS 0
#endif
#ifndef LONG
#define LONG 0
#endif
#ifndef POPS
#define POPS 0 /* 1: pusher 0 takes one entry back itself; who steals takes half of what is left too */
#endif
#ifndef LIMITED
#define LIMITED 0 /* 1: what pusher 0 pushes is for helper 0 only */
#endif

#define AWAY 0
#define SEARCHING 1
#define ASLEEP 2
#define REGION 3
byte mail[2];
short searching, asleep;
bool in_futex[2];

#define OWN 2 /* + the helper; pushers' deques come first */
#define NONE 4
byte length[4];
bool unseen[2]; /* pushes that others do not see yet */
byte early[2];  /* which of these were on their way when the helper began its short sleep */

short count; /* of the region's group */
bool is_open;
byte busy; /* pushers and callers that have not finished */
byte long_one;
bool closing;

#define all_taken (length[0] + length[1] + length[2] + length[3] == 0 && !unseen[0] && !unseen[1])
#define limit_of(v) (LIMITED && (v) == 0 -> 1 : 2)
#define may_take(v) (length[v] > 0 && me < limit_of(v))

#ifdef BUG6
#define nobody_searches (searching == 0)
#define was_not_last (searching != 0)
#else
#define nobody_searches (searching <= 0)
#define was_not_last (searching > 0)
#endif

/* ---- waking --------------------------------------------------------------------------------------------------------- */

inline lower_asleep()
{
	d_step { asleep--; assert(asleep >= 0) }
}

#ifdef BUG7
#define change_and_ring(h, from, to, woken) \
	d_step { mail[h] == from -> in_futex[h] = false }; \
	if \
	:: d_step { mail[h] == from -> mail[h] = to }; lower_asleep(); searching++; woken \
	:: mail[h] != from \
	fi
#else
#define change_and_ring(h, from, to, woken) \
	d_step { mail[h] == from -> mail[h] = to }; \
	lower_asleep(); \
	searching++; \
	in_futex[h] = false; \
	woken
#endif

inline wake_searcher(limit)
{
	if
	:: change_and_ring(0, ASLEEP, SEARCHING, skip)
	:: mail[0] != ASLEEP ->
		if
		:: limit < 2
		:: limit >= 2 ->
			if
			:: change_and_ring(1, ASLEEP, SEARCHING, skip)
			:: mail[1] != ASLEEP
			fi
		fi
	fi
}

inline look_after_push(q, is_limited)
{
	if
	:: asleep == 0
	:: asleep != 0 ->
#ifndef BUG11
		!unseen[q];
#endif
		if
#ifndef BUG9
		:: nobody_searches || is_limited
		   -> if :: is_limited -> wake_searcher(1) :: !is_limited -> wake_searcher(2) fi
		:: !nobody_searches && !is_limited
#else
		:: nobody_searches
		   -> if :: is_limited -> wake_searcher(1) :: !is_limited -> wake_searcher(2) fi
		:: !nobody_searches
#endif
		fi
	fi
}

/* ---- a helper ------------------------------------------------------------------------------------------------------- */

inline find_other()
{
	if
	:: d_step { may_take(0) -> victim = 0 }
	:: !may_take(0) ->
		if
		:: d_step { may_take(1) -> victim = 1 }
		:: !may_take(1) ->
			if
			:: d_step { length[OWN + 1 - me] > 0 -> victim = OWN + 1 - me }
			:: d_step { length[OWN + 1 - me] == 0 -> victim = NONE }
			fi
		fi
	fi
}

inline find_victim(own)
{
	if
	:: d_step { own && length[OWN + me] > 0 -> victim = OWN + me }
	:: !own || length[OWN + me] == 0 -> find_other()
	fi
}

inline stop_searching()
{
	if
	:: d_step { searching--; last = !was_not_last };
#ifndef BUG5
	   if
	   :: d_step { last && asleep != 0 -> last = false };
#ifdef BUG10
	      find_victim(false);
#else
	      find_victim(true);
#endif
	      if
	      :: d_step { victim != NONE && limit_of(victim) == 1 -> victim = NONE };
		 wake_searcher(1)
	      :: d_step { victim != NONE && limit_of(victim) == 2 -> victim = NONE };
		 wake_searcher(2)
	      :: victim == NONE
	      fi
	   :: d_step { !last || asleep == 0 -> last = false; victim = NONE }
	   fi
#else
	   d_step { last = false; victim = NONE }
#endif
	fi
}

/* Half of up to three. */
inline steal_more()
{
#if POPS
	if
	:: length[victim] >= 2 ->
		if
		:: d_step { length[victim] > 0 -> length[victim]--; victim = NONE }; length[OWN + me]++
		:: d_step { length[victim] == 0 -> victim = NONE }
		fi
	:: d_step { length[victim] < 2 -> victim = NONE }
	fi
#else
	victim = NONE
#endif
}

inline run_task()
{
	if
	:: skip
#if LONG
	:: d_step { long_one == 0 -> long_one = me + 1 };
	   busy == 0 && all_taken
#endif
	fi
}

inline run_own()
{
	do
	:: d_step { length[OWN + me] > 0 -> length[OWN + me]-- }; run_task()
	:: length[OWN + me] == 0 -> break
	od
}

proctype helper(bit me)
{
	byte victim = NONE;
	bool last, is_short;

away:
	searching++;
	mail[me] = SEARCHING;
look:
	if
	:: mail[me] == REGION ->
		if
		:: d_step { mail[me] == REGION -> assert(is_open && count > 0); mail[me] = AWAY };
		   stop_searching();
#if SPAWNS
		   length[OWN + me]++;
		   look_after_push(1, false);
#endif
		   d_step { count--; assert(count >= 0) };
		   run_task();
#ifndef BUG8
		   run_own();
#endif
		   goto away
		:: mail[me] != REGION -> goto look
		fi
	:: mail[me] != REGION -> find_victim(false)
	fi;
	if
	:: victim == NONE
	:: victim != NONE ->
		if
		:: d_step { mail[me] == SEARCHING -> mail[me] = AWAY };
		   if
		   :: d_step { length[victim] > 0 -> length[victim]-- };
		      steal_more();
		      stop_searching();
		      run_task();
		      run_own();
		      goto away
		   :: d_step { length[victim] == 0 -> victim = NONE; mail[me] = SEARCHING }; goto look
		   fi
		:: d_step { mail[me] != SEARCHING -> victim = NONE }; goto look
		fi
	fi;
	/* sleep_well() */
#ifndef BUG2
	asleep++;
#endif
	if
	:: d_step { mail[me] == SEARCHING -> mail[me] = ASLEEP }
	:: mail[me] != SEARCHING;
#ifndef BUG2
	   lower_asleep();
#endif
	   goto look
	fi;
#ifdef BUG2
	asleep++;
#endif
	searching--;
#if !defined(BUG1) && !defined(BUG4)
	d_step { is_short = true; early[me] = unseen[0] + 2 * unseen[1] };
#endif
again:
#ifndef BUG1
	find_victim(false);
#endif
	if
	:: d_step { victim != NONE -> victim = NONE; is_short = false; early[me] = 0 };
	   if
	   :: d_step { mail[me] == ASLEEP -> mail[me] = SEARCHING }; lower_asleep(); searching++
	   :: mail[me] != ASLEEP
	   fi;
	   goto look
	:: victim == NONE
	fi;
	do
	:: d_step { mail[me] != ASLEEP -> is_short = false; early[me] = 0 }; goto look
	:: d_step { mail[me] == ASLEEP && is_short && early[me] == 0 -> is_short = false }; goto again
	:: d_step { mail[me] == ASLEEP -> in_futex[me] = true };
	   if
	   :: !in_futex[me]
	   :: d_step { in_futex[me] && is_short && early[me] == 0 -> in_futex[me] = false }
	   :: in_futex[me] && closing -> break
	   fi
	od
}

/* ---- the others ----------------------------------------------------------------------------------------------------- */

inline push(q)
{
#if DELAYS
	d_step { !unseen[q] -> unseen[q] = true };
#else
	length[q]++;
#endif
	look_after_push(q, (LIMITED && q == 0))
}

proctype pusher(bit q)
{
	push(q);
#if PUSHES > 1
	push(q);
#endif
#if PUSHES > 2
	push(q);
#endif
#if POPS
	if
	:: d_step { q == 0 && !unseen[0] && length[0] > 0 -> length[0]-- }
	:: q != 0 || !unseen[0] && length[0] == 0
	fi;
#endif
	busy--
}

#if DELAYS
#define arrives(q) unseen[q] -> unseen[q] = false; length[q]++; \
	early[0] = early[0] & (2 - (q)); early[1] = early[1] & (2 - (q))

proctype memory()
{
	do
	:: d_step { arrives(0) }
	:: d_step { arrives(1) }
	:: closing -> break
	od
}
#endif

#if CALLERS
#define take_place(h, from) d_step { mail[h] == from -> mail[h] = REGION }

inline invite(n, wake)
{
	count++;
	if
	:: take_place(0, SEARCHING); n = 0
	:: mail[0] != SEARCHING ->
		if
		:: take_place(1, SEARCHING); n = 1
		:: mail[1] != SEARCHING ->
			if
			:: wake && asleep > 0 ->
				if
				:: change_and_ring(0, ASLEEP, REGION, n = 0)
				:: mail[0] != ASLEEP ->
					if
					:: change_and_ring(1, ASLEEP, REGION, n = 1)
					:: mail[1] != ASLEEP
					fi
				fi
			:: !wake || asleep == 0
			fi
		fi
	fi;
	if
	:: d_step { n == NONE -> count--; assert(count >= 0) }
	:: n != NONE
	fi
}

inline uninvite(n)
{
	if
	:: n == NONE
	:: n != NONE ->
		if
#ifdef BUG3
		:: mail[n] = SEARCHING; d_step { count--; assert(count >= 0) }
#else
		:: d_step { mail[n] == REGION -> mail[n] = SEARCHING }; d_step { count--; assert(count >= 0) }
		:: mail[n] != REGION
#endif
		fi
	fi
}

proctype caller()
{
	byte one = NONE, two = NONE;

	is_open = true;
	invite(one, true);
	invite(two, false);
	uninvite(one);
	uninvite(two);
	d_step { one = NONE; two = NONE };
	d_step { count == 0 -> is_open = false };
	busy--
}
#endif

init {
	atomic {
		busy = PUSHERS + CALLERS;
		run helper(0);
		run helper(1);
#if PUSHERS > 0
		run pusher(0);
#endif
#if PUSHERS > 1
		run pusher(1);
#endif
#if CALLERS
		run caller();
#endif
#if DELAYS
		run memory();
#endif
	};
	busy == 0 && all_taken && in_futex[0] && in_futex[1] && mail[0] == ASLEEP && mail[1] == ASLEEP;
	d_step { assert(searching == 0 && asleep == 2 && count == 0); closing = true }
}
