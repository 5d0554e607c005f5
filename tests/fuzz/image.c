/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/image.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "codec/crc32.h"
#include "codec/hint.h"
#include "codec/le.h"
#include "codec/record.h"
#include "codec/synced.h"
#include "tests/fuzz/fuzz.h"

/* --- checksums --- */

void image_mend_records(uint8_t *data, size_t bytes)
{
	size_t at = 0;

	while (bytes - at >= RECORD_HEADER_BYTES) {
		struct record rec = {
			.key_bytes = le32_load(data + at + RECORD_KEY_SIZE_OFFSET),
			.value_bytes = le32_load(data + at + RECORD_KEY_SIZE_OFFSET + 4),
		};
		uint64_t size = record_bytes(rec.key_bytes, rec.value_bytes);

		if (size > bytes - at)
			return;
		le32_store(data + at, crc32_extend(0, data + at + 4, size - 4));
		at += size;
	}
}

static void mend_hint(uint8_t *data, size_t bytes)
{
	struct hint_header h;

	if (bytes < HINT_HEADER_BYTES)
		return;
	h = (struct hint_header){
		.segment = le64_load(data + 16),
		.segment_bytes = le64_load(data + 24),
		.records = le64_load(data + 32),
		.hint_bytes = le64_load(data + 40),
		.last_record_offset = le64_load(data + 48),
		.last_record_crc = le32_load(data + 56),
	};
	hint_header_encode(&h, crc32_extend(0, data + HINT_HEADER_BYTES, bytes - HINT_HEADER_BYTES),
			   data);
}

static void mend_mark(uint8_t *data, size_t bytes)
{
	struct synced mark;

	if (bytes != SYNCED_BYTES)
		return;
	mark = (struct synced){ le64_load(data + 16), le64_load(data + 24) };
	synced_encode(&mark, data);
}

static bool ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), e = strlen(end);

	return n > e && strcmp(name + n - e, end) == 0;
}

static void mend(struct image_file *f)
{
	if (ends_in(f->name, ".hint"))
		mend_hint(f->data, f->bytes);
	else if (ends_in(f->name, ".synced"))
		mend_mark(f->data, f->bytes);
	else
		image_mend_records(f->data, f->bytes);
}

/* --- the image --- */

static bool name_ok(const uint8_t *name, size_t bytes)
{
	if (bytes == 0 || bytes >= IMAGE_NAME_BYTES || name[0] == '.')
		return false;
	for (size_t i = 0; i < bytes; i++)
		if ((name[i] < 'a' || name[i] > 'z') && (name[i] < 'A' || name[i] > 'Z') &&
		    (name[i] < '0' || name[i] > '9') && name[i] != '.' && name[i] != '_' &&
		    name[i] != '-')
			return false;
	return true;
}

static bool is_there(const struct image *image, const char *name)
{
	for (size_t i = 0; i < image->count; i++)
		if (strcmp(image->files[i].name, name) == 0)
			return true;
	return false;
}

static void add_file(struct image *image, const uint8_t *name, size_t name_bytes,
		     const uint8_t *data, size_t bytes)
{
	struct image_file *f = &image->files[image->count];

	if (image->count == IMAGE_FILES_MAX || !name_ok(name, name_bytes))
		return;
	memcpy(f->name, name, name_bytes);
	f->name[name_bytes] = '\0';
	if (is_there(image, f->name))
		return;
	f->bytes = bytes;
	f->data = malloc(bytes > 0 ? bytes : 1);
	FUZZ_CHECK(f->data != NULL);
	memcpy(f->data, data, bytes);
	if (image->flags & IMAGE_MEND)
		mend(f);
	image->count++;
}

void image_parse(const uint8_t *data, size_t size, struct image *ret)
{
	size_t at = IMAGE_HEADER_BYTES;

	*ret = (struct image){ .flags = size > 0 ? data[0] : 0 };
	while (at < size) {
		size_t name_bytes = data[at], bytes;
		const uint8_t *name = data + at + 1;

		if (size - at < 1 + name_bytes + 3)
			return;
		at += 1 + name_bytes + 3;
		bytes = data[at - 3] | (size_t)data[at - 2] << 8 | (size_t)data[at - 1] << 16;
		if (bytes > size - at)
			bytes = size - at;
		add_file(ret, name, name_bytes, data + at, bytes);
		at += bytes;
	}
}

void image_free(struct image *image)
{
	for (size_t i = 0; i < image->count; i++)
		free(image->files[i].data);
	image->count = 0;
}

struct writing {
	FILE *out;
	struct simdisk *disk;
	const char *dir;
};

static int write_one(void *arg, const char *name)
{
	const struct writing *w = arg;
	char path[256];
	size_t bytes, name_bytes = strlen(name);
	uint8_t *data;

	/* What has nothing in it but its size would only fill the image. */
	if (strcmp(name, "lock") == 0 || strncmp(name, "reserve", strlen("reserve")) == 0)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	data = name_ok((const uint8_t *)name, name_bytes) ? simdisk_read_file(w->disk, path, &bytes)
							  : NULL;
	if (data == NULL) /* a directory, or a name that begins with a dot */
		return 0;
	(void)fputc((int)name_bytes, w->out);
	(void)fwrite(name, 1, name_bytes, w->out);
	for (size_t shift = 0; shift < 24; shift += 8)
		(void)fputc((int)(bytes >> shift & 0xff), w->out);
	(void)fwrite(data, 1, bytes, w->out);
	free(data);
	return 0;
}

int image_write(FILE *out, uint8_t flags, struct simdisk *d, const char *path)
{
	struct writing w = { out, d, path };

	(void)fputc(flags, out);
	if (simdisk_list_names(d, path, write_one, &w) != 0)
		return -1;
	return ferror(out) ? -1 : 0;
}
