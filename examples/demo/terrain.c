/* SPDX-License-Identifier: MIT */
/*
 * terrain GRID.npz PICTURE.png: a shaded relief of a real landscape, computed by a pool of
 * processes.
 *
 * Grid and picture lie in the shared heap: workers read and write them in place.  On the way one
 * tile's worker crashes and one hangs, on purpose.  Both are reported while the others go on; then
 * the two tiles are computed again.  At last the same is done in one process and in all without
 * mishaps, to compare times and pictures.
 */
#include "npz.h"
#include "picture.h"
#include "relief.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tine.h>

static const double pixel_metres = 20;
static const double tile_seconds = 1; /* the limit of a tile; it takes some 0.03 */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static _Noreturn void give_up(const char *why)
{
	fprintf(stderr, "terrain: %s\n", why);
	exit(1);
}

static void *shared(size_t size)
{
	void *block = tine_shared_alloc(size, .zero = true);

	if (!block)
		give_up(tine_last_error());
	return block;
}

/* ---- the grid */

static double read_number(npz *file, const char *name)
{
	npy array;
	double number;

	if (!npz_read(file, name, &array))
		give_up(file->error);
	if (array.rank != 0 || strcmp(array.type, "<f8") != 0)
		give_up("dx, dy, ymin and ymax must be single numbers of type <f8");
	memcpy(&number, array.data, sizeof(number));
	npy_free(&array);
	return number;
}

static void read_heights(npz *file, relief *r)
{
	npy array;

	if (!npz_read(file, "elevation.npy", &array))
		give_up(file->error);
	if (array.rank != 2 || strcmp(array.type, "<i2") != 0 || array.shape[0] > 4000 ||
	    array.shape[1] > 4000)
		give_up("elevation.npy must be a table of <i2 with at most 4000 x 4000 heights");
	r->rows = (int)array.shape[0];
	r->columns = (int)array.shape[1];
	size_t count = array.shape[0] * array.shape[1];
	float *elevation = shared(count * sizeof(*elevation));
	const unsigned char *data = array.data;
	r->lowest = INFINITY;
	r->highest = -INFINITY;
	for (size_t i = 0; i < count; i++) {
		elevation[i] = (float)(int16_t)(data[2 * i] | data[2 * i + 1] << 8);
		r->lowest = fmin(r->lowest, elevation[i]);
		r->highest = fmax(r->highest, elevation[i]);
	}
	r->elevation = elevation;
	npy_free(&array);
}

static relief *read_grid(const char *path)
{
	const double degree = 111320, radian = 0.017453292519943295; /* metres of latitude */
	relief *r = shared(sizeof(*r));
	npz file;

	if (!npz_open(&file, path))
		give_up(file.error);
	read_heights(&file, r);
	double middle = (read_number(&file, "ymin.npy") + read_number(&file, "ymax.npy")) / 2;
	r->cell_east = read_number(&file, "dx.npy") * degree * cos(middle * radian);
	r->cell_south = read_number(&file, "dy.npy") * degree;
	npz_close(&file);
	if (!(r->cell_east > 1 && r->cell_east < 1e4 && r->cell_south > 1 && r->cell_south < 1e4))
		give_up("dx and dy must be degrees: cells of 1 m to 10 km");
	return r;
}

/* ---- the picture */

typedef struct tiles {
	relief_tile *tile;
	size_t count;
} tiles;

/* What a map tells of its items; room for `count` of them. */
typedef struct report {
	int *statuses;
	tine_failure *failures;
	size_t failed;
} report;

static void *private(size_t count, size_t size)
{
	void *block = calloc(count, size);

	if (!block)
		give_up("out of memory");
	return block;
}

static tiles cut(const relief *r)
{
	size_t across = (size_t)(r->width + RELIEF_TILE - 1) / RELIEF_TILE;
	size_t down = (size_t)(r->height + RELIEF_TILE - 1) / RELIEF_TILE;
	tiles all = {private(across * down, sizeof(relief_tile)), across * down};

	for (size_t i = 0; i < all.count; i++) {
		all.tile[i].x = (int)(i % across) * RELIEF_TILE;
		all.tile[i].y = (int)(i / across) * RELIEF_TILE;
	}
	return all;
}

/* A relief like that one with a picture of its own. */
static relief *another_picture(const relief *r)
{
	relief *other = shared(sizeof(*other));

	*other = *r;
	other->pixels = shared(3 * (size_t)r->width * (size_t)r->height);
	return other;
}

static void raise_surface(tine_pool *pool, relief *r)
{
	if (tine_map(pool, relief_raise, NULL, (size_t)r->surface_rows, 0, NULL, 0, .context = r) !=
	    0)
		give_up(tine_last_error());
}

static void shade(tine_pool *pool, relief *r, tiles some)
{
	if (tine_map(pool, relief_shade, some.tile, some.count, sizeof(relief_tile), NULL, 0,
		     .context = r, .chunk = 1) != 0)
		give_up(tine_last_error());
}

