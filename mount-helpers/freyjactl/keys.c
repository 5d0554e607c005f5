/* SPDX-License-Identifier: MIT */
/* freyjactl ls, get, put, rm, stat: access to a store by key, unnameable keys included. */
#include "mount-helpers/freyjactl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/path.h"
#include "codec/timestamp.h"
#include "mount-helpers/common/key_text.h"
#include "codec/array.h"
#include "writer/base/times.h"

#define READ_BYTES ((size_t)1 << 20)

/* --- arguments --- */

struct key {
	char *bytes; /* owned */
	size_t count;
};

/* A command on one key of a store. */
struct access {
	const char *datadir, *text; /* borrowed; the arguments */
	bool read_only;
	struct key key;
	struct store *store; /* NULL: not open */
};

static enum ctl_exit parse_key(const char *text, struct key *ret)
{
	if (key_text_parse(text, &ret->bytes, &ret->count))
		return CTL_OK;
	warnx("key '%s': a backslash begins \\xHH or \\\\", text);
	return CTL_USAGE;
}

/* Parses the key and opens the store.  Requires a call of end_access() in any case. */
static enum ctl_exit begin_access(struct access *a)
{
	enum ctl_exit status = parse_key(a->text, &a->key);

	return status == CTL_OK ? ctl_open(a->datadir, a->read_only, &a->store) : status;
}

enum ctl_exit ctl_not_found(const char *text)
{
	bool is_path = text[0] == '/' || strncmp(text, "keys/", strlen("keys/")) == 0;

	warnx("there is no key '%s'%s", text,
	      is_path ? ": a key is the path below keys/, as freyjactl ls prints it" : "");
	return CTL_NOT_FOUND;
}

/* Reports the error 'err' of the command, if it is not 0, closes the store and flushes standard
 * output. */
static enum ctl_exit end_access(struct access *a, enum ctl_exit status, int err)
{
	if (err == -ENOENT)
		status = ctl_not_found(a->text);
	else if (err < 0)
		status = ctl_failed(err, a->text, NULL);
	err = store_close(a->store);
	if (err < 0 && status == CTL_OK && !a->read_only) {
		(void)ctl_failed(err, a->datadir, NULL);
		status = CTL_NOT_DURABLE;
	}
	free(a->key.bytes);
	return ctl_flush(status);
}

/* --- ls --- */

struct listing {
	struct store *s;
	const struct key *below; /* prefix of the keys to list */
	char path[PATH_BYTES_MAX + 2];
	size_t path_bytes;
	struct child *children;
};

struct child {
	struct child *next;
	struct node *node; /* pinned */
	struct store_attr attr;
	size_t name_bytes;
	char name[];
};

static int add_child(void *arg, const struct store_dirent *e)
{
	struct child **list = arg, *c = malloc(sizeof(*c) + e->name_bytes);

	if (c == NULL)
		return -ENOMEM;
	c->node = e->node;
	c->attr = e->attr;
	c->name_bytes = e->name_bytes;
	memcpy(c->name, e->name, e->name_bytes);
	store_pin_in_list(e->node);
	c->next = *list;
	*list = c;
	return 0;
}

static bool is_below(const struct key *below, const char *key, size_t key_bytes)
{
	if (below->count == 0)
		return true;
	return key_bytes >= below->count && memcmp(key, below->bytes, below->count) == 0 &&
	       (key_bytes == below->count || key[below->count] == '/');
}

static void print_key(const char *mark, const void *key, size_t key_bytes, uint64_t size_bytes)
{
	printf("%s\t%" PRIu64 "\t", mark, size_bytes);
	key_text_print(stdout, key, key_bytes);
	(void)putchar('\n');
}

static const char *mark_of(mode_t mode)
{
	if (S_ISREG(mode))
		return "-";
	if (S_ISDIR(mode))
		return "d";
	return S_ISLNK(mode) ? "l" : "s";
}

/* Prints everything below 'dir', whose path is in 'l', and frees the list of its entries. */
static int list_dir(struct listing *l, struct node *dir)
{
	struct child *list = NULL, *next;
	size_t path_bytes = l->path_bytes;
	int err = store_list(l->s, dir, 0, add_child, &list);

	for (struct child *c = list; c != NULL; c = next) {
		next = c->next;
		if (err == 0 && path_bytes + c->name_bytes <= PATH_BYTES_MAX) {
			memcpy(l->path + path_bytes, c->name, c->name_bytes);
			l->path_bytes = path_bytes + c->name_bytes;
			if (is_below(l->below, l->path, l->path_bytes))
				print_key(mark_of(c->attr.mode), l->path, l->path_bytes,
					  c->attr.size_bytes);
			if (S_ISDIR(c->attr.mode)) {
				l->path[l->path_bytes++] = '/';
				err = list_dir(l, c->node);
			}
		}
		store_unpin(l->s, c->node, 1);
		free(c);
	}
	l->path_bytes = path_bytes;
	return err;
}

static int print_unnameable(void *arg, const void *key, size_t key_bytes, uint64_t size_bytes)
{
	const struct listing *l = arg;

	if (is_below(l->below, key, key_bytes))
		print_key("!", key, key_bytes, size_bytes);
	return 0;
}

enum ctl_exit ctl_ls(const char *datadir, char *const args[], int count)
{
	struct key below = { NULL, 0 };
	struct listing *l = calloc(1, sizeof(*l));
	enum ctl_exit status = CTL_OK;
	int err;

