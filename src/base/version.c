/* SPDX-License-Identifier: MIT */
/* The library's version, for programs that were built against another header. */
#include <tine/base.h>

const char *tine_version(void)
{
	return "0.1.0";
}
