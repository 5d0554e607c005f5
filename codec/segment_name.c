/* SPDX-License-Identifier: MIT */
#include "codec/segment_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_DIGITS	  6 /* at least */
#define NUMBER_DIGITS_MAX 19
#define ROTATED_SUFFIX	  ".full"

void segment_name(struct segment_id id, char ret[SEGMENT_NAME_BYTES])
{
	if (id.generation == 1)
		(void)snprintf(ret, SEGMENT_NAME_BYTES, "%0*" PRIu64 SEGMENT_SUFFIX, NUMBER_DIGITS,
			       id.number);
	else
		(void)snprintf(ret, SEGMENT_NAME_BYTES, "%0*" PRIu64 ".%" PRIu64 SEGMENT_SUFFIX,
			       NUMBER_DIGITS, id.number, id.generation);
}

void segment_rotated_name(uint64_t number, uint64_t bytes, char ret[SEGMENT_NAME_BYTES])
{
	(void)snprintf(ret, SEGMENT_NAME_BYTES, "%0*" PRIu64 ".%" PRIu64 ROTATED_SUFFIX,
		       NUMBER_DIGITS, number, bytes);
}

void segment_temp_name(struct segment_id id, char ret[SEGMENT_TEMP_NAME_BYTES])
{
	char name[SEGMENT_NAME_BYTES];

	segment_name(id, name);
	(void)snprintf(ret, SEGMENT_TEMP_NAME_BYTES, "%s" SEGMENT_TEMP_SUFFIX, name);
}

/* Parses the number at '*p' and moves '*p' behind it.  Returns 0 if there is none. */
static uint64_t take_number(const char **p)
{
	size_t digits = strspn(*p, "0123456789");
	uint64_t number;

	if (digits == 0 || digits > NUMBER_DIGITS_MAX)
		return 0;
	number = strtoull(*p, NULL, 10);
	*p += digits;
	return number < UINT64_MAX / 2 ? number : 0; /* the limit of MANIFEST */
}

/* Compares the name with the one that its parts would give: leading zeros, for example, make it
 * another name. */
bool segment_name_parse(const char *name, struct segment_id *ret)
{
	struct segment_id id = { .generation = 1 };
	char canonical[SEGMENT_NAME_BYTES];
	const char *p = name;

	id.number = take_number(&p);
	if (id.number > 0 && p[0] == '.' && p[1] >= '1' && p[1] <= '9') {
		p++;
		id.generation = take_number(&p);
	}
	if (id.number == 0 || id.generation == 0)
		return false;
	segment_name(id, canonical);
	if (strcmp(canonical, name) != 0)
		return false;
	*ret = id;
	return true;
}

bool segment_temp_name_parse(const char *name, struct segment_id *ret)
{
	char canonical[SEGMENT_TEMP_NAME_BYTES], sealed[SEGMENT_NAME_BYTES];
	size_t bytes = strlen(name), suffix_bytes = strlen(SEGMENT_TEMP_SUFFIX);

	if (bytes <= suffix_bytes || bytes - suffix_bytes >= sizeof(sealed))
		return false;
	(void)snprintf(sealed, sizeof(sealed), "%.*s", (int)(bytes - suffix_bytes), name);
	if (!segment_name_parse(sealed, ret))
		return false;
	segment_temp_name(*ret, canonical);
	return strcmp(canonical, name) == 0;
}

uint64_t segment_rotated_number(const char *name, uint64_t *ret_bytes)
{
	char canonical[SEGMENT_NAME_BYTES];
	const char *p = name;
	uint64_t number = take_number(&p), bytes;

	if (number == 0 || *p++ != '.')
		return 0;
	bytes = take_number(&p);
	segment_rotated_name(number, bytes, canonical);
	if (bytes == 0 || strcmp(canonical, name) != 0)
		return 0;
	*ret_bytes = bytes;
	return number;
}
