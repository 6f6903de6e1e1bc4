/* SPDX-License-Identifier: MIT */
/*
 * Measuring a case and printing its lines.
 */
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "bench.h"

#define DISTURBED 0.2 /* cores */

static char problem[BENCH_TEXT]; /* of the measurement that failed last */
static bool wrong;               /* some answer was */

double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void bench_nap(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)(1e9 * (seconds - floor(seconds)))};

	nanosleep(&t, NULL);
}

bool bench_spin(void)
{
	const char *text = getenv("SPIN");

	return text && strcmp(text, "1") == 0;
}

void bench_begin(void)
{
	struct rlimit none = {0, 0};

	setvbuf(stdout, NULL, _IOLBF, 0);
	setrlimit(RLIMIT_CORE, &none);
	signal(SIGPIPE, SIG_IGN);
}

int bench_end(void)
{
	return wrong;
}

double bench_fail(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(problem, sizeof(problem), format, list);
	va_end(list);
	return NAN;
}

void bench_check(bool right, const char *format, ...)
{
	va_list list;

	if (right)
		return;
	wrong = true;
	va_start(list, format);
	printf("WRONG: ");
	vprintf(format, list);
	printf("\n");
	va_end(list);
}

void bench_note(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	printf("    ");
	vprintf(format, list);
	printf("\n");
	va_end(list);
}

long bench_proc(const char *path, const char *key)
{
	FILE *file = fopen(path, "r");
	char line[256];
	long value = -1;

	if (!file)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtol(line + strlen(key), NULL, 10);
	fclose(file);
	return value;
}

/* ---- figures */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

typedef struct quartiles {
	double low, median, high;
} quartiles;

static double at_share(const double *sorted, int n, double share)
{
	double place = share * (n - 1);
	int i = (int)place;

	return i + 1 < n ? sorted[i] + (place - i) * (sorted[i + 1] - sorted[i]) : sorted[i];
}

static quartiles quartiles_of(const double *values, int n)
{
	double *sorted = malloc((size_t)n * sizeof(*sorted));
	quartiles q = {NAN, NAN, NAN};

	if (!sorted)
		return q;
	memcpy(sorted, values, (size_t)n * sizeof(*sorted));
	qsort(sorted, (size_t)n, sizeof(*sorted), compare);
	q = (quartiles){at_share(sorted, n, 0.25), at_share(sorted, n, 0.5),
			at_share(sorted, n, 0.75)};
	free(sorted);
	return q;
}

/* Of the rounds' own ratios: Tine and the peer were measured one after the other there. */
static quartiles ratios_of(const bench_side *tine, const bench_side *peer, int rounds)
{
	double *ratios = malloc((size_t)rounds * sizeof(*ratios));
	quartiles q = {NAN, NAN, NAN};

	if (!ratios)
		return q;
	for (int i = 0; i < rounds; i++)
		ratios[i] = peer->times[i] / tine->times[i];
	q = quartiles_of(ratios, rounds);
	free(ratios);
	return q;
}

/* ---- printing */

static const char *seconds_text(char *text, size_t size, double t)
{
	static const struct {
		double seconds;
		const char *name;
	} units[] = {{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}};
	size_t i = 0;

	while (i < 3 && t < units[i].seconds)
		i++;
	snprintf(text, size, "%.3g %s", t / units[i].seconds, units[i].name);
	return text;
}

static const char *ratio_text(char *text, size_t size, double ratio)
{
	snprintf(text, size, ratio < 10 ? "%.2f" : ratio < 100 ? "%.1f" : "%.0f", ratio);
	return text;
}

static const char *goal_text(char *text, size_t size, double goal)
{
	snprintf(text, size, goal > 0 ? "%g" : "-", goal);
	return text;
}

static void print_missing(const bench_case *c, const bench_side *side)
{
	const char *why = c->tine.problem[0] ? c->tine.problem : side->problem;
	char tine[32] = "-", goal[32];

	if (!c->tine.problem[0])
		seconds_text(tine, sizeof(tine), quartiles_of(c->tine.times, c->rounds).median);
	printf("%-34s %8s  %-41s %7s  %-13s %4s  NO: %s\n", c->name, tine, side->name, "-", "-",
	       goal_text(goal, sizeof(goal), side->goal), why);
}

static void print_row(const bench_case *c, const bench_side *side, double ratio, quartiles spread)
{
	char tine[32], peer[32], which[80], of[32], low[32], high[32], range[80], goal[32];

	snprintf(which, sizeof(which), "%s (%s)",
		 seconds_text(peer, sizeof(peer), quartiles_of(side->times, c->rounds).median),
		 side->name);
	snprintf(range, sizeof(range), "%s..%s", ratio_text(low, sizeof(low), spread.low),
		 ratio_text(high, sizeof(high), spread.high));
	printf("%-34s %8s  %-41s %7s  %-13s %4s  %s\n", c->name,
	       seconds_text(tine, sizeof(tine), quartiles_of(c->tine.times, c->rounds).median),
	       which, ratio_text(of, sizeof(of), ratio), range,
	       goal_text(goal, sizeof(goal), side->goal),
	       side->goal <= 0       ? "-"
	       : ratio >= side->goal ? "yes"
				     : "NO");
}

static FILE *json_file(void)
{
	const char *path = getenv("BENCH_JSON");

	return path ? fopen(path, "a") : NULL;
}

