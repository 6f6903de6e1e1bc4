/* SPDX-License-Identifier: MIT */
#ifndef PICTURE_H
#define PICTURE_H

#include <stdbool.h>

/* Write width * height pixels, three bytes each, as a PNG.  False where that failed: errno may
 * tell. */
bool picture_write(const char *path, const unsigned char *pixels, int width, int height);

#endif
