/* SPDX-License-Identifier: MIT */
/* Option structs of callers built against an older or a newer header. */
#ifndef TINI_BASE_OPTIONS_H
#define TINI_BASE_OPTIONS_H

#include <stddef.h>

/*
 * Copy a caller's option struct, whose first member is its size_t struct_size, into ours of `size` bytes.  A shorter
 * (older) one is filled with zeros; a longer (newer) one is taken if its unknown tail is zero.
 *
 * Returns 0, TINE_EINVAL (NULL, or a struct_size that cannot be: below sizeof(size_t)) or TINE_EVERSION, told under
 * the name `call`.
 */
int tini_options_copy(void *to, size_t size, const void *from, const char *call);

/* A timeout parameter: 0, or TINE_EINVAL where it is NaN, told under the name `call`. */
int tini_timeout_check(double timeout, const char *call);

/* A timeout keyword (0 default, TINE_FOREVER none): NaN and other negative values are TINE_EINVAL. */
int tini_limit_check(double seconds, const char *call, const char *name);

#endif
