/* SPDX-License-Identifier: MIT */
/* The claim word, and what is concluded from it after a death: every case of a chunk of four items.
 */
#include "kit/kit.h"

#include "pool/claim.h"

static void test_fields(void **state)
{
	uint64_t word =
		tini_claim_make(TINI_CLAIMED, TINI_OWNER_MAX, TINI_TRIES_MAX, TINI_OFFSET_MAX);

	(void)state;
	assert_int_equal(tini_claim_state_of(word), TINI_CLAIMED);
	assert_int_equal(tini_claim_owner(word), TINI_OWNER_MAX);
	assert_int_equal(tini_claim_tries(word), TINI_TRIES_MAX);
	assert_int_equal(tini_claim_offset(word), TINI_OFFSET_MAX);
	assert_int_equal(tini_claim_make(TINI_FREE, 0, 0, 0), 0);
}

static void test_take_once(void **state)
{
	tini_claim word = tini_claim_make(TINI_FREE, 0, 2, 7);
	uint64_t seen;

	(void)state;
	assert_true(tini_claim_take(&word, 5, &seen));
	assert_int_equal(tini_claim_tries(seen), 2);
	assert_int_equal(tini_claim_offset(seen), 7);
	assert_true(tini_claim_is(&word, TINI_CLAIMED, 5));
	assert_false(tini_claim_take(&word, 6, &seen));
	tini_claim_finish(&word, 5);
	assert_true(tini_claim_is(&word, TINI_DONE, 5));
	assert_false(tini_claim_take(&word, 6, &seen));
	tini_claim_offer(&word, 1, 3);
	assert_true(tini_claim_take(&word, 6, &seen));
	assert_int_equal(tini_claim_offset(seen), 3);
}

/* One that was held up since it looked must not take what is offered now. */
static void test_take_only_as_seen(void **state)
{
	tini_claim word = tini_claim_make(TINI_FREE, 0, 0, 7);
	uint64_t seen = word;

	(void)state;
	tini_claim_offer(&word, 0, 8);
	assert_false(tini_claim_take_seen(&word, 5, seen));
	assert_false(tini_claim_take_seen(&word, 5, tini_claim_make(TINI_DONE, 0, 0, 8)));
	assert_true(tini_claim_take_seen(&word, 5, tini_claim_make(TINI_FREE, 0, 0, 8)));
}

typedef struct remains_case {
	const char *name;
	uint64_t offset; /* in the word */
	unsigned tries;  /* in the word */
	uint64_t mark;
	unsigned mark_tries;
	bool lost;
	uint64_t item,
		next; /* expected: the lost item; the first that neither ended nor was lost */
	unsigned next_tries;
} remains_case;

/* A chunk of items 100 .. 103. */
static const remains_case cases[] = {
	{"claimed, nothing begun", 0, 0, 0, 0, false, 0, 0, 0},
	{"claimed, the mark is of another chunk", 0, 0, (uint64_t)(37 + 1) << 1 | 1, 0, false, 0, 0,
	 0},
	{"claimed again, the mark is of the item lost before", 2, 0, (uint64_t)(101 + 1) << 1, 0,
	 false, 0, 2, 0},
	{"claimed for a retry, not begun", 1, 3, 0, 0, false, 0, 1, 3},
	{"first item running", 0, 0, (uint64_t)(100 + 1) << 1, 0, true, 100, 1, 0},
	{"first item ended", 0, 0, (uint64_t)(100 + 1) << 1 | 1, 0, false, 100, 1, 0},
	{"third item running at its second try", 0, 0, (uint64_t)(102 + 1) << 1, 1, true, 102, 3,
	 1},
	{"third item ended after two tries", 0, 0, (uint64_t)(102 + 1) << 1 | 1, 1, false, 102, 3,
	 0},
	{"last item running", 3, 0, (uint64_t)(103 + 1) << 1, 0, true, 103, 4, 0},
	{"last item ended", 0, 0, (uint64_t)(103 + 1) << 1 | 1, 0, false, 103, 4, 0},
	{"the mark is beyond the chunk", 0, 0, (uint64_t)(104 + 1) << 1, 0, false, 0, 0, 0},
};

static void test_remains(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const remains_case *c = &cases[i];
		uint64_t word = tini_claim_make(TINI_CLAIMED, 1, c->tries, c->offset);
		tini_remains r = tini_claim_remains(word, c->mark, c->mark_tries, 100, 4);

		if (r.lost != c->lost || r.offset != c->next || r.tries != c->next_tries ||
		    (c->lost && r.item != c->item))
			fail_msg("%s: lost %d item %d offset %d tries %u", c->name, r.lost,
				 (int)r.item, (int)r.offset, r.tries);
	}
}

static void test_marks(void **state)
{
	(void)state;
	assert_true(tini_mark_is_running(tini_mark_running(0)));
	assert_false(tini_mark_is_running(tini_mark_ended(0)));
	assert_false(tini_mark_is_running(0));
	assert_int_equal(tini_mark_index(tini_mark_running(12345)), 12345);
	assert_int_equal(tini_mark_index(tini_mark_ended(12345)), 12345);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields), cmocka_unit_test(test_take_once),
		cmocka_unit_test(test_take_only_as_seen), cmocka_unit_test(test_remains),
		cmocka_unit_test(test_marks)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
