/* SPDX-License-Identifier: MIT */
/* A module that is loaded after a pool was opened: its workers do not have it. */
#include <string.h>

int late_task(const void *arg, void *result);

int late_task(const void *arg, void *result)
{
	memcpy(result, arg, sizeof(int));
	return 0;
}
