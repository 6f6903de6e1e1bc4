/* SPDX-License-Identifier: MIT */
#include "relief.h"

#include <math.h>
#include <stddef.h>
#include <tine.h>
#include <unistd.h>

static const double pi = 3.14159265358979323846;
static const double exaggeration = 2.2; /* of heights: hills look flat from above */
static const double sun_azimuth = 315, sun_height = 34,
		    sun_width = 9; /* degrees; north-west, as on maps */

typedef struct colour {
	float red, green, blue;
} colour;

/* ---- plan */

static void plan_direction(relief *r, int direction)
{
	double angle = 2 * pi * direction / RELIEF_DIRECTIONS, nearest = 1.5;
	double ratio = pow((RELIEF_MARGIN - 2) / nearest, 1.0 / (RELIEF_LOOKS - 1)),
	       distance = nearest;

	for (int i = 0; i < RELIEF_LOOKS; i++, distance *= ratio) {
		/* direction 0 is north, and they go on clockwise */
		int x = (int)lround(sin(angle) * distance), y = (int)lround(-cos(angle) * distance);
		r->look[direction][i].offset = y * r->stride + x;
		r->look[direction][i].per_metre = (float)(1 / (hypot(x, y) * r->step));
	}
}

static void plan_sun(relief *r)
{
	double sum = 0, share[RELIEF_DIRECTIONS];

	for (int i = 0; i < RELIEF_DIRECTIONS; i++) {
		double away =
			remainder(360.0 * i / RELIEF_DIRECTIONS - sun_azimuth, 360) / sun_width;
		share[i] = exp(-away * away);
		sum += share[i];
	}
	for (int i = 0; i < RELIEF_DIRECTIONS; i++)
		r->sun_share[i] = (float)(share[i] / sum);
}

void relief_plan(relief *r, double step)
{
	r->step = step;
	r->width = (int)(r->columns * r->cell_east / r->step);
	r->height = (int)(r->rows * r->cell_south / r->step);
	r->stride = r->width + 2 * RELIEF_MARGIN;
	r->surface_rows = r->height + 2 * RELIEF_MARGIN;
	for (int i = 0; i < RELIEF_DIRECTIONS; i++)
		plan_direction(r, i);
	plan_sun(r);
}

/* ---- raise */

static int within(int i, int count)
{
	return i < 0 ? 0 : i < count ? i : count - 1;
}

/* Weights of the cells at -1, 0, 1, 2 for a place t between 0 and 1: Mitchell's and Netravali's
 * cubic. */
static void cubic_weights(double t, double weight[4])
{
	for (int i = 0; i < 4; i++) {
		double x = fabs(t + 1 - i);
		weight[i] = x < 1 ? (7 * x * x * x - 12 * x * x + 16.0 / 3) / 6
				  : (-7.0 / 3 * x * x * x + 12 * x * x - 20 * x + 32.0 / 3) / 6;
	}
}

static double raise_at(const relief *r, double column, int first_row, const double down[4])
{
	double across[4], sum = 0;
	int first = (int)floor(column) - 1;

	cubic_weights(column - floor(column), across);
	for (int j = 0; j < 4; j++) {
		const float *row =
			r->elevation + (size_t)within(first_row + j, r->rows) * (size_t)r->columns;
		for (int i = 0; i < 4; i++)
			sum += down[j] * across[i] * row[within(first + i, r->columns)];
	}
	return sum;
}

int relief_raise(const void *no_argument, void *no_result)
{
	const relief *r = tine_task_context();
	int y = (int)tine_task_index();
	double row = (y - RELIEF_MARGIN + 0.5) * r->step / r->cell_south - 0.5, down[4];
	float *out = r->surface + (size_t)y * (size_t)r->stride;

	(void)no_argument;
	(void)no_result;
	cubic_weights(row - floor(row), down);
	for (int x = 0; x < r->stride; x++) {
		double column = (x - RELIEF_MARGIN + 0.5) * r->step / r->cell_east - 0.5;
		out[x] = (float)(exaggeration * raise_at(r, column, (int)floor(row) - 1, down));
	}
	return 0;
}

/* ---- shade */

/* Colours of heights from the valleys to the tops, evenly spaced. */
static const colour tints[] = {
	{0.33f, 0.50f, 0.45f}, {0.49f, 0.63f, 0.48f}, {0.69f, 0.75f, 0.54f}, {0.87f, 0.83f, 0.64f},
	{0.87f, 0.74f, 0.55f}, {0.75f, 0.58f, 0.45f}, {0.66f, 0.53f, 0.47f}, {0.95f, 0.93f, 0.92f},
};
enum { TINTS = sizeof(tints) / sizeof(tints[0]) };

static colour tint_of(float part)
{
	float at = fminf(fmaxf(part, 0), 1) * (TINTS - 1);
	int i = at < TINTS - 2 ? (int)at : TINTS - 2;
	float t = at - (float)i;
	const colour *a = &tints[i], *b = &tints[i + 1];

	return (colour){a->red + t * (b->red - a->red), a->green + t * (b->green - a->green),
			a->blue + t * (b->blue - a->blue)};
}

