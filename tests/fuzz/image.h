/* SPDX-License-Identifier: MIT */
/* A whole DATADIR as one input of a fuzzer: a byte of flags, then the files, each as the length of
 * its name (one byte), the name, the length of the file (three bytes, the lowest first) and the
 * file. IMAGE_MEND lets mutations reach what is behind the checksums: those of records, hints and
 * the durable mark are computed anew. */
#ifndef FREYJAFS_TESTS_FUZZ_IMAGE_H
#define FREYJAFS_TESTS_FUZZ_IMAGE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/sim/simdisk.h"

#define IMAGE_MEND	   0x01
#define IMAGE_FILES_MAX	   32
#define IMAGE_NAME_BYTES   48
#define IMAGE_HEADER_BYTES 1

struct image_file {
	char name[IMAGE_NAME_BYTES]; /* of letters, digits and ". _ -", no leading '.' */
	uint8_t *data;		     /* owned */
	size_t bytes;
};

struct image {
	uint8_t flags;
	struct image_file files[IMAGE_FILES_MAX]; /* no two have the same name */
	size_t count;
};

/* Computes the checksums of the records of a log anew, up to the first that ends behind the log. */
void image_mend_records(uint8_t *data, size_t bytes);

/* Takes any bytes; a file whose name is none, or that is there already, is left out. */
void image_parse(const uint8_t *data, size_t size, struct image *ret);
void image_free(struct image *image);

/* Writes the files of the directory 'path' as an image.  0, or -1: it could not be written. */
int image_write(FILE *out, uint8_t flags, struct simdisk *d, const char *path);

#endif
