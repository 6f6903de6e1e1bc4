/* SPDX-License-Identifier: MIT */
/* Blocks of every size in one process: against a slow reference, misuse, figures, faults. */
#include "kit/kit.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tine/heap.h>

#include "base/error.h"
#include "base/fault.h"
#include "heap/figures.h"
#include "heap/heap.h"
#include "heap/slab.h"

static void assert_valid(void)
{
	const char *why;

	if (!tini_heap_valid(&why))
		fail_msg("%s", why);
}

static tine_heap_figures figures(void)
{
	tine_heap_figures f = {.struct_size = sizeof(f)};

	assert_int_equal(tine_heap_stats(&f), 0);
	assert_valid();
	return f;
}

static void assert_refused(int code, const char *text)
{
	assert_int_equal(tine_last_code(), code);
	if (!strstr(tine_last_error(), text))
		fail_msg("\"%s\" is not in: %s", text, tine_last_error());
}

/* Before anything else: the other tests start the heap. */
static void test_before_start(void **state)
{
	tine_heap_figures f = {.struct_size = sizeof(f)};
	int fds[4], here = 0;

	(void)state;
	assert_int_equal(tine_heap_stats(&f), 0);
	assert_int_equal(f.reserved, 0);
	assert_int_equal(tini_heap_descriptors(fds), 0);
	assert_true(tini_heap_valid(NULL));
	assert_false(tine_is_shared(&here));
	assert_false(tine_is_shared(NULL));
	assert_int_equal(tini_heap_block_size(&here), 0);
	tini_heap_actor_died(getpid());
	tine_shared_free(NULL);
	unsigned long told = tini_error_count();
	tine_shared_free(&here);
	assert_int_equal(tini_error_count(), told + 1);
	assert_refused(TINE_EINVAL, "no live block");
}

/* ---- sizes */

static void test_classes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TINI_CLASSES; i++) {
		const tini_class *kind = &tini_classes[i];
		uint32_t blocks = kind->blocks;
		assert_int_equal(kind->size % (kind->size < 64 ? 16 : 64), 0);
		assert_true(blocks * kind->size <= 65536 && (blocks + 1) * kind->size > 65536);
		assert_true(kind->words <= TINI_SLAB_WORDS);
		assert_int_equal((kind->words - 1) * TINI_WORD_BLOCKS +
					 (uint32_t)__builtin_popcountl(kind->last_mask),
				 blocks);
		for (uint64_t offset = 0; offset < 65536; offset++)
			assert_int_equal(offset * kind->reciprocal >> 32, offset / kind->size);
	}
	for (size_t size = 0; size <= TINI_SMALL_MAX; size++) {
		unsigned i = 0;
		while (tini_classes[i].size < size)
			i++;
		assert_int_equal(tini_class_for(size), i);
	}
}

static size_t usable_size(size_t size)
{
	if (size <= 32768)
		return tini_classes[tini_class_for(size)].size;
	size_t unit = size <= 1 << 20 ? 65536 : 2 << 20;
	return (size + unit - 1) / unit * unit;
}

static size_t alignment(size_t size)
{
	return size > 1 << 20 ? 2 << 20 : size > 32768 ? 65536 : size > 48 ? 64 : 16;
}

static void check_size(size_t size)
{
	unsigned char *p = tine_shared_alloc(size), *last = p + (size ? size - 1 : 0);

	assert_non_null(p);
	assert_int_equal((uintptr_t)p % alignment(size), 0);
	assert_int_equal(tini_heap_block_size(p), usable_size(size));
	assert_true(tine_is_shared(p) && tine_is_shared(last));
	*p = *last = 0xee;
	tine_shared_free(p);
	assert_int_equal(tini_heap_block_size(p), 0);
}

