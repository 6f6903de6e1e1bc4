/* SPDX-License-Identifier: MIT */
/* Private memory: the only callers of malloc and free, so that tests can make the n-th allocation fail. */
#ifndef TINI_BASE_MEMORY_H
#define TINI_BASE_MEMORY_H

#include <stddef.h>

/* Zeroed memory, or NULL with TINE_ENOMEM told. */
void *tini_alloc(size_t count, size_t size);
void *tini_resize(void *p, size_t count, size_t size); /* contents kept; p stays valid on failure; tail not zeroed */
char *tini_strdup(const char *text);
void tini_free(void *p);

#endif
