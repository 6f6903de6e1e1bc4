/* SPDX-License-Identifier: MIT */
/* The heap where something is scarce or gone: limits, the environment, descriptors, memory.  Each
 * in its own process. */
#include "kit/kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tine/heap.h>

#include "base/fault.h"
#include "base/os.h"
#include "heap/commit.h"
#include "heap/figures.h"
#include "heap/heap.h"
#include "heap/layout.h"

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

/* A sanitizer's shadow takes more addresses than any limit here, and places that are ours
 * elsewhere. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { SECONDS = 30 };

static void expect_told(int code, const char *text)
{
	if (tine_last_code() != code || !strstr(tine_last_error(), text))
		fprintf(stderr, "\"%s\" is not in: %s\n", text, tine_last_error());
	kit_expect(tine_last_code() == code && strstr(tine_last_error(), text));
}

static tine_heap_figures figures(void)
{
	tine_heap_figures f = {.struct_size = sizeof(f)};
	const char *why;

	kit_expect(!tine_heap_stats(&f));
	if (!tini_heap_valid(&why))
		fprintf(stderr, "%s\n", why);
	kit_expect(tini_heap_valid(NULL));
	return f;
}

static void limit(int resource, size_t to)
{
	struct rlimit set;

	kit_expect(!getrlimit(resource, &set));
	set.rlim_cur = to;
	kit_expect(!setrlimit(resource, &set));
}

/* A heap of some size does all that a heap does. */
static int use(void)
{
	const size_t sizes[] = {1, 100, 4000, 32768, 40000, MIB, 3 * MIB};
	void *p[7];

	for (int i = 0; i < 7; i++) {
		p[i] = tine_shared_alloc(sizes[i], .zero = true);
		kit_expect(p[i]);
		memset(p[i], 0xff, sizes[i]);
	}
	for (int i = 0; i < 7; i++)
		tine_shared_free(p[i]);
	kit_expect(figures().in_use == 0);
	return 0;
}

/* ---- limits of the process */

static int under_address_limit(void *arg)
{
	(void)arg;
	limit(RLIMIT_AS, 512 * MIB);
	kit_expect(!tine_shared_alloc(100));
	expect_told(TINE_ENOMEM, "ulimit -v");
	expect_told(TINE_ENOMEM, "512 MiB");
	int open = kit_descriptors();
	kit_expect(tini_heap_start() == TINE_ENOMEM);
	kit_expect(kit_descriptors() == open);
	setenv("TINE_HEAP_SIZE", "256M", 1); /* what the message says */
	kit_expect(!tini_heap_start());
	kit_expect(figures().reserved == 256 * MIB);
	return use();
}

static int under_roomy_address_limit(void *arg)
{
	(void)arg;
	limit(RLIMIT_AS, 100 * GIB);
	kit_expect(!tini_heap_start());
	kit_expect(figures().reserved == 64 * GIB);
	return use();
}

static int under_file_limit(void *arg)
{
	(void)arg;
	limit(RLIMIT_FSIZE, 100 * MIB);
	kit_expect(!tine_shared_alloc(100));
	expect_told(TINE_ENOMEM, "RLIMIT_FSIZE");
	expect_told(TINE_ENOMEM, "100 MiB");
	setenv("TINE_HEAP_SIZE", "100M", 1);
	kit_expect(!tini_heap_start());
	return use();
}

static int under_roomy_file_limit(void *arg)
{
	(void)arg;
	limit(RLIMIT_FSIZE, 5 * GIB);
	kit_expect(!tini_heap_start());
	kit_expect(figures().reserved == 4 * GIB);
	return use();
}

static int under_descriptor_limit(void *arg)
{
	(void)arg;
	int open = kit_descriptors(), lowest = dup(STDIN_FILENO);
	close(lowest);
	limit(RLIMIT_NOFILE, (size_t)lowest + 2); /* room for one or two of the three */
	kit_expect(tini_heap_start() == TINE_ESYSTEM);
	expect_told(TINE_ESYSTEM, "open files");
	limit(RLIMIT_NOFILE, 1000);
	kit_expect(kit_descriptors() == open);
	return use();
}

static void test_limits(void **state)
{
	(void)state;
	if (!SANITIZED) {
		kit_run_clean(under_address_limit, NULL, SECONDS);
		kit_run_clean(under_roomy_address_limit, NULL, SECONDS);
	}
	kit_run_clean(under_file_limit, NULL, SECONDS);
	kit_run_clean(under_roomy_file_limit, NULL, SECONDS);
	kit_run_clean(under_descriptor_limit, NULL, SECONDS);
}

