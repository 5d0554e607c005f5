/* SPDX-License-Identifier: MIT */
/* Opens a store and prints what it holds, for tests/tools/compare_replay.py: one line per node, "d"
 * or "f", the permission bits, the path and the value in hexadecimal; then "u", key and value for
 * each key of standard input (one per line, in hexadecimal) that no path can name, unless a file
 * has the same path; then "n" and how many such keys there are.
 *
 * usage: print_store DATADIR.  Exit status 0, 3 when the store refuses the log, 1 for another
 * error. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "writer/store.h"

#define PATH_ROOM 4096

static void print_hex(const void *data, size_t bytes)
{
	const uint8_t *p = data;

	putchar(' ');
	for (size_t i = 0; i < bytes; i++)
		printf("%02x", p[i]);
}

/* Entries of one directory, newest first. */
struct child {
	struct child *next;
	struct node *node;
	struct store_attr attr;
	size_t name_bytes;
	char name[256];
};

static int collect(void *arg, const struct store_dirent *e)
{
	struct child **list = arg, *c = malloc(sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	*c = (struct child){ .next = *list, .node = e->node, .attr = e->attr };
	c->name_bytes = e->name_bytes;
	memcpy(c->name, e->name, e->name_bytes);
	store_pin_in_list(e->node);
	*list = c;
	return 0;
}

static int print_value(struct store *s, const struct child *c)
{
	size_t bytes = c->attr.size_bytes;
	uint8_t *value = malloc(bytes + 1);
	ssize_t got = -ENOMEM;

	if (value != NULL && S_ISLNK(c->attr.mode))
		got = store_readlink(s, c->node, (char *)value, bytes + 1);
	else if (value != NULL)
		got = store_read(s, c->node, value, bytes + 1, 0);
	if (got >= 0)
		print_hex(value, (size_t)got);
	free(value);
	return got < 0 ? (int)got : 0;
}

static int print_dir(struct store *s, struct node *dir, char *path, size_t path_bytes)
{
	struct child *list = NULL, *next;
	int err = store_list(s, dir, 0, collect, &list);

	for (struct child *c = list; c != NULL; c = next) {
		size_t bytes = path_bytes + c->name_bytes;

		next = c->next;
		if (err == 0 && bytes + 2 > PATH_ROOM)
			err = -ENAMETOOLONG;
		if (err == 0) {
			memcpy(path + path_bytes, c->name, c->name_bytes);
			printf("%c %04o", S_ISDIR(c->attr.mode) ? 'd' : 'f', c->attr.mode & 07777);
			print_hex(path, bytes);
			if (S_ISREG(c->attr.mode) || S_ISLNK(c->attr.mode))
				err = print_value(s, c);
			putchar('\n');
		}
		if (err == 0 && S_ISDIR(c->attr.mode)) {
			path[bytes] = '/';
			err = print_dir(s, c->node, path, bytes + 1);
		}
		store_unpin(s, c->node, 1);
		free(c);
	}
	return err;
}

/* Says whether a path leads to a file: then the key interface does not tell the two apart. */
static bool is_file(struct store *s, const char *key, size_t key_bytes)
{
	struct node *n = store_root(s), *next;
	struct store_attr attr;
	size_t pos = 0;
	bool found;

	while (pos <= key_bytes && key_bytes > 0) {
		const char *slash = memchr(key + pos, '/', key_bytes - pos);
		size_t end = slash != NULL ? (size_t)(slash - key) : key_bytes;
		int err = store_lookup(s, n, key + pos, end - pos, &next, NULL);

		store_unpin(s, n, 1);
		if (err < 0)
			return false;
		n = next;
		pos = end + 1;
	}
	store_getattr(s, n, &attr);
	found = S_ISREG(attr.mode);
	store_unpin(s, n, 1);
	return found;
}

static int print_unnameable(struct store *s, char *line)
{
	char key[PATH_ROOM];
	size_t key_bytes = 0, value_bytes;
	void *value;

	for (char *p = line; p[0] != '\0' && p[0] != '\n' && key_bytes < sizeof(key); p += 2) {
		char digits[3] = { p[0], p[1], '\0' };

		key[key_bytes++] = (char)strtoul(digits, NULL, 16);
	}
	if (is_file(s, key, key_bytes) || store_get(s, key, key_bytes, &value, &value_bytes) < 0)
		return 0;
	printf("u");
	print_hex(key, key_bytes);
	print_hex(value, value_bytes);
	putchar('\n');
	free(value);
	return 0;
}

int main(int argc, char **argv)
{
	struct store_config config = { .fsync_interval_ns = LOG_WRITER_NEVER, .umask = 022 };
	char path[PATH_ROOM], line[2 * PATH_ROOM];
	struct store_stats stats;
	struct store *s;
	struct diag diag;
	int err;

	if (argc != 2)
		return 2;
	config.dir_path = argv[1];
	err = store_open(&config, &s, &diag);
	if (err < 0) {
		fprintf(stderr, "%s\n", diag.text);
		return err == -EBADMSG ? 3 : 1;
	}
	err = print_dir(s, store_root(s), path, 0);
	while (err == 0 && fgets(line, sizeof(line), stdin) != NULL)
		err = print_unnameable(s, line);
	store_stats(s, &stats);
	printf("n %llu\n", (unsigned long long)stats.unnamed_keys);
	if (store_close(s) < 0)
		err = -EIO;
	return err < 0 ? 1 : 0;
}
