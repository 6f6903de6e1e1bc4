/* SPDX-License-Identifier: MIT */
/*
 * Making the heap: three nameless files, mapped at the first of a few addresses that is free.
 *
 * The addresses are fixed, as where the kernel would put a terabyte is taken in a child that maps
 * the files itself (EXEC) in a third of all tries; these are not.  The sizes fall back until one
 * fits the limits of the process.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tine/base.h>

#include "base/env.h"
#include "base/error.h"
#include "base/os.h"
#include "heap/actor.h"
#include "heap/commit.h"
#include "heap/figures.h"
#include "heap/heap.h"
#include "heap/layout.h"
#include "heap/slab.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

#define GIB ((size_t)1 << 30)
#define MAGIC 0x70616568656e6974 /* "tineheap" */

#ifdef UNDER_TSAN /* its shadow takes all but a few addresses */
static const uintptr_t addresses[] = {0x7ec000000000};
static const size_t sizes[] = {64 * GIB, 4 * GIB};
static const size_t largest = 64 * GIB;
#else
static const uintptr_t addresses[] = {0x200000000000, 0x300000000000, 0x400000000000};
static const size_t sizes[] = {1024 * GIB, 256 * GIB, 64 * GIB, 4 * GIB};
static const size_t largest = 4096 * GIB;
#endif
static const size_t smallest = (size_t)32 << 20;

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- files */

static int open_file(tini_part *part, int number)
{
	static const char *const names[] = {"tine-control", "tine-small", "tine-arrays"};
	int fd = number == TINI_ARRAYS ? tini_os_huge_tmpfs_file(part->length) : -1;

	part->huge = fd >= 0;
	if (fd < 0)
		fd = tini_os_memfd(names[number]);
	if (fd < 0)
		return fd;
	struct stat file;
	int r = tini_os_truncate(fd, (off_t)part->length);
	if (!r && fstat(fd, &file))
		r = -errno;
	if (r) {
		tini_os_close(fd);
		return r;
	}
	part->device = file.st_dev;
	part->inode = file.st_ino;
	part->fd = fd;
	return 0;
}

static void close_files(const tini_heap *heap)
{
	for (int i = 0; i < TINI_PARTS; i++)
		tini_os_close(heap->part[i].fd);
}

static int open_files(tini_heap *heap)
{
	for (int i = 0; i < TINI_PARTS; i++)
		heap->part[i].fd = -1;
	for (int i = 0; i < TINI_PARTS; i++) {
		int r = open_file(&heap->part[i], i);
		if (r) {
			close_files(heap);
			return r;
		}
	}
	return 0;
}

/* ---- mapping */

static size_t mapped_length(const tini_heap *heap, int number)
{
	return heap->part[number].length + (number == TINI_ARRAYS ? 0 : TINI_GUARD);
}

static int map_part(const tini_heap *heap, int number)
{
	const tini_part *part = &heap->part[number];
	size_t length = mapped_length(heap, number);
	int r = tini_os_map_shared(part->base, length, part->fd, 0);

	if (r)
		return r;
	/* before anything else: a core dump would allocate the holes */
	r = tini_os_advise(part->base, length, MADV_DONTDUMP);
	if (!r && length > part->length)
		r = tini_os_protect_none(part->base + part->length, TINI_GUARD);
	if (r)
		tini_os_unmap(part->base, length);
	else if (number == TINI_ARRAYS)
		tini_os_advise(part->base, length,
			       MADV_HUGEPAGE); /* a kernel without them says no */
	return r;
}

static int map_parts(const tini_heap *heap)
{
	for (int i = 0; i < TINI_PARTS; i++) {
		int r = map_part(heap, i);
		if (r) {
			while (i-- > 0)
				tini_os_unmap(heap->part[i].base, mapped_length(heap, i));
			return r;
		}
	}
	return 0;
}

/* The geometry is the same at every address: only the pointers differ. */
static int map_somewhere(tini_heap *heap)
{
	int r = -ENOMEM;

	for (size_t i = 0; i < COUNT(addresses); i++) {
		tini_heap moved;
		tini_layout(&moved, (char *)addresses[i], heap->reserved);
		for (int k = 0; k < TINI_PARTS; k++) {
			moved.part[k].fd = heap->part[k].fd;
			moved.part[k].huge = heap->part[k].huge;
			moved.part[k].device = heap->part[k].device;
			moved.part[k].inode = heap->part[k].inode;
		}
		r = map_parts(&moved);
		if (!r) {
			*heap = moved;
			return 0;
		}
	}
	return r;
}

static int make(tini_heap *heap, size_t size)
{
	if (!tini_layout(heap, (char *)addresses[0], size))
		return -EINVAL;
	int r = open_files(heap);
	if (r)
		return r;
	r = map_somewhere(heap);
	if (r)
		close_files(heap);
	return r;
}

/* ---- what to say */

static bool limited(int resource, size_t *limit)
{
	struct rlimit set;

	if (getrlimit(resource, &set) || set.rlim_cur == RLIM_INFINITY)
		return false;
	*limit = set.rlim_cur;
	return true;
}