/* ---- TINE_HEAP_SIZE */

static int with_asked_size(void *arg)
{
	setenv("TINE_HEAP_SIZE", arg, 1);
	kit_expect(!tini_heap_start());
	size_t reserved = figures().reserved;
	kit_expect(reserved >= 32 * MIB && reserved <= (size_t)4 << 40);
	return use();
}

static int with_bad_size(void *arg)
{
	setenv("TINE_HEAP_SIZE", arg, 1);
	kit_expect(!tine_shared_alloc(1));
	expect_told(TINE_EINVAL, "TINE_HEAP_SIZE");
	unsetenv("TINE_HEAP_SIZE");
	return use();
}

static void test_asked_size(void **state)
{
	(void)state;
	kit_run_clean(with_asked_size, "1", SECONDS);
	kit_run_clean(with_asked_size, "100M", SECONDS);
	kit_run_clean(with_asked_size, "3G", SECONDS);
	kit_run_clean(with_asked_size, "900T", SECONDS);
	kit_run_clean(with_asked_size, "", SECONDS);
	kit_run_clean(with_bad_size, "much", SECONDS);
	kit_run_clean(with_bad_size, "-1", SECONDS);
}

/* ---- a full heap */

enum { MANY = 200000 };

static size_t fill(void **p, size_t size)
{
	size_t n = 0;

	while (n < MANY && (p[n] = tine_shared_alloc(size))) {
		memset(p[n], 0xff, size);
		n++;
	}
	return n;
}

static int fill_small_heap(void *arg)
{
	static void *p[MANY];

	(void)arg;
	setenv("TINE_HEAP_SIZE", "64M", 1);
	for (size_t size = 64; size <= 16 * MIB; size *= 4) {
		size_t n = fill(p, size);
		if (n < MANY)
			expect_told(TINE_ENOMEM,
				    size <= 32768 ? "for small blocks" : "largest free");
		/* an eighth is for blocks of up to 1 MiB; those that are runs have the granules,
		 * too */
		kit_expect(n * size > (size <= MIB ? 7 * MIB : 40 * MIB) || n == MANY);
		kit_expect(!tine_shared_alloc(size) || n == MANY);
		kit_expect(figures().in_use >= n * size);
		for (size_t i = 0; i < n; i += 2) /* every second one, then one fits again */
			tine_shared_free(p[i]);
		void *again = tine_shared_alloc(size);
		kit_expect(again);
		tine_shared_free(again);
		for (size_t i = 1; i < n; i += 2)
			tine_shared_free(p[i]);
		kit_expect(figures().in_use == 0);
	}
	return use();
}

static void test_full(void **state)
{
	(void)state;
	kit_run_clean(fill_small_heap, NULL, 60);
}

/* ---- little memory: told by a fixture of /proc and /sys */

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	kit_expect(file && fputs(text, file) >= 0 && !fclose(file));
}

/* A machine without control groups and with so many KiB available. */
static char *little_memory(unsigned long kib)
{
	static char root[] = "/tmp/tine-limits-XXXXXX";
	char path[256], text[128];

	kit_expect(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/proc", root);
	kit_expect(!mkdir(path, 0700));
	snprintf(path, sizeof(path), "%s/proc/meminfo", root);
	snprintf(text, sizeof(text), "MemTotal: 999999999 kB\nMemAvailable: %lu kB\n", kib);
	write_file(path, text);
	return root;
}

static void forget_memory(const char *root)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/proc/meminfo", root);
	unlink(path);
	snprintf(path, sizeof(path), "%s/proc", root);
	rmdir(path);
	rmdir(root);
}

static int with_little_memory(void *arg)
{
	(void)arg;
	char *root = little_memory(40 << 10);
	tini_commit_root = root;
	kit_expect(!tine_shared_alloc(30 * MIB));
	expect_told(TINE_ENOMEM, "MemAvailable");
	expect_told(TINE_ENOMEM, "30.0 MiB asked");
	void *lazy = tine_shared_alloc(30 * MIB, .lazy = true);
	kit_expect(lazy);
	void *p = tine_shared_alloc(10 * MIB);
	kit_expect(p);
	tine_shared_free(p);
	tine_shared_free(lazy);
	forget_memory(root);
	return 0;
}

static int with_no_memory(void *arg)
{
	(void)arg;
	char *root = little_memory(1 << 10);
	tini_commit_root = root;
	kit_expect(!tine_shared_alloc(16));
	expect_told(TINE_ENOMEM, "MemAvailable");
	tini_commit_root = "";
	forget_memory(root);
	return use();
}

