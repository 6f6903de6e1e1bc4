/* SPDX-License-Identifier: MIT */
/* Option structs across versions, and the checks that every timeout goes through. */
#include "base/options.h"

#include <string.h>

#include "base/checked.h"
#include "base/error.h"

/* No struct of ours comes near it: a larger struct_size is garbage, and its "tail" is not ours to
 * read. */
enum { LARGEST = 4096 };

static bool is_zero(const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

int tini_options_copy(void *to, size_t size, const void *from, const char *call)
{
	size_t given;

	if (!from)
		return TINI_FAIL(TINE_EINVAL, "%s: args is NULL", call);
	memcpy(&given, from, sizeof(given));
	if (given < sizeof(given) || given > LARGEST)
		return TINI_FAIL(TINE_EINVAL, "%s: struct_size is %zu, set it to sizeof the struct",
				 call, given);
	if (given > size && !is_zero((const unsigned char *)from + size, given - size))
		return TINI_FAIL(TINE_EVERSION,
				 "%s: an option is set that this version, %s, does not know", call,
				 tine_version());
	memset(to, 0, size);
	memcpy(to, from, tini_min(given, size));
	memcpy(to, &size, sizeof(size));
	return 0;
}

int tini_timeout_check(double timeout, const char *call)
{
	if (timeout != timeout)
		return TINI_FAIL(TINE_EINVAL, "%s: timeout is not a number", call);
	return 0;
}

int tini_limit_check(double seconds, const char *call, const char *name)
{
	if (seconds != seconds)
		return TINI_FAIL(TINE_EINVAL, "%s: .%s is not a number", call, name);
	if (seconds < 0 && seconds != TINE_FOREVER)
		return TINI_FAIL(TINE_EINVAL, "%s: .%s is %g, give seconds, 0 or TINE_FOREVER",
				 call, name, seconds);
	return 0;
}
