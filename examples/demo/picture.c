/* SPDX-License-Identifier: MIT */
#include "picture.h"

#include <png.h>
#include <stdio.h>

bool picture_write(const char *path, const unsigned char *pixels, int width, int height)
{
	png_image image = {.version = PNG_IMAGE_VERSION,
			   .width = (png_uint_32)width,
			   .height = (png_uint_32)height,
			   .format = PNG_FORMAT_RGB,
			   .flags = PNG_IMAGE_FLAG_FAST}; /* a second less, half as large again */

	return png_image_write_to_file(&image, path, 0, pixels, 0, NULL) != 0;
}
