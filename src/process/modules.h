/* SPDX-License-Identifier: MIT */
/* Which program files were mapped when workers were forked: a function of one loaded later is not
 * there for them. */
#ifndef TINI_PROCESS_MODULES_H
#define TINI_PROCESS_MODULES_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tini_modules {
	unsigned long long loads; /* how many files had been loaded by then */
	unsigned count;
	uintptr_t base[]; /* where each lay */
} tini_modules;

/* The modules of now, as a block of the shared heap; NULL with TINE_ENOMEM told. */
tini_modules *tini_modules_now(void);

/* False where the address lies in a module that was loaded since. */
bool tini_modules_know(const tini_modules *modules, const void *address);

#endif