static void test_sizes(void **state)
{
	(void)state;
	for (size_t size = 0; size < 2000; size++)
		check_size(size);
	for (size_t power = 1024; power <= 64 << 20; power *= 2)
		for (size_t size = power - 2; size <= power + 2; size++)
			check_size(size);
	for (unsigned i = 0; i < TINI_CLASSES; i++)
		for (size_t size = tini_classes[i].size - 1; size <= tini_classes[i].size + 1;
		     size++)
			check_size(size);
	assert_int_equal(figures().in_use, 0);
}

static bool all_zero(const unsigned char *p, size_t size)
{
	return !p[0] && !memcmp(p, p + 1, size - 1);
}

static void test_zero(void **state)
{
	const size_t sizes[] = {1, 16, 17, 100, 4096, 32768, 32769, 1 << 20, 3 << 20};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int round = 0; round < 6; round++) {
			size_t size = sizes[i];
			unsigned char *p = round % 3 == 0   ? tine_shared_alloc(size, .zero = true)
					   : round % 3 == 1 ? tini_heap_alloc(size)
							    : tini_heap_alloc_lazy(size);
			assert_non_null(p);
			assert_true(all_zero(p, tini_heap_block_size(p)));
			memset(p, 0xff, tini_heap_block_size(p));
			tini_heap_free(p);
		}
}

/* ---- random blocks against a reference that knows every byte */

enum { LIVE = 3000 };

static uint64_t random_state = 88172645463325252;

static uint64_t draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static size_t draw_size(void)
{
	unsigned bits = draw() % 100 < 97 ? 4 + draw() % 12 : 16 + draw() % 6;

	return draw() % ((size_t)1 << bits);
}

typedef struct block {
	unsigned char *p;
	size_t size;
	unsigned char fill;
} block;

static void fill_block(block *b)
{
	b->size = draw_size();
	b->p = tine_shared_alloc(b->size, .lazy = draw() % 8 == 0);
	b->fill = (unsigned char)draw();
	assert_non_null(b->p);
	memset(b->p, b->fill, b->size);
}

static void drop_block(block *b)
{
	size_t step = b->size > 4096 ? 997 : 1;

	for (size_t i = 0; i < b->size; i += step)
		assert_int_equal(b->p[i], b->fill);
	tine_shared_free(b->p);
	b->p = NULL;
}

static size_t sum_of(const block *blocks)
{
	size_t sum = 0;

	for (int i = 0; i < LIVE; i++)
		sum += blocks[i].p ? usable_size(blocks[i].size) : 0;
	return sum;
}

static void test_random(void **state)
{
	static block blocks[LIVE];

	(void)state;
	for (int round = 0; round < 60000; round++) {
		block *b = &blocks[draw() % LIVE];
		if (b->p)
			drop_block(b);
		else
			fill_block(b);
		if (round % 10000 == 0)
			assert_int_equal(figures().in_use, sum_of(blocks));
	}
	for (int i = 0; i < LIVE; i++)
		if (blocks[i].p)
			drop_block(&blocks[i]);
	assert_int_equal(figures().in_use, 0);
}

/* What was freed is given back: at most the current and one spare slab of each class stay. */
static void test_given_back(void **state)
{
	enum { N = 100000 };
	static void *p[N];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++)
			assert_non_null(p[i] = tine_shared_alloc(300));
		assert_true(figures().committed > (size_t)N * 300);
		for (int i = 0; i < N; i++)
			tine_shared_free(p[i]);
		assert_true(figures().committed < (size_t)N * 300 / 4);
	}
}

/* ---- misuse changes nothing and is told */

static void assert_bad_free(void *p, const char *text)
{
	size_t before = figures().in_use;
	unsigned long told = tini_error_count();

	tine_shared_free(p);
	assert_int_equal(tini_error_count(), told + 1);
	assert_refused(TINE_EINVAL, text);
	assert_int_equal(figures().in_use, before);
}

