/* SPDX-License-Identifier: MIT */
/*
 * How much CPU time other programs use meanwhile.
 *
 * Ours are: the processes of our group (the peers, the spinner) with their reaped children; those
 * that run the same program (workers have groups of their own); and what init reaped, as hidden
 * supervisors end there.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define QUIET_CORES 0.1
#define QUIET_LOOK 0.12 /* seconds of one look */
#define QUIET_CASE 4.0  /* seconds of waiting before a case, at most */
#define QUIET_ALL 20.0  /* and before all cases of the program */

static double seconds_of(unsigned long ticks)
{
	return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

/* Of all CPUs since the machine was started. */
static void read_busy(bench_usage *usage)
{
	unsigned long user, nice, system, idle, wait, irq, softirq, stolen;
	FILE *file = fopen("/proc/stat", "r");

	if (!file)
		return;
	if (fscanf(file, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &user, &nice, &system, &idle, &wait,
		   &irq, &softirq, &stolen) == 8) {
		usage->busy = seconds_of(user + nice + system + irq + softirq);
		usage->stolen = seconds_of(stolen);
	}
	fclose(file);
}

static bool runs_our_program(const char *pid)
{
	static char ours[512];
	char path[300], theirs[sizeof(ours)];
	ssize_t n;

	if (!ours[0] && readlink("/proc/self/exe", ours, sizeof(ours) - 1) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%s/exe", pid);
	n = readlink(path, theirs, sizeof(theirs) - 1);
	if (n < 0)
		return false;
	theirs[n] = '\0';
	return strcmp(ours, theirs) == 0;
}

static double own_seconds_of(const char *pid)
{
	char path[300], line[1024];
	unsigned long user, system, reaped_user, reaped_system;
	int group, got = 0;
	FILE *file;
	char *end;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	end = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	fclose(file);
	if (end)
		got = sscanf(end, ") %*c %*d %d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu",
			     &group, &user, &system, &reaped_user, &reaped_system);
	if (got != 5)
		return 0;
	if (group == getpgrp() || runs_our_program(pid))
		return seconds_of(user + system + reaped_user + reaped_system);
	return strcmp(pid, "1") == 0 ? seconds_of(reaped_user + reaped_system) : 0;
}

static double own_seconds(void)
{
	DIR *folder = opendir("/proc");
	double sum = 0;

	if (!folder)
		return 0;
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
		if (isdigit((unsigned char)entry->d_name[0]))
			sum += own_seconds_of(entry->d_name);
	closedir(folder);
	return sum;
}

bench_usage bench_usage_now(void)
{
	bench_usage usage = {.at = bench_now(), .own = own_seconds()};

	read_busy(&usage);
	return usage;
}

double bench_usage_others(bench_usage from, bench_usage to)
{
	double others = (to.busy - from.busy) - (to.own - from.own);

	return others > 0 && to.at > from.at ? others / (to.at - from.at) : 0;
}

double bench_usage_stolen(bench_usage from, bench_usage to)
{
	return to.at > from.at ? (to.stolen - from.stolen) / (to.at - from.at) : 0;
}

void bench_quiet(void)
{
	static double waited;
	double start = bench_now();
	double most = waited < QUIET_ALL ? QUIET_CASE : 0;
	double others;

	do {
		bench_usage before = bench_usage_now();

		bench_nap(QUIET_LOOK);
		others = bench_usage_others(before, bench_usage_now());
	} while (others > QUIET_CORES && bench_now() - start < most);
	waited += bench_now() - start;
}
