/* SPDX-License-Identifier: MIT */
/*
 * Is the first touch of a large shared array as fast as that of private memory?
 *
 * From nothing to 8 bytes written in each of its pages; giving it back does not count.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tine.h>

#include "bench.h"

#define GIB ((size_t)1 << 30)
#define HUGE_PAGE ((size_t)2 << 20)
#define ENOUGH_KB (900L << 10) /* of 1 GiB in huge pages */

static const char meminfo[] = "/proc/meminfo";

static void write_pages(volatile uint64_t *data)
{
	for (size_t i = 0; i < GIB / sizeof(*data); i += 4096 / sizeof(*data))
		data[i] = i;
}

static bool pages_are_right(const uint64_t *data)
{
	for (size_t i = 0; i < GIB / sizeof(*data); i += 4096 / sizeof(*data))
		if (data[i] != i)
			return false;
	return true;
}

/* lazy: NULL or not. */
static double touch_shared(void *lazy)
{
	long before = bench_proc(meminfo, "ShmemHugePages:"), got;
	double start = bench_now(), seconds;
	uint64_t *data = tine_shared_alloc(.size = GIB, .lazy = lazy != NULL);

	if (!data)
		return bench_fail("%s", tine_last_error());
	write_pages(data);
	seconds = bench_now() - start;
	got = bench_proc(meminfo, "ShmemHugePages:") - before;
	bench_check(pages_are_right(data), "touch: other bytes");
	tine_shared_free(data);
	return got < ENOUGH_KB ? bench_fail("not available here: no huge tmpfs") : seconds;
}

static double touch_private(void *unused)
{
	long before = bench_proc(meminfo, "AnonHugePages:"), got;
	double start = bench_now(), seconds;
	char *all = mmap(NULL, GIB + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	char *data = all + (HUGE_PAGE - (uintptr_t)all % HUGE_PAGE);

	(void)unused;
	if (all == MAP_FAILED)
		return bench_fail("no memory");
	madvise(data, GIB, MADV_HUGEPAGE);
	write_pages((uint64_t *)data);
	seconds = bench_now() - start;
	got = bench_proc(meminfo, "AnonHugePages:") - before;
	munmap(all, GIB + HUGE_PAGE);
	return got < ENOUGH_KB ? bench_fail("no huge anonymous pages here") : seconds;
}

static double touch_memfd(void *unused)
{
	double start = bench_now(), seconds;
	int fd = memfd_create("bench", MFD_CLOEXEC);
	void *data = MAP_FAILED;

	(void)unused;
	if (fd >= 0 && ftruncate(fd, GIB) == 0)
		data = mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (data == MAP_FAILED)
		return bench_fail("no memfd");
	write_pages(data);
	seconds = bench_now() - start;
	munmap(data, GIB);
	return seconds;
}

int main(void)
{
	static char lazy[] = "lazy";
	bench_case c = {
		.name = "first touch of 1 GiB",
		.n = GIB,
		.threads = 1,
		.rounds = 9,
		.tine = {.measure = touch_shared},
		.peers = {{"anonymous huge pages", touch_private, .goal = 0.9},
			  {.name = "memfd", .measure = touch_memfd}},
	};
	bench_case later = {
		.name = "first touch of 1 GiB, .lazy",
		.n = GIB,
		.threads = 1,
		.rounds = 9,
		.tine = {.measure = touch_shared, .arg = lazy},
		.peers = {{.name = "anonymous huge pages", .measure = touch_private}},
	};

	bench_begin();
	bench_run(&c);
	bench_run(&later);
	return bench_end();
}
