/* SPDX-License-Identifier: MIT */
/*
 * tine/loop.h - split index ranges over workers.
 */
#ifndef TINE_LOOP_H
#define TINE_LOOP_H

#include <tine/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tine_range {
	size_t begin, end; /* indices begin <= i < end */
} tine_range;

/*
 * Tell which part of 0 .. count - 1 belongs to one of several workers.
 *
 * count: indices; parts: among how many; index: which part, from 0.
 *
 * The parts lie side by side in order of index and differ by at most one in length; the longer ones
 * come first.
 *
 * Returns: the part; the empty range {0, 0} where parts is 0 or index is not below parts.
 * Safety:  any thread, a child of fork(), a signal handler.
 * Cost:    two divisions.
 * Errors:  none.
 * Python:  numpy.array_split(), sharedmem's distribute()
 * Since:   0.1
 */
TINE_API tine_range tine_distribute(size_t count, size_t parts, size_t index);

#ifdef __cplusplus
}
#endif
#endif
