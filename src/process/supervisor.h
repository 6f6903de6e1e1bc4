/* SPDX-License-Identifier: MIT */
/*
 * The loop of a hidden process that has children: sleep, reap, let the owner of the children
 * decide.
 *
 * What the children are, and how their death is mended, is told by the table of the room above.
 */
#ifndef TINI_PROCESS_SUPERVISOR_H
#define TINI_PROCESS_SUPERVISOR_H

#include "process/hidden.h"

typedef struct tini_supervised {
	/* Look at orders and limits, fork what is missing.  Returns when to be called at the latest
	 * (TINI_NEVER: only when something happens), or a negative number: all is done. */
	int64_t (*tick)(void *context);
	/* The child is dead but not yet reaped: its pid is still its own.  waitpid()'s status. */
	void (*died)(void *context, pid_t pid, int status);
	/* The end has come: kill the children that are known. */
	void (*end)(void *context);
	/* Told last, after all children are reaped.  host: it is still there. */
	void (*ended)(void *context, bool host);
} tini_supervised;

/* Run until tick says so or the host is gone; then no child is left.  Does not return. */
_Noreturn void tini_supervise(const tini_supervised *table, void *context, const tini_watch *watch);

#endif
