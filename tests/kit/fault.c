/* SPDX-License-Identifier: MIT */
/* kit_each_fault(): apart from kit.c, as it needs names that the shared library does not export. */
#include "kit/kit.h"
#include "base/error.h"
#include "base/fault.h"

/* A leak that grows with each run would be found by the address sanitizer; descriptors are counted here. */
static void check_run(long n, int code, bool hit, unsigned long told_before, int open_before)
{
	if (code != 0 && !hit)
		fail_msg("fault %ld was not reached, but the function returned %d: %s", n, code, tine_last_error());
	if (code != 0 && (!tini_error_is_code(code) || tini_error_count() == told_before || !*tine_last_error()))
		fail_msg("fault %ld: returned %d without telling why", n, code);
	if (kit_descriptors() != open_before)
		fail_msg("fault %ld: %d descriptors open before, %d after", n, open_before, kit_descriptors());
}

void kit_each_fault(int which, int (*fn)(void *context), void *context)
{
	bool hit = true;

	tini_fault_arm((tini_fault)which, 0);
	assert_int_equal(fn(context), 0); /* what is made once per process is made here */
	for (long n = 1; hit; n++) {
		unsigned long told = tini_error_count();
		int open = kit_descriptors();

		tini_fault_arm((tini_fault)which, n);
		int code = fn(context);
		hit = tini_fault_calls((tini_fault)which) >= n;
		tini_fault_arm((tini_fault)which, 0);
		check_run(n, code, hit, told, open);
	}
}
