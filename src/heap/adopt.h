/* SPDX-License-Identifier: MIT */
/* Mending the heap after the death of an actor. */
#ifndef TINI_HEAP_ADOPT_H
#define TINI_HEAP_ADOPT_H

#include <sys/types.h>

/* Adopt the dead actors with this pid; 0: all that are certainly dead.  Returns how many. */
int tini_adopt(pid_t pid);

/* The same for a few entries of the table of actors, others each time. */
void tini_adopt_some(void);

#endif
