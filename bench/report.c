/* SPDX-License-Identifier: MIT */
/*
 * report head JSON         the machine, to stdout and as the first line of JSON; head of the table
 * report draw JSON SVG     a bar for each line of JSON: the ratio, on a logarithmic axis
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

enum {
	BARS = 200,
	LINE = 4096,
	NAME = 128,
	LABELS = 430,
	WIDTH = 1000,
	ROW = 24,
	TOP = 64,
	FOOT = 56
};
#define RIGHT (WIDTH - 70)

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* ---- head */

static void cpu_model(char *out, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char line[256], *colon;

	snprintf(out, size, "unknown CPU");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		colon = strchr(line, ':');
		if (colon && strncmp(line, "model name", 10) == 0) {
			snprintf(out, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
			break;
		}
	}
	fclose(file);
}

static int head(const char *path)
{
	FILE *json = fopen(path, "w");
	char model[128];
	struct utsname name;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	cpu_model(model, sizeof(model));
	uname(&name);
	if (!json) {
		perror(path);
		return 1;
	}
	fprintf(json,
		"{\"machine\": \"%s\", \"cores\": %ld, \"kernel\": \"%s\", \"compiler\": \"%s\", "
		"\"spin\": %s}\n",
		model, cores, name.release, COMPILER, bench_spin() ? "true" : "false");
	fclose(json);
	printf("%s, %ld cores; %s %s; %s%s\n\n", model, cores, name.sysname, name.release, COMPILER,
	       bench_spin() ? "; beside a process that keeps one core busy" : "");
	printf("%-34s %8s  %-41s %7s  %-13s %4s  %s\n", "case", "Tine", "peer (which)", "ratio",
	       "spread", "goal", "ok");
	return 0;
}

/* ---- draw */

typedef struct bar {
	char name[NAME], peer[NAME];
	double ratio, goal;
	bool ok;
} bar;

static bool text_of(const char *line, const char *key, char *out)
{
	const char *at = strstr(line, key);

	if (!at)
		return false;
	snprintf(out, NAME, "%.*s", (int)strcspn(at + strlen(key), "\""), at + strlen(key));
	return true;
}

static double number_of(const char *line, const char *key)
{
	const char *at = strstr(line, key);
	char *end;
	double value = at ? strtod(at + strlen(key), &end) : NAN;

	return at && end == at + strlen(key) ? NAN : value; /* null */
}

static bool read_bar(const char *line, bar *b)
{
	if (!text_of(line, "\"case\": \"", b->name) || !text_of(line, "\"peer_name\": \"", b->peer))
		return false;
	b->ratio = number_of(line, "\"ratio\": ");
	b->goal = number_of(line, "\"goal\": ");
	b->ok = strstr(line, "\"ok\": true") != NULL;
	return true;
}

static int read_bars(const char *path, bar *bars, int most)
{
	FILE *file = fopen(path, "r");
	char line[LINE];
	int n = 0;

	if (!file)
		return -1;
	while (n < most && fgets(line, sizeof(line), file))
		n += read_bar(line, &bars[n]);
	fclose(file);
	return n;
}

typedef struct axis {
	double low, high; /* decades */
} axis;

static double place(axis a, double ratio)
{
	double x = (log10(ratio) - a.low) / (a.high - a.low);

	return LABELS + (RIGHT - LABELS) * fmin(fmax(x, 0), 1);
}

static axis axis_of(const bar *bars, int n)
{
	axis a = {-1, 2};

	for (int i = 0; i < n; i++) {
		if (!(bars[i].ratio > 0))
			continue;
		a.low = fmin(a.low, floor(log10(bars[i].ratio)));
		a.high = fmax(a.high, ceil(log10(bars[i].ratio)));
	}
	return a;
}

static void put_text(FILE *svg, const char *text)
{
	for (; *text; text++) {
		if (*text == '&' || *text == '<')
			fputs(*text == '&' ? "&amp;" : "&lt;", svg);
		else
			fputc(*text, svg);
	}
}

