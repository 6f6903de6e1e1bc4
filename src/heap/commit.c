/* SPDX-License-Identifier: MIT */
/*
 * Commit before hand-out: the kernel's only other answer to a page that it has not got is a signal.
 *
 * Two limits are in the way.  A control group's memory limit has no clean error, it ends in the OOM
 * killer: so the headroom is read first, once per 64 MiB or 100 ms where little is needed at a
 * time.  Everything else (the tmpfs is full, strict overcommit) the kernel tells when it is asked
 * to allocate: fallocate() for arrays, which leaves zeroing to the first touch; MADV_POPULATE_WRITE
 * for small pages, which saves the faults too.
 *
 * A user's task may have closed our descriptors, or closed them and opened files under their
 * numbers.  A descriptor is used only where it is still our file; elsewhere advice by address does
 * the same.
 */
#include "heap/commit.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/os.h"
#include "heap/layout.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
	RESERVE = 16 << 20,       /* bytes left to the rest of the machine */
	ALLOWANCE = 64 << 20,     /* bytes that may be used before the limits are read again */
	ALLOWANCE_NS = 100000000, /* and how long */
};

const char *tini_commit_root = "";

/*
 * The allowance is shared: many workers together do not use more than one would.  Relaxed: its two
 * words pair with nothing, at the worst the limits are read once too often.
 */
static bool take_allowance(size_t bytes)
{
	tini_control *control = tini_the_heap.control;
	uint64_t left = atomic_load_explicit(&control->allowance, memory_order_relaxed);

	if (left < bytes ||
	    tini_clock_now() > atomic_load_explicit(&control->allowance_ends, memory_order_relaxed))
		return false;
	do
		if (left < bytes)
			return false;
	while (!atomic_compare_exchange_weak(&control->allowance, &left, left - bytes));
	return true;
}

bool tini_commit_allowed(size_t bytes, tini_lack *lack)
{
	const char *limit = "the machine's memory";

	if (take_allowance(bytes))
		return true;
	size_t headroom = tini_memory_headroom(tini_commit_root, &limit);
	size_t usable = headroom > RESERVE ? headroom - RESERVE : 0;
	if (usable < bytes) {
		*lack = (tini_lack){TINI_LACK_HEADROOM, usable, limit, 0};
		return false;
	}
	atomic_store(&tini_the_heap.control->allowance_ends, tini_clock_now() + ALLOWANCE_NS);
	atomic_store(&tini_the_heap.control->allowance, tini_min((usable - bytes) / 8, ALLOWANCE));
	return true;
}

static const tini_part *part_of(int part)
{
	return &tini_the_heap.part[part];
}

static bool have_file(const tini_part *part)
{
	return tini_os_same_file(part->fd, part->device, part->inode) == 1;
}

static int allocate_in_file(const tini_part *part, char *at, size_t bytes)
{
	if (!have_file(part))
		return -EBADF;
	return tini_os_allocate(part->fd, at - part->base, (off_t)bytes);
}

static int populate(char *at, size_t bytes)
{
	int r;

	do
		r = tini_os_advise(at, bytes, MADV_POPULATE_WRITE);
	while (r == -EINTR || r == -EAGAIN);
	return r;
}

bool tini_commit(int number, void *at, size_t bytes, tini_lack *lack)
{
	const tini_part *part = part_of(number);
	bool populate_first = number != TINI_ARRAYS;
	int r = populate_first ? populate(at, bytes) : allocate_in_file(part, at, bytes);

	if (populate_first && r == -EINVAL) /* a kernel before 5.14 */
		r = allocate_in_file(part, at, bytes);
	else if (!populate_first && r == -EBADF)
		r = populate(at, bytes);
	if (r >= 0)
		return true;
	*lack = (tini_lack){TINI_LACK_BACKING, 0, NULL, r == -EFAULT ? ENOMEM : -r};
	return false;
}

void tini_give_back(int number, void *at, size_t bytes)
{
	const tini_part *part = part_of(number);
	int r = tini_os_advise(at, bytes, MADV_REMOVE);

	if (r < 0 && have_file(part)) /* locked pages: EINVAL */
		r = tini_os_punch(part->fd, (char *)at - part->base, (off_t)bytes);
	if (r < 0)
		memset(at, 0, bytes);
}

size_t tini_backed(int number, size_t unknown)
{
	const tini_part *part = part_of(number);
	struct stat file;

	if (!have_file(part) || fstat(part->fd, &file))
		return unknown;
	return (size_t)file.st_blocks * 512;
}
