/* SPDX-License-Identifier: MIT */
/*
 * tine/heap.h - memory that every process of the program sees at the same address.
 *
 * The heap is made at first need.  From then on a pointer into it means the same in the host, in
 * the workers of pools, in processes of tine_process_start() and in children of the program's own
 * fork(): arrays go to a worker and results come back by pointer, nothing is copied.  It has no
 * name in any file system: when the last process ends it is gone.
 */
#ifndef TINE_HEAP_H
#define TINE_HEAP_H

#include <tine/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tine_shared_alloc_args {
	size_t struct_size; /* set by tine_shared_alloc() */
	size_t size;        /* bytes */
	bool lazy;          /* true: pages come on first touch; SIGBUS there if memory runs out */
	bool zero;          /* true: all bytes are 0; else they may hold old contents */
} tine_shared_alloc_args;
TINI_DEFAULTS(shared_alloc)

/*
 * Allocate a block of the shared heap: tine_shared_alloc(size, .zero = true).
 *
 * size: bytes; 0 gives a block of its own, too.  Keywords: see tine_shared_alloc_args.
 *
 * The memory is reserved before the call returns, so that a lack of it is TINE_ENOMEM here and
 * neither a SIGBUS nor the OOM killer later.  With .lazy it is not: a sparse array may be larger
 * than the memory of the machine.
 *
 * Returns: the block, or NULL.  It is aligned to 16 bytes, from 64 bytes on to 64, above 32 KiB to
 *          64 KiB, above 1 MiB to 2 MiB.
 * Owner:   the caller, until any process of the program gives it to tine_shared_free().  A block
 *          whose process has died stays valid and is counted as `orphaned`.
 * Safety:  any thread of any process of the program; not in a signal handler.  The first call,
 *          which makes the heap, must come before the fork() of a process that is to share it;
 *          opening a pool counts as one.
 * Cost:    under 1 us for small blocks, no lock shared by processes; large ones a system call.
 * Errors:  TINE_EINVAL (args), TINE_EVERSION, TINE_ENOMEM (the line names the limit: the heap's
 *          size, MemAvailable, the control group, `ulimit -v`, RLIMIT_FSIZE), TINE_ESYSTEM (the
 *          heap cannot be made).
 * Python:  multiprocessing.shared_memory.SharedMemory(create=True), without its name;
 *          sharedmem.empty()
 * Since:   0.1
 */
#define tine_shared_alloc(...) \
	tine_shared_alloc_with(TINI_ARGS(tine_shared_alloc_args, __VA_ARGS__))
TINE_API void *tine_shared_alloc_with(const tine_shared_alloc_args *args);

/*
 * Give a block of the shared heap back.
 *
 * p: in; a block of tine_shared_alloc() or tine_result_alloc(), or NULL, which is ignored.
 *
 * Safety:  any thread of any process of the program, not only of the one that allocated it; not in
 *          a signal handler.  Nobody may use the block afterwards.
 * Cost:    under 1 us for small blocks; large ones go back to the system at once.
 * Errors:  TINE_EINVAL (p is no live block: nothing happens), told by tine_last_code().
 * Python:  SharedMemory.unlink()
 * Since:   0.1
 */
TINE_API void tine_shared_free(void *p);

/*
 * Tell whether an address lies in the shared heap.
 *
 * p: in; any address, NULL too; it is not read.
 *
 * Returns: true for every address in the heap's range, whether or not it belongs to a live block.
 * Safety:  any thread, a child of fork(), a signal handler.
 * Cost:    two comparisons.
 * Errors:  none.
 * Since:   0.1
 */
TINE_API bool tine_is_shared(const void *p);

typedef struct tine_heap_figures {
	size_t struct_size;  /* in: sizeof(tine_heap_figures) */
	size_t reserved;     /* bytes of address space */
	size_t committed;    /* bytes of memory taken from the system */
	size_t in_use;       /* bytes of live blocks */
	size_t orphaned;     /* bytes of live blocks whose process has died */
	size_t largest_free; /* bytes of the largest free row of addresses; memory may be less */
} tine_heap_figures;

/*
 * Read the figures of the shared heap.
 *
 * out: in/out; its struct_size says which members there are, the others are filled in.
 *
 * Returns: 0 or a code.  Before the heap is made all figures are 0.
 * Safety:  any thread of any process of the program.  Others allocate meanwhile: the figures need
 *          not belong to one moment.
 * Errors:  TINE_EINVAL (out is NULL, or its struct_size cannot be), TINE_EVERSION.
 * Since:   0.1
 */
TINE_API int tine_heap_stats(tine_heap_figures *out);

/* A flag that any process may raise; ends the waits it was given to. */
typedef struct tine_cancel tine_cancel;

/*
 * Make a flag that cancels the calls it is given to, as .cancel of tine_map().
 *
 * Returns: the flag, lowered, in the shared heap; or NULL.
 * Owner:   the caller; give it back with tine_cancel_free() when no call uses it any more.
 * Safety:  any thread; the flag may be used by every process of the program.
 * Errors:  TINE_ENOMEM, TINE_ESYSTEM (the heap cannot be made).
 * Python:  threading.Event, where code polls one to stop early
 * Since:   0.1
 */
TINE_API tine_cancel *tine_cancel_new(void);

/*
 * Raise the flag, for good.  The calls that wait with it end with TINE_ECANCELLED.
 *
 * cancel: in; NULL is ignored.
 *
 * Safety:  any thread of any process of the program, a task, a signal handler.
 * Cost:    one store and at most one system call.
 * Errors:  none.
 * Since:   0.1
 */
TINE_API void tine_cancel_request(tine_cancel *cancel);

/*
 * Tell whether the flag is raised.
 *
 * cancel: in; NULL is never raised.
 *
 * Safety:  any thread of any process of the program, a task, a signal handler.
 * Cost:    one load.
 * Errors:  none.
 * Since:   0.1
 */
TINE_API bool tine_cancel_requested(const tine_cancel *cancel);

/*
 * Give the flag back.
 *
 * cancel: in; NULL is ignored.
 *
 * Safety:  any thread; no call may be using the flag, and nobody may use it afterwards.
 * Errors:  none.
 * Since:   0.1
 */
TINE_API void tine_cancel_free(tine_cancel *cancel);

#ifdef __cplusplus
}
#endif
#endif