static void test_little_memory(void **state)
{
	(void)state;
	kit_run_clean(with_little_memory, NULL, SECONDS);
	kit_run_clean(with_no_memory, NULL, SECONDS);
}

/* ---- descriptors gone, or other files under their numbers */

static int without_descriptors(void *arg)
{
	int fds[4], n;

	kit_expect(!tini_heap_start());
	n = tini_heap_descriptors(fds);
	for (int i = 0; i < n; i++) {
		kit_expect(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		close(fds[i]);
		if (arg)
			kit_expect(dup2(open(arg, O_RDWR | O_CREAT | O_TRUNC, 0600), fds[i]) ==
				   fds[i]);
	}
	use();
	struct stat file;
	for (int i = 0; arg && i < n; i++)
		kit_expect(!fstat(fds[i], &file) && file.st_size == 0);
	/* the only way left to give back fails: the pages are zeroed */
	for (int round = 0; round < 2; round++) {
		char *p = tine_shared_alloc(100000);
		memset(p, 0xff, 100000);
		tini_fault_arm(TINI_FAULT_SYSTEM, 1);
		tine_shared_free(p);
		tini_fault_arm(TINI_FAULT_SYSTEM, 0);
	}
	use();
	if (arg)
		unlink(arg);
	return 0;
}

static void test_descriptors(void **state)
{
	(void)state;
	kit_run_clean(without_descriptors, NULL, SECONDS);
	kit_run_clean(without_descriptors, "/tmp/tine-limits-file", SECONDS);
}

/* Pages that are locked cannot be given back by advice. */
static int with_locked_pages(void *arg)
{
	(void)arg;
	char *p = tine_shared_alloc(200000);
	memset(p, 0xff, 200000);
	if (!mlock(p, 200000)) {
		tine_shared_free(p);
		char *again = tini_heap_alloc(200000);
		kit_expect(!again[0] && !memcmp(again, again + 1, 199999));
		tine_shared_free(again);
	}
	return use();
}

static void test_locked_pages(void **state)
{
	(void)state;
	kit_run_clean(with_locked_pages, NULL, SECONDS);
}

/* ---- the start itself: every system call fails once */

static int start_with_fault(void *arg)
{
	long n = *(long *)arg;
	int open = kit_descriptors();

	tini_fault_arm(TINI_FAULT_SYSTEM, n);
	int code = tini_heap_start();
	bool hit = tini_fault_calls(TINI_FAULT_SYSTEM) >= n;
	tini_fault_arm(TINI_FAULT_SYSTEM, 0);
	if (code)
		kit_expect(hit && tine_last_code() == code && kit_descriptors() == open);
	kit_expect(!tini_heap_start());
	kit_expect(kit_descriptors() == open + 3);
	use();
	return hit ? 0 : 7;
}

static void test_start_faults(void **state)
{
	kit_outcome outcome = {0};
	long n = 1;

	(void)state;
	for (; !outcome.code; n++)
		outcome = kit_run(start_with_fault, &n, SECONDS);
	assert_int_equal(outcome.code, 7);
	assert_true(n > 15);
}

/* The addresses are taken: the next candidate, then a clear word. */
static int with_taken_addresses(void *arg)
{
	const uintptr_t addresses[] = {0x200000000000, 0x300000000000, 0x400000000000};
	int taken = *(int *)arg;

	for (int i = 0; i < taken && i < 3; i++)
		kit_expect(mmap((void *)(addresses[i] + ((size_t)1 << 30)), 4096, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
				0) != MAP_FAILED);
	if (taken >= 3) {
		kit_expect(tini_heap_start() == TINE_ENOMEM);
		expect_told(TINE_ENOMEM, "taken");
		return 0;
	}
	kit_expect(!tini_heap_start());
	kit_expect((uintptr_t)tini_heap_line(0) >> 44 == addresses[taken] >> 44);
	return use();
}

static void test_taken_addresses(void **state)
{
	(void)state;
	for (int taken = 0; taken <= 3 && !SANITIZED; taken++)
		kit_run_clean(with_taken_addresses, &taken, SECONDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),       cmocka_unit_test(test_asked_size),
		cmocka_unit_test(test_full),         cmocka_unit_test(test_little_memory),
		cmocka_unit_test(test_descriptors),  cmocka_unit_test(test_locked_pages),
		cmocka_unit_test(test_start_faults), cmocka_unit_test(test_taken_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
