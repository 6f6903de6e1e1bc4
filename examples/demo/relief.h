/* SPDX-License-Identifier: MIT */
/*
 * A shaded relief out of an elevation grid, in two steps that both fall into independent parts.
 *
 * To raise: the grid, whose cells are some 90 m wide, becomes a smooth surface with a height for
 * every pixel, row by row.
 *
 * To shade: each tile of the picture looks from every pixel in 40 directions how far the hills rise
 * there.  That tells how much of the sky lights the pixel, and how much of the sun, with soft
 * shadows.
 *
 * The surface is wider than the picture on every side, so that a look past the edge finds
 * something.
 */
#ifndef RELIEF_H
#define RELIEF_H

enum {
	RELIEF_TILE = 128,   /* pixels on each side of a tile */
	RELIEF_MARGIN = 320, /* pixels of surface around the picture: the farthest look */
	RELIEF_DIRECTIONS = 40,
	RELIEF_LOOKS = 40 /* in each direction, near ones close together */
};

typedef struct relief_look {
	int offset; /* in the surface */
	float per_metre;
} relief_look;

/* With all that it points to in the shared heap: workers see it where it is. */
typedef struct relief {
	const float *elevation; /* metres, columns * rows, northernmost row first */
	int columns, rows;
	double cell_east, cell_south;       /* metres */
	double lowest, highest;             /* metres */
	double step;                        /* metres between pixels */
	int width, height;                  /* pixels of the picture */
	int stride, surface_rows;           /* of the surface */
	float *surface;                     /* metres, exaggerated */
	unsigned char *pixels;              /* width * height * 3: red, green, blue */
	float sun_share[RELIEF_DIRECTIONS]; /* of the sunlight, as the sun is not a point */
	relief_look look[RELIEF_DIRECTIONS][RELIEF_LOOKS];
} relief;

typedef enum relief_mishap { RELIEF_NONE, RELIEF_CRASH, RELIEF_HANG } relief_mishap;

typedef struct relief_tile {
	int x, y;             /* of its upper left pixel */
	relief_mishap mishap; /* what is to go wrong in it, on purpose */
} relief_tile;

/* Fill in what follows from columns, rows, cells and the metres between pixels. */
void relief_plan(relief *r, double step);

/* Tasks of a pool whose .context is the relief. */
int relief_raise(const void *no_argument, void *no_result); /* item: a row of the surface */
int relief_shade(const void *tile, void *no_result);

#endif