static int tell(int r, size_t size)
{
	char needed[TINI_SIZE_TEXT], allowed[TINI_SIZE_TEXT];
	size_t limit;

	tini_size_text(needed, size);
	if (r == -EFBIG && limited(RLIMIT_FSIZE, &limit)) {
		tini_size_text(allowed, limit);
		return TINI_FAIL(TINE_ENOMEM,
				 "the shared heap needs files of up to %s and RLIMIT_FSIZE (ulimit "
				 "-f) allows %s; "
				 "TINE_HEAP_SIZE=%zuM asks for a smaller heap",
				 needed, allowed, limit >> 20);
	}
	if (r == -ENOMEM && limited(RLIMIT_AS, &limit)) {
		tini_size_text(allowed, limit);
		return TINI_FAIL(TINE_ENOMEM,
				 "the shared heap needs %s of addresses and RLIMIT_AS (ulimit -v) "
				 "allows %s; "
				 "TINE_HEAP_SIZE=%zuM asks for a smaller heap",
				 needed, allowed, (limit >> 20) / 2);
	}
	if (r == -EEXIST)
		return TINI_FAIL(TINE_ENOMEM,
				 "the shared heap needs %s of addresses at %p, which are taken",
				 needed, (void *)addresses[0]);
	return TINI_FAIL_ERRNO(r == -ENOMEM ? TINE_ENOMEM : TINE_ESYSTEM, -r,
			       "the shared heap of %s cannot be made", needed);
}

/* ---- starting */

/* Back the pages that are touched without asking: header, lines and the first actors. */
static int begin_control(tini_heap *heap)
{
	int r = tini_os_advise(heap->part[TINI_CONTROL].base, (size_t)3 * 4096,
			       MADV_POPULATE_WRITE);
	if (r && r != -EINVAL) /* a kernel before 5.14 */
		return r;
	heap->control->magic = MAGIC;
	heap->control->base = (uintptr_t)heap->part[TINI_CONTROL].base;
	heap->control->reserved = heap->reserved;
	atomic_store(&heap->control->actor_top, 1);
	return 0;
}

static void unmake(const tini_heap *heap)
{
	for (int i = 0; i < TINI_PARTS; i++)
		tini_os_unmap(heap->part[i].base, mapped_length(heap, i));
	close_files(heap);
}

static void forked(void)
{
	tini_actor_forked();
	tini_slab_forked();
}

static int make_begun(tini_heap *heap, size_t size)
{
	int r = make(heap, size);
	if (r)
		return r;
	r = begin_control(heap);
	if (r)
		unmake(heap);
	return r;
}

static int make_fitting(tini_heap *heap)
{
	const char *asked = tini_env_get(TINI_ENV_HEAP_SIZE);
	int r = -ENOMEM;

	if (asked) {
		size_t size = tini_env_bytes(asked);
		if (!size)
			return TINI_FAIL(TINE_EINVAL,
					 "TINE_HEAP_SIZE=%s is not a size: write 512M, 64G or 1T",
					 asked);
		size = size < smallest ? smallest : size > largest ? largest : size;
		r = make_begun(heap, size & ~(TINI_GRANULE - 1));
		return r ? tell(r, size) : 0;
	}
	for (size_t i = 0; i < COUNT(sizes); i++) {
		r = make_begun(heap, sizes[i]);
		if (!r)
			return 0;
		if (r == -EMFILE || r == -ENFILE) /* a smaller one needs as many */
			break;
	}
	return tell(r, sizes[COUNT(sizes) - 1]);
}

static int start(void)
{
	static bool hooked;
	tini_heap heap;

	if (!hooked && pthread_atfork(NULL, NULL, forked))
		return TINI_FAIL(TINE_ENOMEM, "the shared heap cannot watch fork(): no memory");
	hooked = true;
	int code = make_fitting(&heap);
	if (code)
		return code;
	forked();
	tini_the_heap = heap;
	atomic_store(&tini_heap_runs, true);
	return 0;
}

int tini_heap_start(void)
{
	/* The process that is at it.  A pid, so that a child forked meanwhile does not wait for a
	 * thread it has not. */
	static _Atomic pid_t starter;
	pid_t me = getpid(), at_it = 0;
	int code = 0;

	while (!atomic_load(&tini_heap_runs)) {
		if ((at_it != me && atomic_compare_exchange_strong(&starter, &at_it, me))) {
			if (!atomic_load(&tini_heap_runs))
				code = start();
			atomic_store(&starter, 0);
			return code;
		}
		if (at_it == me)
			sched_yield();
		at_it = atomic_load(&starter);
	}
	return 0;
}

int tini_heap_descriptors(int fds[4])
{
	int n = 0;

	for (int i = 0; i < TINI_PARTS && atomic_load(&tini_heap_runs); i++)
		fds[n++] = tini_the_heap.part[i].fd;
	return n;
}

void *tini_heap_line(int n)
{
	return tini_the_heap.lines + (size_t)n * 64;
}