static void test_misuse(void **state)
{
	const size_t sizes[] = {16, 48, 100, 5000, 32768, 200000, 5 << 20};
	int fds[4];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *keep = tine_shared_alloc(sizes[i]), *p = tine_shared_alloc(sizes[i]);
		for (size_t inside = 1; inside < sizes[i]; inside *= 2)
			assert_bad_free(p + inside, "");
		assert_int_equal(tini_heap_block_size(p + 1), 0);
		if (sizes[i] >= 200000)
			assert_bad_free(p + (sizes[i] > 1 << 20 ? 2 << 20 : 65536),
					"no live block");
		tine_shared_free(p);
		assert_bad_free(p, "");
		tini_heap_hand_over(p);
		assert_int_equal(tini_heap_block_size(p), 0);
		tine_shared_free(keep);
	}
	assert_bad_free(&fds, "no live block");
	assert_bad_free((void *)1, "no live block");
	assert_bad_free(tini_heap_line(0), "no live block");
	assert_bad_free((char *)tini_heap_line(0) + ((size_t)1 << 39), "no live block");
	assert_int_equal(tini_heap_descriptors(fds), 3);
}

static void test_absurd_sizes(void **state)
{
	(void)state;
	assert_null(tine_shared_alloc(SIZE_MAX));
	assert_refused(TINE_ENOMEM, "16.0 EiB asked");
	assert_refused(TINE_ENOMEM, "largest free");
	assert_null(tine_shared_alloc(SIZE_MAX - 4095, .lazy = true));
	assert_refused(TINE_ENOMEM, "largest free");
	assert_null(tine_shared_alloc((size_t)1 << 40, .lazy = true));
	assert_refused(TINE_ENOMEM, "1.0 TiB asked");
	size_t most = figures().largest_free;
	assert_null(tine_shared_alloc(most + 1, .lazy = true));
	void *p = tine_shared_alloc(most, .lazy = true);
	assert_non_null(p);
	assert_int_equal(tini_heap_block_size(p), most);
	assert_null(tine_shared_alloc(2 << 20, .lazy = true));
	assert_refused(TINE_ENOMEM, "2.0 MiB asked");
	tine_shared_free(p);
	assert_null(tine_shared_alloc(most)); /* committed: more than any machine of ours has */
	assert_int_equal(tine_last_code(), TINE_ENOMEM);
	assert_int_equal(figures().in_use, 0);
}

static void test_options(void **state)
{
	struct {
		tine_shared_alloc_args args;
		size_t unknown;
	} newer = {.args = {.struct_size = sizeof(newer), .size = 100}};
	struct {
		size_t struct_size, size;
	} older = {sizeof(older), 100};
	struct {
		tine_heap_figures figures;
		size_t unknown;
	} more = {.figures = {.struct_size = sizeof(more)}};
	struct {
		size_t struct_size, reserved, committed, untouched;
	} less = {.struct_size = 3 * sizeof(size_t), .untouched = 7};

	(void)state;
	tine_shared_free(tine_shared_alloc_with(&newer.args));
	newer.unknown = 1;
	assert_null(tine_shared_alloc_with(&newer.args));
	assert_int_equal(tine_last_code(), TINE_EVERSION);
	tine_shared_free(tine_shared_alloc_with((tine_shared_alloc_args *)&older));
	assert_null(tine_shared_alloc_with(NULL));
	assert_int_equal(tine_last_code(), TINE_EINVAL);
	assert_int_equal(tine_heap_stats(&more.figures), 0);
	assert_int_equal(more.figures.struct_size, sizeof(more));
	assert_true(more.figures.reserved > 0);
	more.unknown = 1;
	assert_int_equal(tine_heap_stats(&more.figures), TINE_EVERSION);
	assert_int_equal(tine_heap_stats((tine_heap_figures *)&less), 0);
	assert_int_equal(less.reserved, more.figures.reserved);
	assert_int_equal(less.untouched, 7);
	assert_int_equal(tine_heap_stats(NULL), TINE_EINVAL);
}

