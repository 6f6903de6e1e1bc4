/* SPDX-License-Identifier: MIT */
/*
 * A .npz is a zip file of .npy files.  Only what NumPy writes is read; all else is refused by name.
 * Every number out of the file is checked before it is used.
 */
#include "npz.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { END_SIZE = 22, ENTRY_SIZE = 46, LOCAL_SIZE = 30 }; /* fixed parts of the zip records */
static const size_t most_bytes = (size_t)1 << 30;         /* of one array */

static bool refuse(npz *file, const char *why, const char *name)
{
	snprintf(file->error, sizeof(file->error), "%.100s: %s", name, why);
	return false;
}

static uint32_t number2(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t number4(const unsigned char *p)
{
	return number2(p) | number2(p + 2) << 16;
}

static bool read_all(npz *file, FILE *in)
{
	if (fseek(in, 0, SEEK_END) != 0 || ftell(in) < 0)
		return false;
	file->size = (size_t)ftell(in);
	file->bytes = malloc(file->size + 1);
	rewind(in);
	return file->bytes && fread(file->bytes, 1, file->size, in) == file->size;
}

bool npz_open(npz *file, const char *path)
{
	*file = (npz){0};
	FILE *in = fopen(path, "rb");
	if (!in)
		return refuse(file, strerror(errno), path);
	bool good = read_all(file, in);
	fclose(in);
	return good || refuse(file, "cannot be read", path);
}

void npz_close(npz *file)
{
	free(file->bytes);
	file->bytes = NULL;
}

/* ---- zip */

/* The record at the end that tells where the directory is; NULL where there is none. */
static const unsigned char *find_end(const npz *file)
{
	if (file->size < END_SIZE)
		return NULL;
	size_t last = file->size - END_SIZE, first = last > 65535 ? last - 65535 : 0;
	for (size_t at = last + 1; at-- > first;)
		if (memcmp(file->bytes + at, "PK\5\6", 4) == 0)
			return file->bytes + at;
	return NULL;
}

/* The directory entry of a name, whole within the file; NULL where there is none. */
static const unsigned char *find_entry(const npz *file, const char *name)
{
	const unsigned char *end = find_end(file);
	size_t left = end ? number2(end + 10) : 0, at = end ? number4(end + 16) : 0;

	for (; left > 0 && at <= file->size && file->size - at >= ENTRY_SIZE; left--) {
		const unsigned char *entry = file->bytes + at;
		size_t length = number2(entry + 28);
		if (memcmp(entry, "PK\1\2", 4) != 0 || file->size - at - ENTRY_SIZE < length)
			return NULL;
		if (length == strlen(name) && memcmp(entry + ENTRY_SIZE, name, length) == 0)
			return entry;
		at += ENTRY_SIZE + length + number2(entry + 30) + number2(entry + 32);
	}
	return NULL;
}

/* Where the packed bytes of an entry begin; NULL where they are not within the file. */
static const unsigned char *find_packed(const npz *file, const unsigned char *entry)
{
	size_t at = number4(entry + 42), packed = number4(entry + 20);

	if (at > file->size || file->size - at < LOCAL_SIZE)
		return NULL;
	const unsigned char *local = file->bytes + at;
	at += LOCAL_SIZE + number2(local + 26) + number2(local + 28);
	if (memcmp(local, "PK\3\4", 4) != 0 || at > file->size || file->size - at < packed)
		return NULL;
	return file->bytes + at;
}

static bool inflate_all(const unsigned char *from, size_t packed, unsigned char *to, size_t size)
{
	z_stream stream = {.next_in = (unsigned char *)from,
			   .avail_in = (uInt)packed,
			   .next_out = to,
			   .avail_out = (uInt)size};

	if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) /* deflate alone, without zlib's header */
		return false;
	int code = inflate(&stream, Z_FINISH);
	inflateEnd(&stream);
	return code == Z_STREAM_END && stream.total_out == size;
}

