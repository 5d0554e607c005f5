/* SPDX-License-Identifier: MIT */
#include "codec/path.h"

#include <string.h>

bool path_name_ok(const char *name, size_t name_bytes)
{
	if (name_bytes == 0 || name_bytes > PATH_NAME_BYTES_MAX)
		return false;
	if (name[0] == '.' && (name_bytes == 1 || (name_bytes == 2 && name[1] == '.')))
		return false;
	return memchr(name, '/', name_bytes) == NULL && memchr(name, '\0', name_bytes) == NULL;
}

bool path_ok(const char *key, size_t key_bytes)
{
	size_t pos = 0;

	if (key_bytes == 0 || key_bytes > PATH_BYTES_MAX || key[key_bytes - 1] == '/')
		return false;
	while (pos < key_bytes) {
		const char *slash = memchr(key + pos, '/', key_bytes - pos);
		size_t n = slash == NULL ? key_bytes - pos : (size_t)(slash - (key + pos));

		if (!path_name_ok(key + pos, n))
			return false;
		pos += n + 1;
	}
	return true;
}

size_t path_levels(const char *path, size_t path_bytes)
{
	size_t levels = 1;

	for (size_t i = 0; i < path_bytes; i++)
		levels += path[i] == '/';
	return levels;
}

size_t path_next(const char *path, size_t path_bytes, size_t *pos, const char **ret_name)
{
	const char *slash;
	size_t n;

	if (*pos >= path_bytes)
		return 0;
	*ret_name = path + *pos;
	slash = memchr(path + *pos, '/', path_bytes - *pos);
	n = slash == NULL ? path_bytes - *pos : (size_t)(slash - (path + *pos));
	*pos += n + 1;
	return n;
}
