/* SPDX-License-Identifier: MIT */
/* Private memory: the only caller of malloc's family. */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/fault.h"

/* At least a byte, so that NULL means failure alone; false where it does not fit or a test wants it
 * to fail. */
static bool may_allocate(size_t count, size_t size, size_t *bytes)
{
	bool fits = tini_mul_fits(count, size, bytes);

	*bytes = tini_max(*bytes, 1);
	return !tini_fault_now(TINI_FAULT_ALLOC) && fits;
}

static void *told(void *p, size_t count, size_t size)
{
	if (!p)
		tini_error_set(TINE_ENOMEM, "out of memory: %zu times %zu bytes", count, size);
	return p;
}

void *tini_alloc(size_t count, size_t size)
{
	size_t bytes;

	return told(may_allocate(count, size, &bytes) ? calloc(1, bytes) : NULL, count, size);
}

void *tini_resize(void *p, size_t count, size_t size)
{
	size_t bytes;

	return told(may_allocate(count, size, &bytes) ? realloc(p, bytes) : NULL, count, size);
}

char *tini_strdup(const char *text)
{
	size_t bytes = strlen(text) + 1;
	char *copy = tini_alloc(bytes, 1);

	return copy ? memcpy(copy, text, bytes) : NULL;
}

void tini_free(void *p)
{
	free(p);
}
