/* SPDX-License-Identifier: MIT */
/* The environment: the only caller of getenv. */
#include "base/env.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

const tini_env_row tini_env_table[TINI_ENV_END] = {
	[TINI_ENV_NUM_THREADS] = {"TINE_NUM_THREADS", "threads and workers used by default"},
	[TINI_ENV_OMP_NUM_THREADS] = {"OMP_NUM_THREADS",
				      "the same, where TINE_NUM_THREADS is not set"},
	[TINI_ENV_HEAP_SIZE] = {"TINE_HEAP_SIZE",
				"address space for the shared heap: bytes, or 512M, 64G, 1T"},
	[TINI_ENV_CHECK] = {"TINE_CHECK", "pointers: look for private host pointers in arguments"},
	[TINI_ENV_NO_COLOR] = {"NO_COLOR", "no escape sequences in progress output"},
};

const char *tini_env_get(tini_env which)
{
	const char *value = getenv(tini_env_table[which].name);

	return value && *value ? value : NULL;
}

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t\n");
}

/* A number without a sign; NULL where there is none, else what follows it. */
static const char *read_number(const char *text, unsigned long long *out)
{
	char *end;

	text = skip_blanks(text);
	if (*text < '0' || *text > '9') /* strtoull would take a minus */
		return NULL;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno ? NULL : end;
}

int tini_env_count(const char *value)
{
	unsigned long long n;
	const char *rest = value ? read_number(value, &n) : NULL;

	if (!rest)
		return 0;
	rest = skip_blanks(rest);
	return (*rest == '\0' || *rest == ',') && n <= INT_MAX ? (int)n : 0;
}

size_t tini_env_bytes(const char *value)
{
	static const char units[] = "kKmMgGtT";
	unsigned long long n;
	size_t unit = 1, bytes;
	const char *rest = value ? read_number(value, &n) : NULL;

	if (!rest)
		return 0;
	const char *at = *rest ? strchr(units, *rest) : NULL;
	if (at) {
		unit = (size_t)1 << (10 * ((at - units) / 2 + 1));
		rest++;
	}
	if (*skip_blanks(rest) || n > SIZE_MAX || !tini_mul_fits((size_t)n, unit, &bytes))
		return 0;
	return bytes;
}