static void draw_grid(FILE *svg, axis a, int rows)
{
	int bottom = TOP + rows * ROW;

	for (double decade = a.low; decade <= a.high; decade++) {
		double x = place(a, pow(10, decade));

		fprintf(svg, "<line x1='%.1f' y1='%d' x2='%.1f' y2='%d' stroke='%s'/>\n", x,
			TOP - 6, x, bottom + 4, decade == 0 ? "#333" : "#ddd");
		fprintf(svg, "<text x='%.1f' y='%d' text-anchor='middle' fill='#555'>%g</text>\n",
			x, bottom + 18, pow(10, decade));
	}
}

static const char *color_of(const bar *b)
{
	if (b->goal <= 0)
		return "#9aa7b5";
	return b->ok ? "#2a8c6c" : "#c8502d";
}

static void draw_labels(FILE *svg, const bar *b, int y)
{
	fprintf(svg, "<text x='%d' y='%d' text-anchor='end'>", LABELS - 12, y + 16);
	put_text(svg, b->name);
	fprintf(svg, " <tspan fill='#777'>/ ");
	put_text(svg, b->peer);
	fprintf(svg, "</tspan></text>\n");
}

static void draw_bar(FILE *svg, const bar *b, axis a, int y)
{
	double one = place(a, 1), x = place(a, b->ratio), goal = place(a, b->goal);

	draw_labels(svg, b, y);
	if (b->ratio > 0) {
		fprintf(svg, "<rect x='%.1f' y='%d' width='%.1f' height='%d' fill='%s'/>\n",
			fmin(one, x), y + 4, fmax(fabs(x - one), 1), ROW - 8, color_of(b));
		fprintf(svg, "<text x='%.1f' y='%d'>%.*f</text>\n",
			fmax(fmax(one, x), b->goal > 0 ? goal : 0) + 6, y + 16,
			b->ratio < 10    ? 2
			: b->ratio < 100 ? 1
					 : 0,
			b->ratio);
	} else {
		fprintf(svg, "<text x='%.1f' y='%d' fill='%s'>not measured</text>\n", one + 6,
			y + 16, color_of(b));
	}
	if (b->goal > 0)
		fprintf(svg,
			"<line x1='%.1f' y1='%d' x2='%.1f' y2='%d' stroke='#111' "
			"stroke-width='2'/>\n",
			goal, y + 1, goal, y + ROW - 1);
}

static void draw_all(FILE *svg, const bar *bars, int n)
{
	int height = TOP + n * ROW + FOOT;
	axis a = axis_of(bars, n);

	fprintf(svg,
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
		"font-family='sans-serif' font-size='12'>\n<rect width='100%%' height='100%%' "
		"fill='white'/>\n<text x='16' y='28' font-size='16'>Peer's time / Tine's "
		"time%s</text>\n",
		WIDTH, height, bench_spin() ? ", beside a process that keeps one core busy" : "");
	draw_grid(svg, a, n);
	for (int i = 0; i < n; i++)
		draw_bar(svg, &bars[i], a, TOP + i * ROW);
	fprintf(svg,
		"<text x='16' y='%d' fill='#555'>Right of 1: Tine is ahead. Black mark: the goal. "
		"Green: reached; red: not; grey: for information.</text>\n</svg>\n",
		height - 12);
}

static int draw(const char *json, const char *path)
{
	static bar bars[BARS];
	int n = read_bars(json, bars, BARS);
	FILE *svg = n < 0 ? NULL : fopen(path, "w");

	if (!svg) {
		perror(n < 0 ? json : path);
		return 1;
	}
	draw_all(svg, bars, n);
	return fclose(svg) ? 1 : 0;
}

int main(int count, char **words)
{
	if (count == 3 && strcmp(words[1], "head") == 0)
		return head(words[2]);
	if (count == 4 && strcmp(words[1], "draw") == 0)
		return draw(words[2], words[3]);
	fprintf(stderr, "usage: report head JSON | report draw JSON SVG\n");
	return 2;
}
