/* SPDX-License-Identifier: MIT */
/*
 * What a dying worker leaves behind: the signal, the address and the raw return addresses, stored
 * in the shared heap by its signal handler.  Names are looked up later, by a living process.
 */
#ifndef TINI_PROCESS_CRASH_H
#define TINI_PROCESS_CRASH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { TINI_CRASH_FRAMES = 12 };

typedef struct tini_crash {
	_Atomic uint32_t state; /* 0 none, 1 being written, 2 whole */
	int32_t signal;
	int32_t has_address; /* the signal tells one */
	int32_t depth;
	const void *address;
	const void *frames[TINI_CRASH_FRAMES]; /* innermost first */
} tini_crash;

/* Load what the handler needs; in the parent, so that not every child has to. */
void tini_crash_prepare(void);

/* Catch SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP and SIGSYS of this process into *record,
 * then die of them. */
void tini_crash_catch(tini_crash *record);

/* An alternate stack for the calling thread, so that a stack overflow can be told. */
void tini_crash_thread_stack(void);

/*
 * In words: " at address 0x0 in square (demo.c:12)", as much of it as is known.  Any process of the
 * program; may take milliseconds the first time.
 */
void tini_crash_tell(const tini_crash *crash, char *text, size_t size);

/* "SIGSEGV", or "signal 99". */
const char *tini_signal_name(int signal, char *scratch, size_t size);

#endif
