/* SPDX-License-Identifier: MIT */
#include "writer/log/names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HINT_SUFFIX   ".hint"
#define MARK_SUFFIX   ".synced"
#define ACTIVE_PREFIX "active."

static bool ends_with(const char *name, size_t bytes, const char *suffix)
{
	size_t n = strlen(suffix);

	return bytes > n && memcmp(name + bytes - n, suffix, n) == 0;
}

/* Replaces ".data" by 'suffix', or appends it to a name that does not end in ".data". */
static int with_suffix(const char *log_name, const char *suffix, char *ret, size_t ret_size)
{
	size_t n = strlen(log_name);
	int len;

	if (ends_with(log_name, n, SEGMENT_SUFFIX))
		n -= strlen(SEGMENT_SUFFIX);
	len = snprintf(ret, ret_size, "%.*s%s", (int)n, log_name, suffix);
	return len < 0 || (size_t)len >= ret_size ? -ENAMETOOLONG : 0;
}

int synced_mark_name(const char *log_name, char *ret, size_t ret_size)
{
	return with_suffix(log_name, MARK_SUFFIX, ret, ret_size);
}

int hint_file_name(const char *log_name, char *ret, size_t ret_size)
{
	return with_suffix(log_name, HINT_SUFFIX, ret, ret_size);
}

void hint_name_of(struct segment_id id, char ret[SEGMENT_NAME_BYTES])
{
	char name[SEGMENT_NAME_BYTES];

	segment_name(id, name);
	(void)!hint_file_name(name, ret, SEGMENT_NAME_BYTES); /* the name of a hint is not longer */
}

bool hint_name_parse(const char *name, struct segment_id *ret, bool *ret_temp)
{
	size_t bytes = strlen(name);
	char segment[SEGMENT_NAME_BYTES];

	*ret_temp = ends_with(name, bytes, SEGMENT_TEMP_SUFFIX);
	if (*ret_temp)
		bytes -= strlen(SEGMENT_TEMP_SUFFIX);
	if (!ends_with(name, bytes, HINT_SUFFIX) || bytes >= sizeof(segment))
		return false;
	bytes -= strlen(HINT_SUFFIX);
	(void)snprintf(segment, sizeof(segment), "%.*s" SEGMENT_SUFFIX, (int)bytes, name);
	*ret = (struct segment_id){ .number = 0 };
	return strcmp(segment, ACTIVE_NAME) == 0 || segment_name_parse(segment, ret);
}

bool store_uses_name(const char *name)
{
	static const char *const prefixes[] = { ACTIVE_PREFIX, MANIFEST_NAME,	LOCK_NAME,
						SOCKET_NAME,   QUARANTINE_NAME, RESERVE_NAME };

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return name[0] >= '0' && name[0] <= '9';
}

const char *store_file_foreign(const struct stat *st, uid_t owner)
{
	if (S_ISLNK(st->st_mode))
		return "is a symbolic link";
	if (st->st_uid != owner)
		return "belongs to another user";
	return st->st_mode & (S_IWGRP | S_IWOTH) ? "may be written to by others" : NULL;
}
