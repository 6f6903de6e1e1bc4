/* SPDX-License-Identifier: MIT */
/*
 * Two processes side by side: one squares numbers, the other cubes them.
 *
 * Python:  p1 = Process(target=square, args=(arr,)); p1.start(); p1.join()
 *
 * Lines printed by two processes come in any order.  So each writes its answers into the shared
 * heap, and the program prints them when both have ended.
 */
#include <stdio.h>
#include <tine.h>

enum { COUNT = 5 };

typedef struct job {
	int numbers[COUNT];
	int *answers; /* COUNT of them in the shared heap */
} job;

static int square(void *arg)
{
	job *todo = arg;

	for (int i = 0; i < COUNT; i++)
		todo->answers[i] = todo->numbers[i] * todo->numbers[i];
	return 0;
}

static int cube(void *arg)
{
	job *todo = arg;

	for (int i = 0; i < COUNT; i++)
		todo->answers[i] = todo->numbers[i] * todo->numbers[i] * todo->numbers[i];
	return 0;
}

static void print_answers(const char *name, const job *done)
{
	for (int i = 0; i < COUNT; i++)
		printf("%s: %d\n", name, done->answers[i]);
}

int main(void)
{
	job squares = {{10, 20, 30, 40, 50}, tine_shared_alloc(COUNT * sizeof(int))};
	job cubes = {{10, 20, 30, 40, 50}, tine_shared_alloc(COUNT * sizeof(int))};

	if (!squares.answers || !cubes.answers)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	tine_process *p1 = tine_process_start(square, &squares, sizeof(squares));
	tine_process *p2 = tine_process_start(cube, &cubes, sizeof(cubes));
	if (!p1 || !p2 || tine_process_join(p1, TINE_FOREVER) != 0 ||
	    tine_process_join(p2, TINE_FOREVER) != 0)
		return fprintf(stderr, "%s\n", tine_last_error()), 1;
	print_answers("square", &squares);
	print_answers("cube", &cubes);
	printf("Done\n");
	tine_process_free(p1);
	tine_process_free(p2);
	tine_shared_free(squares.answers);
	tine_shared_free(cubes.answers);
	return 0;
}