/* How far the hills rise from a row of pixels in one direction, as the tangent of the angle. */
static void look(const relief_look looks[RELIEF_LOOKS], const float *from, int count,
		 float rise[RELIEF_TILE])
{
	for (int x = 0; x < count; x++)
		rise[x] = 0;
	for (int i = 0; i < RELIEF_LOOKS; i++) {
		const float *there = from + looks[i].offset;
		float per_metre = looks[i].per_metre;
		for (int x = 0; x < count; x++) {
			float tangent = (there[x] - from[x]) * per_metre;
			rise[x] = tangent > rise[x] ? tangent : rise[x];
		}
	}
}

/* The parts of the sky and of the sun that each pixel of a row sees. */
static void look_around(const relief *r, const float *from, int count, float sky[RELIEF_TILE],
			float sun[RELIEF_TILE])
{
	const float sun_low = (float)tan((sun_height - 5) * pi / 180),
		    sun_high = (float)tan((sun_height + 5) * pi / 180);
	float rise[RELIEF_TILE];

	for (int x = 0; x < count; x++)
		sky[x] = sun[x] = 0;
	for (int i = 0; i < RELIEF_DIRECTIONS; i++) {
		look(r->look[i], from, count, rise);
		for (int x = 0; x < count; x++) {
			float above = (sun_high - rise[x]) / (sun_high - sun_low);
			sky[x] += 1 / (1 + rise[x] * rise[x]); /* the squared cosine of the angle */
			sun[x] += r->sun_share[i] * (above < 0 ? 0 : above > 1 ? 1 : above);
		}
	}
	for (int x = 0; x < count; x++)
		sky[x] /= RELIEF_DIRECTIONS;
}

/* The cosine between the surface's upright and the sun; negative where it faces away. */
static float facing_sun(const relief *r, const float *at)
{
	const float east = (float)(sin(sun_azimuth * pi / 180) * cos(sun_height * pi / 180));
	const float south = (float)(-cos(sun_azimuth * pi / 180) * cos(sun_height * pi / 180));
	const float up = (float)sin(sun_height * pi / 180);
	float per_two = (float)(0.5 / r->step);
	float slope_east = (at[1] - at[-1]) * per_two,
	      slope_south = (at[r->stride] - at[-r->stride]) * per_two;

	return (up - slope_east * east - slope_south * south) /
	       sqrtf(1 + slope_east * slope_east + slope_south * slope_south);
}

static unsigned char shown(float light)
{
	float v = light < 0 ? 0 : light;

	v = v * (1 + v * 0.12f) / (1 + v * 0.35f); /* bright parts keep their shape */
	v = 255 * sqrtf(v) + 0.5f;
	return (unsigned char)(v > 255 ? 255 : v);
}

/* Every 100 m a thin line: what of the light it leaves. */
static float contour(const relief *r, const float *at)
{
	float metres = *at / (float)exaggeration, away = fabsf(metres - 100 * rintf(metres / 100));
	float per_pixel =
		hypotf(at[1] - at[-1], at[r->stride] - at[-r->stride]) / (2 * (float)exaggeration);
	float pixels = away / fmaxf(per_pixel, 0.05f);

	return pixels < 1 ? 1 - 0.28f * (1 - pixels) : 1;
}

static void paint(const relief *r, const float *at, float sky, float sun, unsigned char *pixel)
{
	float metres = *at / (float)exaggeration, facing = facing_sun(r, at), line = contour(r, at);
	colour tint = tint_of((metres - (float)r->lowest) / (float)(r->highest - r->lowest));
	float direct = 1.36f * sun * (facing > 0 ? facing : 0), diffuse = 0.60f * sky * sky,
	      bounced = 0.10f * (1 - sky);

	/* tints are given as they look; light adds up in what they reflect */
	pixel[0] = shown(line * tint.red * tint.red *
			 (1.06f * direct + 0.74f * diffuse + 1.3f * bounced));
	pixel[1] = shown(line * tint.green * tint.green *
			 (1.00f * direct + 0.86f * diffuse + bounced));
	pixel[2] = shown(line * tint.blue * tint.blue *
			 (0.88f * direct + 1.25f * diffuse + 0.8f * bounced));
}

/* ---- what goes wrong, on purpose */

/* Not inlined, so that the story has its name. */
__attribute__((noinline)) static int read_nowhere(void)
{
	const int *volatile nowhere = NULL;

	return *nowhere;
}

static void wait_forever(void)
{
	for (;;)
		pause();
}

static int smaller(int a, int b)
{
	return a < b ? a : b;
}

int relief_shade(const void *arg, void *no_result)
{
	const relief *r = tine_task_context();
	const relief_tile *tile = arg;
	int count = smaller(RELIEF_TILE, r->width - tile->x),
	    end = smaller(tile->y + RELIEF_TILE, r->height);
	float sky[RELIEF_TILE], sun[RELIEF_TILE];

	(void)no_result;
	for (int y = tile->y; y < end; y++) {
		const float *from = r->surface + (size_t)(y + RELIEF_MARGIN) * (size_t)r->stride +
				    RELIEF_MARGIN + tile->x;
		unsigned char *pixel =
			r->pixels + 3 * ((size_t)y * (size_t)r->width + (size_t)tile->x);
		look_around(r, from, count, sky, sun);
		for (int x = 0; x < count; x++, pixel += 3)
			paint(r, from + x, sky[x], sun[x], pixel);
		if (tile->mishap == RELIEF_CRASH)
			return read_nowhere();
		if (tile->mishap == RELIEF_HANG)
			wait_forever();
	}
	return 0;
}
