/* SPDX-License-Identifier: MIT */
/* Which functions workers have: those of modules that were there, and not those of one loaded
 * since. */
#include "kit/kit.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tine/heap.h>

#include "process/modules.h"
#include "process/self.h"

static void test_known_and_unknown(void **state)
{
	tini_modules *before = tini_modules_now();

	(void)state;
	assert_non_null(before);
	assert_true(before->count > 2);
	assert_true(tini_modules_know(before, (const void *)(uintptr_t)test_known_and_unknown));
	assert_true(tini_modules_know(before, (const void *)(uintptr_t)malloc));
	void *library = dlopen("libresolv.so.2", RTLD_NOW);
	if (!library)
		skip();
	const void *late = dlsym(library, "ns_get16");
	if (!late)
		late = dlsym(library, "ns_sprintrr");
	assert_non_null(late);
	assert_false(tini_modules_know(before, late));
	assert_true(tini_modules_know(before, (const void *)(uintptr_t)malloc));
	tini_modules *after = tini_modules_now();
	assert_true(tini_modules_know(after, late));
	tine_shared_free(before);
	tine_shared_free(after);
	dlclose(library);
}

static int told;
static void on_fork(void)
{
	told++;
}

static void test_self(void **state)
{
	int status;

	(void)state;
	assert_int_equal(tini_self_id(), getpid());
	tini_self_on_fork(on_fork);
	tini_self_on_fork(on_fork); /* once is enough */
	pid_t pid = fork();
	if (pid == 0)
		_exit(told == 1 && tini_self_id() == (uint64_t)getpid() ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(told, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_known_and_unknown),
					   cmocka_unit_test(test_self)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