/* Returns the seconds that it took, with opening and closing the pool. */
static double draw(tine_pool_kind kind, relief *r, tiles all)
{
	double begin = now();
	tine_pool *pool = tine_pool_open(.kind = kind);

	if (!pool)
		give_up(tine_last_error());
	raise_surface(pool, r);
	shade(pool, r, all);
	if (tine_pool_close(pool, TINE_FOREVER) != 0)
		give_up(tine_last_error());
	return now() - begin;
}

/* ---- what goes wrong */

/* The tiles that failed, without their mishaps. */
static tiles failed_tiles(tiles all, const int *statuses)
{
	tiles failed = {private(all.count, sizeof(relief_tile)), 0};

	for (size_t i = 0; i < all.count; i++)
		if (statuses[i] != 0)
			failed.tile[failed.count++] =
				(relief_tile){.x = all.tile[i].x, .y = all.tile[i].y};
	return failed;
}

/* Shade all tiles, two of which go wrong. */
static report shade_with_mishaps(tine_pool *pool, relief *r, tiles all)
{
	report got = {private(all.count, sizeof(int)), private(all.count, sizeof(tine_failure)), 0};

	all.tile[all.count / 3].mishap = RELIEF_CRASH;
	all.tile[all.count / 2].mishap = RELIEF_HANG;
	int code = tine_map(pool, relief_shade, all.tile, all.count, sizeof(relief_tile), NULL, 0,
			    .context = r, .chunk = 1, .timeout = tile_seconds, .progress = true,
			    .statuses = got.statuses, .failures = got.failures,
			    .max_failures = all.count, .failure_count = &got.failed);
	all.tile[all.count / 3].mishap = all.tile[all.count / 2].mishap = RELIEF_NONE;
	if (code != TINE_EITEMS)
		give_up(code == 0 ? "the tiles that were to fail did not" : tine_last_error());
	return got;
}

static void draw_with_mishaps(relief *r, tiles all)
{
	double begin = now();
	tine_pool *pool = tine_pool_open(.name = "tiles");

	if (!pool)
		give_up(tine_last_error());
	printf("\nFirst with two mishaps, on purpose: one tile reads from NULL, one never ends.\n");
	raise_surface(pool, r);
	report got = shade_with_mishaps(pool, r, all);
	for (size_t i = 0; i < got.failed; i++)
		printf("  %s\n", got.failures[i].text);
	tiles failed = failed_tiles(all, got.statuses);
	shade(pool, r, failed);
	printf("  The other %zu tiles are done all the same.  %zu computed again: the picture is "
	       "whole, %.2f s.\n",
	       all.count - got.failed, failed.count, now() - begin);
	if (tine_pool_close(pool, TINE_FOREVER) != 0)
		give_up(tine_last_error());
	free(failed.tile);
	free(got.statuses);
	free(got.failures);
}

/* ---- the program */

static bool same_picture(const relief *a, const relief *b)
{
	return memcmp(a->pixels, b->pixels, 3 * (size_t)a->width * (size_t)a->height) == 0;
}

static void compare(const relief *r, tiles all)
{
	relief *together = another_picture(r), *alone = another_picture(r);

	printf("\nNow without mishaps, against the clock:\n");
	double one = draw(TINE_SERIAL, alone, all), several = draw(TINE_PROCESSES, together, all);
	printf("  one process  %6.2f s\n  %d processes  %6.2f s, %.2f times as fast\n", one,
	       tine_cpu_count(), several, one / several);
	if (!same_picture(r, alone) || !same_picture(r, together))
		give_up("the three pictures differ");
	printf("  The three pictures are the same, bit for bit.\n");
}

int main(int argc, char **argv)
{
	if (argc != 3)
		give_up("usage: terrain GRID.npz PICTURE.png");
	setvbuf(stdout, NULL, _IOLBF, 0); /* in order with the progress on stderr */
	relief *r = read_grid(argv[1]);
	relief_plan(r, pixel_metres);
	tiles all = cut(r);
	r->surface = shared((size_t)r->stride * (size_t)r->surface_rows * sizeof(float));
	r->pixels = shared(3 * (size_t)r->width * (size_t)r->height);
	printf("%d x %d heights, %g to %g m: %s\n", r->columns, r->rows, r->lowest, r->highest,
	       argv[1]);
	printf("%d x %d pixels of %g m, %zu tiles, %d workers\n", r->width, r->height, r->step,
	       all.count, tine_cpu_count());

	draw_with_mishaps(r, all);
	compare(r, all);
	if (!picture_write(argv[2], r->pixels, r->width, r->height))
		give_up(errno ? strerror(errno) : "cannot write the picture");
	printf("\n%s\n", argv[2]);
	free(all.tile);
	return 0;
}
