/* SPDX-License-Identifier: MIT */
/*
 * A task that spawns tasks: quicksort.  One side is there for any thread to take while this one
 * sorts the other; who waits helps.
 *
 * Python:  nothing like it: a ThreadPoolExecutor's tasks that wait for its tasks stand still
 */
#include <stdio.h>
#include <stdlib.h>
#include <tine.h>

enum { COUNT = 1000000, SMALL = 2000 };

typedef struct part {
	uint32_t *begin, *end;
} part;

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Hoare's: nothing before the place that it returns is greater than anything from it on. */
static uint32_t *divide(part all)
{
	uint32_t pivot = all.begin[(all.end - all.begin - 1) / 2];

	for (uint32_t *low = all.begin, *high = all.end - 1;; low++, high--) {
		while (*low < pivot)
			low++;
		while (*high > pivot)
			high--;
		if (low >= high)
			return high + 1;
		uint32_t kept = *low;
		*low = *high;
		*high = kept;
	}
}

static void sort(void *arg)
{
	const part *all = arg;
	tine_group group = {0};

	if (all->end - all->begin <= SMALL) {
		qsort(all->begin, (size_t)(all->end - all->begin), sizeof(uint32_t), compare);
		return;
	}
	uint32_t *middle = divide(*all);
	part left = {all->begin, middle}, right = {middle, all->end};
	tine_spawn(&group, sort, &left);
	sort(&right);
	tine_group_wait(&group); /* `left` and `group` lie on this stack: never leave before */
}

static uint64_t sum(const uint32_t *numbers)
{
	uint64_t total = 0;

	for (int i = 0; i < COUNT; i++)
		total += numbers[i];
	return total;
}

int main(void)
{
	uint32_t *numbers = malloc(COUNT * sizeof(*numbers)), random = 1;
	int falls = 0;

	if (!numbers)
		return 1;
	for (int i = 0; i < COUNT; i++)
		numbers[i] = (random = random * 1664525 + 1013904223) >> 8;
	uint64_t before = sum(numbers);
	sort(&(part){numbers, numbers + COUNT});
	for (int i = 1; i < COUNT; i++)
		falls += numbers[i] < numbers[i - 1];
	printf("%d numbers, %d out of order, their sum is %s\n", COUNT, falls,
	       sum(numbers) == before ? "what it was" : "another");
	printf("least %u, median %u, greatest %u\n", numbers[0], numbers[COUNT / 2],
	       numbers[COUNT - 1]);
	free(numbers);
	return 0;
}
