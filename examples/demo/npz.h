/* SPDX-License-Identifier: MIT */
/* Arrays out of NumPy's .npz files: stored or deflated members, versions 1 to 3 of .npy, C order,
 * no ZIP64. */
#ifndef NPZ_H
#define NPZ_H

#include <stdbool.h>
#include <stddef.h>

typedef struct npz {
	unsigned char *bytes; /* the whole file */
	size_t size;
	char error[200]; /* why the last call said false */
} npz;

typedef struct npy {
	unsigned char *member; /* header and data */
	const void *data;      /* not aligned */
	char type[8];          /* "<i2" */
	size_t rank, shape[4];
} npy;

/* False where the file cannot be read; npz_close() is due all the same. */
bool npz_open(npz *file, const char *path);
void npz_close(npz *file);

/* Read the member `name`, "elevation.npy".  False where it is missing, broken or not understood. */
bool npz_read(npz *file, const char *name, npy *out);
void npy_free(npy *array);

#endif
