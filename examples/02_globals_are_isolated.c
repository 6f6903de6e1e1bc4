/* SPDX-License-Identifier: MIT */
/*
 * A process has its own copy of every variable: what it changes, the program does not see.
 *
 * Python:  the list `result` that is filled in a Process and is still [] in the parent
 *
 * The shared heap is the exception, and it is the only one: see 05.
 */
#include <stdio.h>
#include <tine.h>

static int result[8];
static int length;

static void print_result(const char *where)
{
	printf("%s: [", where);
	for (int i = 0; i < length; i++)
		printf(i ? ", %d" : "%d", result[i]);
	printf("]\n");
}

static int square(void *arg)
{
	const int *numbers = arg;

	for (int i = 0; i < 5; i++)
		result[length++] = numbers[i] * numbers[i];
	print_result("in the process");
	return 0;
}

int main(void)
{
	const int numbers[] = {10, 20, 30, 40, 50};
	tine_process *process = tine_process_start(square, numbers, sizeof(numbers));

	if (tine_process_join(process, TINE_FOREVER) != 0)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	print_result("in the program");
	tine_process_free(process);
	return 0;
}
