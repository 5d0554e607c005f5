/* SPDX-License-Identifier: MIT */
#include "tests/sim/quarantine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 512

struct search {
	struct simdisk *disk;
	const char *dir;
	const uint8_t *tail;
	size_t tail_bytes;
};

static int holds_tail(void *arg, const char *name)
{
	const struct search *s = arg;
	char path[PATH_BYTES];
	size_t bytes;
	uint8_t *saved;
	bool same;

	(void)snprintf(path, sizeof(path), "%s/quarantine/%s", s->dir, name);
	saved = simdisk_read_file(s->disk, path, &bytes);
	if (saved == NULL)
		return 0;
	same = bytes == s->tail_bytes && memcmp(saved, s->tail, bytes) == 0;
	free(saved);
	return same;
}

bool quarantine_holds(struct simdisk *d, const char *dir, const uint8_t *tail, size_t tail_bytes)
{
	struct search s = { .disk = d, .dir = dir, .tail = tail, .tail_bytes = tail_bytes };
	char path[PATH_BYTES];

	while (s.tail_bytes > 0 && tail[s.tail_bytes - 1] == 0)
		s.tail_bytes--;
	if (s.tail_bytes == 0)
		return true;
	(void)snprintf(path, sizeof(path), "%s/quarantine", dir);
	return simdisk_list_names(d, path, holds_tail, &s) > 0;
}

static int count_name(void *arg, const char *name)
{
	unsigned int *count = arg;

	(void)name;
	(*count)++;
	return 0;
}

unsigned int quarantine_count(struct simdisk *d, const char *dir)
{
	unsigned int count = 0;
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s/quarantine", dir);
	(void)simdisk_list_names(d, path, count_name, &count);
	return count;
}
