/* SPDX-License-Identifier: MIT */
/* The environment: the one table of variables that Tine reads. */
#ifndef TINI_BASE_ENV_H
#define TINI_BASE_ENV_H

#include <stddef.h>

typedef enum tini_env {
	TINI_ENV_NUM_THREADS,     /* TINE_NUM_THREADS: threads and workers used by default */
	TINI_ENV_OMP_NUM_THREADS, /* OMP_NUM_THREADS: the same, where the first is not set; a list counts by its first */
	TINI_ENV_HEAP_SIZE,       /* TINE_HEAP_SIZE: bytes of address space for the shared heap, with K M G T */
	TINI_ENV_CHECK,           /* TINE_CHECK=pointers: look for private host pointers in arguments */
	TINI_ENV_NO_COLOR,        /* NO_COLOR: no escape sequences in progress output */
	TINI_ENV_END
} tini_env;

typedef struct tini_env_row {
	const char *name, *meaning;
} tini_env_row;
extern const tini_env_row tini_env_table[TINI_ENV_END];

/* The value, NULL where unset or empty. */
const char *tini_env_get(tini_env which);

/* A positive count out of a value: "4", "4,2" (the first); 0 where there is none or it is not a number. */
int tini_env_count(const char *value);

/* Bytes out of "512M", "64G", "1T"; 0 where it is not a size. */
size_t tini_env_bytes(const char *value);

#endif