/* The bytes of an entry, unpacked and checked; NULL where they are broken.  A NUL follows them. */
static unsigned char *unpack(const unsigned char *from, const unsigned char *entry)
{
	size_t packed = number4(entry + 20), size = number4(entry + 24);
	bool stored = number2(entry + 10) == 0;
	unsigned char *bytes = malloc(size + 1);

	if (!bytes)
		return NULL;
	bytes[size] = '\0';
	if (stored && packed == size)
		memcpy(bytes, from, size);
	if ((stored ? packed == size : inflate_all(from, packed, bytes, size)) &&
	    crc32(0, bytes, (uInt)size) == number4(entry + 16))
		return bytes;
	free(bytes);
	return NULL;
}

/* ---- npy */

/* What follows 'key': in the header's dictionary; NULL where it is not there. */
static const char *value_of(const char *header, const char *key)
{
	char quoted[32];

	snprintf(quoted, sizeof(quoted), "'%s':", key);
	const char *at = strstr(header, quoted);
	return at ? at + strlen(quoted) + strspn(at + strlen(quoted), " ") : NULL;
}

static bool parse_type(const char *header, npy *out)
{
	const char *at = value_of(header, "descr");

	return at && sscanf(at, "'%7[^']'", out->type) == 1;
}

/* "(344, 403)", "(5,)", "()" */
static bool parse_shape(const char *header, npy *out)
{
	const char *at = value_of(header, "shape");

	if (!at || *at++ != '(')
		return false;
	while (*at != ')') {
		char *end;
		if (*at < '0' || *at > '9' || out->rank == 4)
			return false;
		errno = 0;
		out->shape[out->rank++] = strtoul(at, &end, 10);
		if (errno || out->shape[out->rank - 1] > most_bytes)
			return false;
		at = end + strspn(end, ", ");
	}
	return true;
}

/* Bytes of the data; 0 where that is too much or the type has no size. */
static size_t bytes_of(const npy *array)
{
	size_t bytes = strlen(array->type) == 3 ? (size_t)array->type[2] - '0' : 0;

	if (bytes > 8)
		return 0;
	for (size_t i = 0; i < array->rank; i++)
		if ((bytes *= array->shape[i]) > most_bytes)
			return 0;
	return bytes;
}

/* Find the header in the member and put a NUL behind it.  NULL where there is none. */
static char *cut_header(unsigned char *member, size_t size, size_t *data)
{
	size_t begin = size > 12 && member[6] > 1 ? 12 : 10;

	if (size < 12 || memcmp(member, "\x93NUMPY", 6) != 0 || member[6] < 1 || member[6] > 3)
		return NULL;
	size_t length = begin == 12 ? number4(member + 8) : number2(member + 8);
	if (length == 0 || length > size - begin)
		return NULL;
	*data = begin + length;
	member[*data - 1] = '\0'; /* it was a newline */
	return (char *)member + begin;
}

static bool parse(npz *file, const char *name, size_t size, npy *out)
{
	size_t data = 0;
	const char *header = cut_header(out->member, size, &data);

	if (!header)
		return refuse(file, "no .npy array", name);
	const char *order = value_of(header, "fortran_order");
	if (!order || strncmp(order, "False", 5) != 0)
		return refuse(file, "only arrays in C order are read", name);
	if (!parse_type(header, out) || !parse_shape(header, out))
		return refuse(file, "the header of the array cannot be read", name);
	if (bytes_of(out) == 0 || bytes_of(out) != size - data)
		return refuse(file, "its size does not fit its shape and type", name);
	out->data = out->member + data;
	return true;
}

bool npz_read(npz *file, const char *name, npy *out)
{
	*out = (npy){0};
	const unsigned char *entry = find_entry(file, name);
	if (!entry)
		return refuse(file, "not in this file, or it is no .npz", name);
	if ((number2(entry + 8) & 1) != 0 || (number2(entry + 10) != 0 && number2(entry + 10) != 8))
		return refuse(file, "encrypted, or packed by something else than deflate", name);
	if (number4(entry + 24) > most_bytes)
		return refuse(file, "larger than 1 GiB", name);
	const unsigned char *packed = find_packed(file, entry);
	out->member = packed ? unpack(packed, entry) : NULL;
	if (!out->member)
		return refuse(file, "broken: it does not unpack to what the file says", name);
	if (parse(file, name, number4(entry + 24), out))
		return true;
	npy_free(out);
	return false;
}

void npy_free(npy *array)
{
	free(array->member);
	*array = (npy){0};
}