/* Every mapping stays out of core dumps, as a dump would allocate the holes; guards lie between. */
static void test_mappings(void **state)
{
	char line[512], permissions[8];
	unsigned long from, to, maps = 0, guards = 0, undumped = 0;
	bool ours = false;
	FILE *file = fopen("/proc/self/smaps", "r");

	(void)state;
	assert_non_null(file);
	uintptr_t begin = (uintptr_t)tini_heap_line(0) - 4096, end = begin + figures().reserved;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, permissions) == 3) {
			ours = from >= begin && from < end;
			maps += ours;
			guards += ours && !strcmp(permissions, "---s");
		} else if (ours && !strncmp(line, "VmFlags:", 8)) {
			undumped += strstr(line, " dd") != NULL;
		}
	}
	fclose(file);
	assert_int_equal(maps, 5);
	assert_int_equal(guards, 2);
	assert_int_equal(undumped, maps);
}

static void test_lines(void **state)
{
	(void)state;
	for (int i = 0; i < TINI_LINE_END; i++) {
		unsigned char *line = tini_heap_line(i);
		assert_true(all_zero(line, 64));
		assert_int_equal((uintptr_t)line % 64, 0);
		memset(line, 0xff, 64);
	}
	assert_valid();
	memset(tini_heap_line(0), 0, (size_t)64 * TINI_LINE_END);
}

static void test_cancel(void **state)
{
	tine_cancel *cancel = tine_cancel_new();

	(void)state;
	assert_non_null(cancel);
	assert_true(tine_is_shared(cancel));
	assert_false(tine_cancel_requested(cancel));
	tine_cancel_request(cancel);
	tine_cancel_request(cancel);
	assert_true(tine_cancel_requested(cancel));
	tine_cancel_free(cancel);
	tine_cancel_free(NULL);
	assert_false(tine_cancel_requested(NULL));
	tine_cancel_request(NULL);
	assert_int_equal(figures().in_use, 0);
}

/* ---- faults: each n-th failure leaves the heap whole, and all is freed */

static int use_all_kinds(void *context)
{
	const size_t sizes[] = {10, 700, 30000, 100000, 1 << 20, 5 << 20};
	void *p[6] = {0};
	int code = 0;

	(void)context;
	for (int i = 0; i < 6 && !code; i++) {
		p[i] = i % 2 ? tini_heap_alloc(sizes[i]) : tine_shared_alloc(sizes[i]);
		if (!p[i])
			code = tine_last_code();
		else
			memset(p[i], 1, sizes[i]);
	}
	for (int i = 0; i < 6; i++)
		tine_shared_free(p[i]);
	assert_valid();
	return code;
}

static void test_faults(void **state)
{
	(void)state;
	kit_each_fault(TINI_FAULT_SHARED, use_all_kinds, NULL);
	kit_each_fault(TINI_FAULT_SYSTEM, use_all_kinds, NULL);
	assert_int_equal(figures().in_use, 0);
	/* where giving back failed, the pages were zeroed */
	unsigned char *p = tini_heap_alloc(1 << 20);
	assert_true(all_zero(p, 1 << 20));
	tini_heap_free(p);
}

static void test_size_text(void **state)
{
	char text[TINI_SIZE_TEXT];

	(void)state;
	tini_size_text(text, 0);
	assert_string_equal(text, "0 bytes");
	tini_size_text(text, 1023);
	assert_string_equal(text, "1023 bytes");
	tini_size_text(text, 1536);
	assert_string_equal(text, "1.5 KiB");
	tini_size_text(text, SIZE_MAX);
	assert_string_equal(text, "16.0 EiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_start), cmocka_unit_test(test_classes),
		cmocka_unit_test(test_sizes),        cmocka_unit_test(test_zero),
		cmocka_unit_test(test_random),       cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_misuse),       cmocka_unit_test(test_absurd_sizes),
		cmocka_unit_test(test_options),      cmocka_unit_test(test_lines),
		cmocka_unit_test(test_mappings),     cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_faults),       cmocka_unit_test(test_size_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
