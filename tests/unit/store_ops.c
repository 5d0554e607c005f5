/* SPDX-License-Identifier: MIT */
#include "tests/unit/store_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/unit.h"

/* Looks up the first 'bytes' of a path. */
static int find(struct store *s, const char *path, size_t bytes, struct node **ret)
{
	struct node *n = store_root(s), *next;
	size_t pos = 0;
	int err = 0;

	while (pos < bytes) {
		const char *name = path + pos;
		const char *slash = memchr(name, '/', bytes - pos);
		size_t name_bytes = slash != NULL ? (size_t)(slash - name) : bytes - pos;

		err = store_lookup(s, n, name, name_bytes, &next, NULL);
		store_unpin(s, n, 1);
		if (err < 0)
			return err;
		n = next;
		pos += name_bytes + 1;
	}
	*ret = n;
	return 0;
}

/* Splits a path into its directory, pinned, and its last component. */
static int find_dir(struct store *s, const char *path, struct node **ret_dir, const char **ret_name)
{
	const char *slash = strrchr(path, '/');

	*ret_name = slash != NULL ? slash + 1 : path;
	return find(s, path, slash != NULL ? (size_t)(slash - path) : 0, ret_dir);
}

int ops_find(struct store *s, const char *path, struct node **ret)
{
	return find(s, path, strlen(path), ret);
}

struct node *ops_find_ok(struct store *s, const char *path)
{
	struct node *n;
	int err = ops_find(s, path, &n);

	if (err < 0)
		fail_msg("%s: %s", path, strerror(-err));
	return n;
}

struct store_attr ops_attr_ok(struct store *s, const char *path)
{
	struct node *n = ops_find_ok(s, path);
	struct store_attr attr;

	store_getattr(s, n, &attr);
	store_unpin(s, n, 1);
	return attr;
}

int ops_create(struct store *s, const char *path, mode_t mode, struct node **ret)
{
	struct node *dir;
	const char *name;
	int err = find_dir(s, path, &dir, &name);

	if (err < 0)
		return err;
	err = store_create(s, &(struct store_name){ dir, name, strlen(name) },
			   &(struct store_owner){ mode, OPS_UID, OPS_GID }, ret, NULL);
	store_unpin(s, dir, 1);
	return err;
}

int ops_commit(struct store *s, struct node *n, const char *value, const struct store_set *set)
{
	struct timespec now;
	uint64_t end;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	return store_commit(
		s, n,
		&(struct store_content){
			.value = value, .bytes = strlen(value), .written_at = now, .set = set },
		&end);
}

int ops_write(struct store *s, const char *path, const char *value)
{
	struct node *n;
	int err = ops_find(s, path, &n);

	if (err == -ENOENT)
		err = ops_create(s, path, OPS_FILE_MODE, &n);
	if (err < 0)
		return err;
	err = ops_commit(s, n, value, NULL);
	store_unpin(s, n, 1);
	return err;
}

void ops_write_ok(struct store *s, const char *path, const char *value)
{
	int err = ops_write(s, path, value);

	if (err < 0)
		fail_msg("%s: %s", path, strerror(-err));
}

int ops_mkdir(struct store *s, const char *path)
{
	struct node *dir, *n;
	const char *name;
	uint64_t end;
	int err = find_dir(s, path, &dir, &name);

	if (err < 0)
		return err;
	err = store_mkdir(s, &(struct store_name){ dir, name, strlen(name) },
			  &(struct store_owner){ OPS_DIR_MODE, OPS_UID, OPS_GID }, &n, NULL, &end);
	if (err == 0)
		store_unpin(s, n, 1);
	store_unpin(s, dir, 1);
	return err;
}

void ops_mkdir_ok(struct store *s, const char *path)
{
	int err = ops_mkdir(s, path);

	if (err < 0)
		fail_msg("%s: %s", path, strerror(-err));
}

int ops_unlink(struct store *s, const char *path)
{
	struct node *dir;
	const char *name;
	uint64_t end;
	int err = find_dir(s, path, &dir, &name);

	if (err < 0)
		return err;
	err = store_unlink(s, &(struct store_name){ dir, name, strlen(name) }, &end);
	store_unpin(s, dir, 1);
	return err;
}

int ops_rmdir(struct store *s, const char *path)
{
	struct node *dir;
	const char *name;
	uint64_t end;
	int err = find_dir(s, path, &dir, &name);

	if (err < 0)
		return err;
	err = store_rmdir(s, &(struct store_name){ dir, name, strlen(name) }, &end);
	store_unpin(s, dir, 1);
	return err;
}

int ops_rename(struct store *s, const char *from, const char *to, unsigned int flags)
{
	struct node *from_dir, *to_dir;
	const char *from_name, *to_name;
	uint64_t end;
	int err = find_dir(s, from, &from_dir, &from_name);

	if (err < 0)
		return err;
	err = find_dir(s, to, &to_dir, &to_name);
	if (err == 0) {
		err = store_rename(
			s, &(struct store_name){ from_dir, from_name, strlen(from_name) },
			&(struct store_name){ to_dir, to_name, strlen(to_name) }, flags, &end);
		store_unpin(s, to_dir, 1);
	}
	store_unpin(s, from_dir, 1);
	return err;
}

int ops_setattr(struct store *s, const char *path, const struct store_set *set)
{
	struct node *n;
	uint64_t end;
	int err = ops_find(s, path, &n);

	if (err < 0)
		return err;
	err = store_setattr(s, n, set, &end);
	store_unpin(s, n, 1);
	return err;
}

int ops_verify(struct store *s, struct node *n)
{
	char buf[512];
	uint64_t at = 0;
	ssize_t got;

	do {
		got = store_read(s, n, buf, sizeof(buf), at);
		at += got > 0 ? (uint64_t)got : 0;
	} while (got > 0);
	return (int)got;
}

int ops_read(struct store *s, const char *path, const char *want)
{
	struct node *n = ops_find_ok(s, path);
	size_t bytes = strlen(want);
	char *got = malloc(bytes + 1);
	ssize_t count;

	assert_non_null(got);
	count = store_read(s, n, got, bytes + 1, 0);
	if (count >= 0) {
		assert_int_equal(count, bytes);
		assert_memory_equal(got, want, bytes);
	}
	free(got);
	store_unpin(s, n, 1);
	return count < 0 ? (int)count : 0;
}