static void put_number(FILE *file, const char *key, double value)
{
	fprintf(file, isnan(value) ? ", \"%s\": null" : ", \"%s\": %.6g", key, value);
}

static void put_text(FILE *file, const char *key, const char *text)
{
	fprintf(file, ", \"%s\": \"", key);
	for (; *text; text++)
		fputc(*text == '"' || *text == '\\' || *text < ' ' ? '\'' : *text, file);
	fputc('"', file);
}

typedef struct outcome {
	double ratio;
	quartiles tine_times, peer_times, spread;
	const char *note;
} outcome;

/* Cores that were not there for this case. */
typedef struct disturbance {
	double others, stolen;
} disturbance;

static void put_line(const bench_case *c, const bench_side *side, const outcome *o, disturbance d)
{
	FILE *file = json_file();
	bool ok = o->ratio >= side->goal; /* false for NaN */

	if (!file)
		return;
	fprintf(file, "{\"case\": \"%s\", \"n\": %zu, \"threads\": %d, \"spin\": %s", c->name, c->n,
		c->threads, bench_spin() ? "true" : "false");
	put_number(file, "tine", o->tine_times.median);
	put_number(file, "peer", o->peer_times.median);
	put_text(file, "peer_name", side->name);
	put_number(file, "ratio", o->ratio);
	put_number(file, "spread", (o->spread.high - o->spread.low) / o->ratio);
	put_number(file, "goal", side->goal);
	fprintf(file, ", \"ok\": %s, \"rounds\": %d", ok ? "true" : "false", c->rounds);
	put_number(file, "tine_low", o->tine_times.low);
	put_number(file, "tine_high", o->tine_times.high);
	put_number(file, "peer_low", o->peer_times.low);
	put_number(file, "peer_high", o->peer_times.high);
	put_number(file, "other_cpu", d.others);
	put_number(file, "stolen_cpu", d.stolen);
	if (o->note[0])
		put_text(file, "note", o->note);
	fprintf(file, "%s%s}\n", c->extra ? ", " : "", c->extra ? c->extra : "");
	fclose(file);
}

static void tell(const bench_case *c, const bench_side *side, disturbance d)
{
	const quartiles none = {NAN, NAN, NAN};
	outcome o = {.ratio = NAN, .note = side->problem};

	o.tine_times = o.peer_times = o.spread = none;
	if (!c->tine.problem[0])
		o.tine_times = quartiles_of(c->tine.times, c->rounds);
	else
		o.note = c->tine.problem;
	if (!side->problem[0])
		o.peer_times = quartiles_of(side->times, c->rounds);
	if (!o.note[0]) {
		o.ratio = o.peer_times.median / o.tine_times.median;
		o.spread = ratios_of(&c->tine, side, c->rounds);
		print_row(c, side, o.ratio, o.spread);
	} else {
		print_missing(c, side);
	}
	put_line(c, side, &o, d);
}

/* A line more, for the best of the peers; all must be there, or it may be another. */
static void tell_best(const bench_case *c, bench_side **peers, int n, disturbance d)
{
	const bench_side *best = peers[0];
	bench_side side;
	char name[80];
	double least = INFINITY;

	for (int i = 0; i < n; i++) {
		double median = quartiles_of(peers[i]->times, c->rounds).median;

		if (peers[i]->problem[0]) {
			best = peers[i];
			break;
		}
		if (median < least) {
			best = peers[i];
			least = median;
		}
	}
	side = *best;
	snprintf(name, sizeof(name), "best: %s", best->name);
	side.name = best->problem[0] ? "the best of them" : name;
	side.goal = c->best;
	tell(c, &side, d);
}

/* ---- measuring */

static void measure(bench_side *side, int round)
{
	double seconds;

	if (side->problem[0])
		return;
	seconds = side->measure(side->arg);
	if (isnan(seconds))
		snprintf(side->problem, sizeof(side->problem), "%s",
			 problem[0] ? problem : "failed");
	else if (round >= 0)
		side->times[round] = seconds;
}

static int collect_sides(bench_case *c, bench_side **sides)
{
	int n = 0;

	sides[n++] = &c->tine;
	for (int i = 0; i < BENCH_PEERS && c->peers[i].name; i++)
		sides[n++] = &c->peers[i];
	for (int i = 0; i < n; i++) {
		sides[i]->times = calloc((size_t)c->rounds, sizeof(*sides[i]->times));
		if (!sides[i]->times)
			exit(1);
	}
	return n;
}

void bench_run(bench_case *c)
{
	bench_side *sides[1 + BENCH_PEERS];
	int n = collect_sides(c, sides);
	bench_usage before, after;
	disturbance d;

	bench_quiet();
	for (int i = 0; i < n; i++)
		measure(sides[i], -1); /* warm up */
	before = bench_usage_now();
	for (int round = 0; round < c->rounds; round++)
		for (int i = 0; i < n; i++)
			measure(sides[round % 2 ? n - 1 - i : i], round);
	after = bench_usage_now();
	d = (disturbance){bench_usage_others(before, after), bench_usage_stolen(before, after)};
	for (int i = 1; i < n; i++)
		tell(c, sides[i], d);
	if (c->best > 0)
		tell_best(c, sides + 1, n - 1, d);
	if (d.others + d.stolen > DISTURBED)
		bench_note(
			"disturbed: other programs used %.2g cores meanwhile, other machines %.2g",
			d.others, d.stolen);
	for (int i = 0; i < n; i++)
		free(sides[i]->times);
}