	if (l == NULL)
		return ctl_failed(-ENOMEM, datadir, NULL);
	if (count > 0)
		status = parse_key(args[0], &below);
	if (status == CTL_OK)
		status = ctl_open(datadir, true, &l->s);
	if (status == CTL_OK) {
		l->below = &below;
		err = list_dir(l, store_root(l->s));
		if (err == 0)
			err = store_list_unnameable(l->s, print_unnameable, l);
		if (err < 0)
			status = ctl_failed(err, datadir, NULL);
		(void)!store_close(l->s); /* read only */
	}
	free(below.bytes);
	free(l);
	return ctl_flush(status);
}

/* --- get --- */

enum ctl_exit ctl_get(const char *datadir, char *const args[], int count)
{
	struct access a = { .datadir = datadir, .text = args[0], .read_only = true };
	enum ctl_exit status = begin_access(&a);
	void *value = NULL;
	size_t bytes = 0;
	int err = 0;

	if (status == CTL_OK)
		err = store_get(a.store, a.key.bytes, a.key.count, &value, &bytes);
	if (value != NULL)
		(void)fwrite(value, 1, bytes, stdout); /* ctl_flush() reports an error */
	free(value);
	return end_access(&a, status, err);
}

/* --- put and rm --- */

/* Reads up to the end of file into a new buffer. */
static int read_all(int fd, uint8_t **ret, size_t *ret_bytes)
{
	uint8_t *buf = NULL;
	size_t capacity = 0, n = 0;
	ssize_t got = 1;

	while (got > 0) {
		if (ARRAY_RESERVE(buf, n == capacity ? capacity + READ_BYTES : capacity, capacity) <
		    0) {
			free(buf);
			return -ENOMEM;
		}
		got = read(fd, buf + n, capacity - n);
		if (got > 0)
			n += (size_t)got;
		if (got < 0 && errno == EINTR)
			got = 1;
	}
	if (got < 0) {
		got = -errno;
		free(buf);
		return (int)got;
	}
	*ret = buf;
	*ret_bytes = n;
	return 0;
}

static enum ctl_exit read_value(const char *file, uint8_t **ret, size_t *ret_bytes)
{
	const char *name = file != NULL ? file : "standard input";
	int fd = file != NULL ? open(file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	int err = fd < 0 ? -errno : read_all(fd, ret, ret_bytes);

	if (file != NULL && fd >= 0)
		(void)close(fd); /* opened only for reading */
	if (err < 0) {
		warnx("%s: %s", name, strerror(-err));
		return CTL_SYSTEM;
	}
	if (*ret_bytes > 0)
		return CTL_OK;
	warnx("%s: empty: a key without a value is one that is deleted; use rm", name);
	return CTL_USAGE;
}

enum ctl_exit ctl_put(const char *datadir, char *const args[], int count)
{
	struct access a = { .datadir = datadir, .text = args[0] };
	enum ctl_exit status = parse_key(args[0], &a.key);
	uint8_t *value = NULL;
	size_t bytes = 0;
	int err = 0;

	if (status == CTL_OK)
		status = read_value(count > 1 ? args[1] : NULL, &value, &bytes);
	if (status == CTL_OK)
		status = ctl_open(datadir, false, &a.store);
	if (status == CTL_OK) {
		err = store_put(a.store, a.key.bytes, a.key.count, value, bytes, NULL);
		if (err == 0 && !path_ok(a.key.bytes, a.key.count))
			warnx("'%s' is a key that no path can name: a mount does not show it",
			      args[0]);
	}
	free(value);
	return end_access(&a, status, err);
}

enum ctl_exit ctl_rm(const char *datadir, char *const args[], int count)
{
	struct access a = { .datadir = datadir, .text = args[0] };
	enum ctl_exit status = begin_access(&a);
	int err = status == CTL_OK ? store_delete(a.store, a.key.bytes, a.key.count) : 0;

	return end_access(&a, status, err);
}

/* --- stat --- */

static void print_time(const char *name, struct timespec t)
{
	char text[TIMESTAMP_BYTES];

	if (t.tv_sec < 0)
		printf("%s: @%" PRId64 ".%09ld\n", name, (int64_t)t.tv_sec, t.tv_nsec);
	else
		printf("%s: %s\n", name, timestamp_format((uint64_t)ns_of_timespec(t), text));
}

static const char *type_of(mode_t mode)
{
	if (S_ISREG(mode))
		return "file";
	if (S_ISDIR(mode))
		return "directory";
	return S_ISLNK(mode) ? "symlink" : "special file";
}

static void print_attr(const struct store_attr *attr)
{
	printf("type: %s\n", type_of(attr->mode));
	printf("size: %" PRIu64 "\n", attr->size_bytes);
	printf("mode: %04o\n", (unsigned int)attr->mode & 07777);
	printf("uid: %" PRIu32 "\ngid: %" PRIu32 "\n", attr->uid, attr->gid);
	printf("links: %" PRIu32 "\n", attr->link_count);
	print_time("mtime", attr->mtime);
	print_time("ctime", attr->ctime);
}

enum ctl_exit ctl_stat(const char *datadir, char *const args[], int count)
{
	struct access a = { .datadir = datadir, .text = args[0], .read_only = true };
	enum ctl_exit status = begin_access(&a);
	struct store_attr attr = { 0 };
	struct node *n;
	void *value = NULL;
	size_t bytes = 0;
	int err = 0;

	if (status == CTL_OK) {
		err = a.key.count == 0
			      ? -ENOENT
			      : store_find_path(a.store, a.key.bytes, a.key.count, &n, &attr);
		if (err == 0) {
			print_attr(&attr);
			store_unpin(a.store, n, 1);
		} else if (err == -ENOENT) {
			err = store_get(a.store, a.key.bytes, a.key.count, &value, &bytes);
			if (err == 0)
				printf("type: key that no path can name\nsize: %zu\n", bytes);
		}
	}
	free(value);
	return end_access(&a, status, err);
}
