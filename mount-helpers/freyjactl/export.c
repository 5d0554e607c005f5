/* SPDX-License-Identifier: MIT */
/* freyjactl export: writes the tree of a store as a tar archive.
 *
 * Files come in the order of their contents in the log.  Then come the names of nodes that have
 * several, and last the directories, those below first: a program that extracts the archive makes a
 * directory when it needs it, and sets its times and permissions when nothing more is put into it.
 */
#include "mount-helpers/freyjactl/ctl.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/meta.h"
#include "codec/path.h"
#include "mount-helpers/freyjactl/export_order.h"
#include "codec/array.h"
#include "writer/base/progress.h"

#define FILES_A_PASS  ((size_t)1 << 20)
#define CHUNK_BYTES   ((size_t)1 << 20)
#define BATCH_ENTRIES 64

/* A name of a node that has several. */
struct link {
	struct node *node; /* pinned */
	char *path;	   /* owned */
};

struct exporter {
	struct store *s;
	struct archive *a;
	struct archive_entry *e;
	struct export_order *files;
	struct link *links;
	size_t link_count, link_capacity;
	uint8_t *buf; /* CHUNK_BYTES; owned */
	struct progress progress;
	uint64_t entries, entries_all; /* all: 0 if not known */
	uint64_t damaged;	       /* files that cannot be read whole */
	char path[PATH_BYTES_MAX + 2];
	size_t path_bytes;
};

/* --- entries --- */

static int archive_failed(const struct exporter *ex)
{
	warnx("the archive: %s", archive_error_string(ex->a));
	return -ECANCELED;
}

static void set_attributes(struct exporter *ex, const struct store_attr *attr)
{
	struct archive_entry *e = ex->e;

	archive_entry_set_mode(e, attr->mode);
	archive_entry_set_uid(e, attr->uid);
	archive_entry_set_gid(e, attr->gid);
	archive_entry_set_mtime(e, attr->mtime.tv_sec, attr->mtime.tv_nsec);
	archive_entry_set_ctime(e, attr->ctime.tv_sec, attr->ctime.tv_nsec);
	if (attr->atime.tv_sec != attr->mtime.tv_sec || attr->atime.tv_nsec != attr->mtime.tv_nsec)
		archive_entry_set_atime(e, attr->atime.tv_sec, attr->atime.tv_nsec);
	archive_entry_set_size(e, S_ISREG(attr->mode) ? (la_int64_t)attr->size_bytes : 0);
	if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode)) {
		archive_entry_set_rdevmajor(e, attr->rdev_major);
		archive_entry_set_rdevminor(e, attr->rdev_minor);
	}
}

static int set_xattr(struct exporter *ex, struct node *n, const char *name)
{
	ssize_t bytes = store_getxattr(ex->s, n, name, NULL, 0);
	void *value;

	if (bytes < 0)
		return (int)bytes;
	value = malloc((size_t)bytes + 1);
	if (value == NULL)
		return -ENOMEM;
	bytes = store_getxattr(ex->s, n, name, value, (size_t)bytes + 1);
	if (bytes >= 0)
		archive_entry_xattr_add_entry(ex->e, name, value, (size_t)bytes);
	free(value);
	return bytes < 0 ? (int)bytes : 0;
}

static int set_xattrs(struct exporter *ex, struct node *n)
{
	ssize_t bytes = store_listxattr(ex->s, n, NULL, NULL, 0);
	char *names;
	int err = 0;

	if (bytes <= 0)
		return (int)bytes;
	names = malloc((size_t)bytes);
	if (names == NULL)
		return -ENOMEM;
	bytes = store_listxattr(ex->s, n, NULL, names, (size_t)bytes);
	if (bytes < 0)
		err = (int)bytes;
	for (ssize_t at = 0; err == 0 && at < bytes; at += (ssize_t)strlen(names + at) + 1)
		err = set_xattr(ex, n, names + at);
	free(names);
	return err;
}

static int set_target(struct exporter *ex, struct node *n)
{
	char target[META_TARGET_BYTES_MAX + 1];
	ssize_t bytes = store_readlink(ex->s, n, target, sizeof(target) - 1);

	if (bytes < 0)
		return (int)bytes;
	target[bytes] = '\0';
	archive_entry_set_symlink(ex->e, target);
	return 0;
}

/* Names the holes of a file, which the archive then leaves out. */
static void set_holes(struct exporter *ex, struct node *n, const struct store_attr *attr)
{
	uint64_t begin, end = 0;

	if (attr->data_bytes == attr->size_bytes)
		return;
	while (store_next_data(ex->s, n, end, &begin, &end))
		archive_entry_sparse_add_entry(ex->e, (la_int64_t)begin, (la_int64_t)(end - begin));
	if (archive_entry_sparse_count(ex->e) == 0) /* nothing but a hole */
		archive_entry_sparse_add_entry(ex->e, (la_int64_t)attr->size_bytes, 0);
}

/* Writes the content of a file.  Bytes that cannot be read become zeros, and are reported. */
static int write_content(struct exporter *ex, struct node *n, uint64_t size)
{
	bool is_damaged = false;

	for (uint64_t at = 0; at < size;) {
		size_t bytes = size - at < CHUNK_BYTES ? (size_t)(size - at) : CHUNK_BYTES;
		ssize_t got = store_read(ex->s, n, ex->buf, bytes, at);

		if (got == -ENOMEM)
			return -ENOMEM;
		if (got < (ssize_t)bytes) {
			memset(ex->buf + (got > 0 ? got : 0), 0,
			       bytes - (got > 0 ? (size_t)got : 0));
			is_damaged = true;
		}
		if (archive_write_data(ex->a, ex->buf, bytes) < 0)
			return archive_failed(ex);
		at += bytes;
	}
	if (is_damaged) {
		ex->damaged++;
		ctl_warn_path(ex->path,
			      "cannot be read whole: the archive has zeros for what is missing");
	}
	return 0;
}

/* Writes an entry under the path in 'ex'. */
static int write_entry(struct exporter *ex, struct node *n, const struct store_attr *attr)
{
	int err = 0;

	ex->path[ex->path_bytes] = '\0';
	archive_entry_clear(ex->e);
	archive_entry_copy_pathname(ex->e, ex->path_bytes == 0 ? "." : ex->path);
	set_attributes(ex, attr);
	if (S_ISLNK(attr->mode))
		err = set_target(ex, n);
	else if (S_ISREG(attr->mode))
		set_holes(ex, n, attr);
	if (err == 0)
		err = set_xattrs(ex, n);
	if (err == 0 && archive_write_header(ex->a, ex->e) < ARCHIVE_WARN)
		err = archive_failed(ex);
	if (err == 0 && S_ISREG(attr->mode))
		err = write_content(ex, n, attr->size_bytes);
	ex->entries++;
	if (ex->entries_all > 0)
		progress_show(&ex->progress, ex->entries, ex->entries_all);
	return err;
}

/* --- files in the order of the log --- */

static int write_files(struct exporter *ex)
{
	struct store_attr attr;
	struct node *n;
	int err = 0;

	while (err == 0 && (n = export_order_next(ex->files)) != NULL) {
		ex->path_bytes = store_node_path(ex->s, n, ex->path);
		store_getattr(ex->s, n, &attr);
		err = write_entry(ex, n, &attr);
	}
	return err;
}

/* --- nodes with several names --- */

static int add_link(struct exporter *ex, struct node *n)
{
	char *path = strndup(ex->path, ex->path_bytes);

	if (path == NULL || ARRAY_RESERVE(ex->links, ex->link_count + 1, ex->link_capacity) < 0) {
		free(path);
		return -ENOMEM;
	}
	store_pin(ex->s, n);
	ex->links[ex->link_count++] = (struct link){ n, path };
	return 0;
}

static int by_node(const void *left, const void *right)
{
	const struct link *a = left, *b = right;

	if (a->node != b->node)
		return (uintptr_t)a->node < (uintptr_t)b->node ? -1 : 1;
	return strcmp(a->path, b->path);
}

/* Writes the first name of each node as a file, and the others as links to it. */
static int write_links(struct exporter *ex)
{
	const struct link *first = NULL;
	int err = 0;

	if (ex->link_count > 0)
		qsort(ex->links, ex->link_count, sizeof(ex->links[0]), by_node);
	for (size_t i = 0; err == 0 && i < ex->link_count; i++) {
		const struct link *l = &ex->links[i];
		struct store_attr attr;

		store_getattr(ex->s, l->node, &attr);
		ex->path_bytes = strlen(l->path);
		memcpy(ex->path, l->path, ex->path_bytes + 1);
		if (first == NULL || first->node != l->node) {
			first = l;
			err = write_entry(ex, l->node, &attr);
			continue;
		}
		archive_entry_clear(ex->e);
		archive_entry_copy_pathname(ex->e, ex->path);
		set_attributes(ex, &attr);
		archive_entry_set_size(ex->e, 0);
		archive_entry_copy_hardlink(ex->e, first->path);
		if (archive_write_header(ex->a, ex->e) < ARCHIVE_WARN)
			err = archive_failed(ex);
		ex->entries++;
	}
	return err;
}

/* --- the walk through the tree --- */

/* Called for each node below a directory, with its path in 'ex'; for directories after what is in
 * them. */
typedef int (*visit_fn)(struct exporter *ex, struct node *n, const struct store_attr *attr);

static int visit_first(struct exporter *ex, struct node *n, const struct store_attr *attr)
{
	if (S_ISDIR(attr->mode) || S_ISSOCK(attr->mode))
		return 0;
	if (attr->link_count > 1)
		return add_link(ex, n);
	if (!S_ISREG(attr->mode))
		return write_entry(ex, n, attr);
	export_order_add(ex->files, n);
	return 0;
}

static int visit_again(struct exporter *ex, struct node *n, const struct store_attr *attr)
{
	if (S_ISREG(attr->mode) && attr->link_count == 1)
		export_order_add(ex->files, n);
	return 0;
}

static int visit_dirs(struct exporter *ex, struct node *n, const struct store_attr *attr)
{
	return S_ISDIR(attr->mode) ? write_entry(ex, n, attr) : 0;
}

struct child {
	struct node *node; /* pinned */
	struct store_attr attr;
	uint64_t cookie;
	size_t name_bytes;
	char name[PATH_NAME_BYTES_MAX];
};

/* Entries of one directory: few at a time, so that a large one takes no memory. */
struct batch {
	size_t count;
	struct child children[BATCH_ENTRIES];
};

static int collect(void *arg, const struct store_dirent *entry)
{
	struct batch *b = arg;
	struct child *c = &b->children[b->count];

	if (b->count == BATCH_ENTRIES)
		return 1;
	c->node = entry->node;
	c->attr = entry->attr;
	c->cookie = entry->cookie;
	c->name_bytes = entry->name_bytes;
	memcpy(c->name, entry->name, entry->name_bytes);
	store_pin_in_list(entry->node);
	b->count++;
	return 0;
}

static int walk(struct exporter *ex, struct node *dir, visit_fn visit);

static int walk_child(struct exporter *ex, const struct child *c, visit_fn visit)
{
	size_t dir_bytes = ex->path_bytes, slash = dir_bytes > 0 ? 1 : 0;
	int err = 0;

	if (dir_bytes + slash + c->name_bytes > PATH_BYTES_MAX)
		return -ENAMETOOLONG;
	ex->path[dir_bytes] = '/';
	memcpy(ex->path + dir_bytes + slash, c->name, c->name_bytes);
	ex->path_bytes = dir_bytes + slash + c->name_bytes;
	if (S_ISDIR(c->attr.mode))
		err = walk(ex, c->node, visit);
	if (err == 0)
		err = visit(ex, c->node, &c->attr);
	ex->path_bytes = dir_bytes;
	return err;
}

static int walk(struct exporter *ex, struct node *dir, visit_fn visit)
{
	struct batch *b = malloc(sizeof(*b));
	uint64_t cookie = 0;
	int err = b == NULL ? -ENOMEM : 0, more = 1;

	while (err == 0 && more == 1) {
		b->count = 0;
		more = store_list(ex->s, dir, cookie, collect, b);
		for (size_t i = 0; i < b->count; i++) {
			if (err == 0)
				err = walk_child(ex, &b->children[i], visit);
			cookie = b->children[i].cookie;
			store_unpin(ex->s, b->children[i].node, 1);
		}
	}
	free(b);
	return err;
}

/* Walks through 'top' and the nodes below it; the path of 'top' is in 'path'. */
static int walk_from(struct exporter *ex, struct node *top, const char *path, visit_fn visit)
{
	struct store_attr attr;
	int err = 0;

	store_getattr(ex->s, top, &attr);
	ex->path_bytes = strlen(path);
	memcpy(ex->path, path, ex->path_bytes);
	if (S_ISDIR(attr.mode))
		err = walk(ex, top, visit);
	return err < 0 ? err : visit(ex, top, &attr);
}

static int write_tree(struct exporter *ex, struct node *top, const char *path)
{
	int err = walk_from(ex, top, path, visit_first);

	if (err == 0)
		err = write_files(ex);
	while (err == 0 && export_order_again(ex->files)) {
		err = walk_from(ex, top, path, visit_again);
		if (err == 0)
			err = write_files(ex);
	}
	if (err == 0)
		err = write_links(ex);
	return err < 0 ? err : walk_from(ex, top, path, visit_dirs);
}

/* --- the command --- */

/* Opens the archive.  Its format is pax: names of any length, times with nanoseconds, xattrs. */
static enum ctl_exit open_archive(struct exporter *ex, const char *file)
{
	bool is_file = strcmp(file, "-") != 0;

	if (!is_file && isatty(STDOUT_FILENO)) {
		warnx("an archive is not written to a terminal: give a file");
		return CTL_USAGE;
	}
	ex->a = archive_write_new();
	ex->e = archive_entry_new();
	ex->buf = malloc(CHUNK_BYTES);
	if (ex->a == NULL || ex->e == NULL || ex->buf == NULL)
		return ctl_failed(-ENOMEM, file, NULL);
	ctl_set_locale();
	if (archive_write_set_format_pax(ex->a) != ARCHIVE_OK ||
	    archive_write_set_options(ex->a, "xattrheader=SCHILY") != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(ex->a, (int)CHUNK_BYTES) != ARCHIVE_OK ||
	    archive_write_set_bytes_in_last_block(ex->a, 1) != ARCHIVE_OK ||
	    (is_file ? archive_write_open_filename(ex->a, file)
		     : archive_write_open_fd(ex->a, STDOUT_FILENO)) != ARCHIVE_OK) {
		warnx("%s: %s", file, archive_error_string(ex->a));
		return CTL_SYSTEM;
	}
	return CTL_OK;
}

static int count_unnameable(void *arg, const void *key, size_t key_bytes, uint64_t size_bytes)
{
	uint64_t *count = arg;

	(*count)++;
	return 0;
}

/* Writes the entries of 'top' and closes the archive. */
static int write_archive(struct exporter *ex, struct node *top, const char *path)
{
	int err = export_order_new(ex->s, FILES_A_PASS, &ex->files);

	progress_begin(&ex->progress, STDERR_FILENO, "freyjactl: exporting");
	if (err == 0)
		err = write_tree(ex, top, path);
	progress_end(&ex->progress);
	if (err == 0 && archive_write_close(ex->a) != ARCHIVE_OK)
		err = archive_failed(ex);
	return err;
}

static enum ctl_exit export_path(struct exporter *ex, const char *path)
{
	const char *name = path[0] == '\0' ? "the store" : path;
	uint64_t unnameable = 0;
	struct store_stats stats;
	struct store_attr attr;
	struct node *top;
	int err = store_find_path(ex->s, path, strlen(path), &top, &attr);

	if (err < 0)
		return err == -ENOENT ? ctl_not_found(path) : ctl_failed(err, name, NULL);
	if (path[0] == '\0') {
		store_stats(ex->s, &stats);
		ex->entries_all = stats.files + stats.directories;
		(void)!store_list_unnameable(ex->s, count_unnameable, &unnameable);
	}
	err = write_archive(ex, top, path);
	if (unnameable > 0)
		warnx("%" PRIu64 " keys that no path can name are not in the archive", unnameable);
	store_unpin(ex->s, top, 1);
	if (err < 0 && err != -ECANCELED)
		return ctl_failed(err, name, NULL);
	if (err < 0)
		return CTL_SYSTEM;
	return ex->damaged > 0 ? CTL_DATA : CTL_OK;
}

static void free_export(struct exporter *ex)
{
	for (size_t i = 0; i < ex->link_count; i++) {
		store_unpin(ex->s, ex->links[i].node, 1);
		free(ex->links[i].path);
	}
	free(ex->links);
	export_order_free(ex->files);
	(void)!store_close(ex->s); /* read only */
	archive_entry_free(ex->e);
	(void)archive_write_free(ex->a); /* export() has closed it, or has said why not */
	free(ex->buf);
	free(ex);
}

enum ctl_exit ctl_export(const char *datadir, char *const args[], int count)
{
	struct exporter *ex = calloc(1, sizeof(*ex));
	enum ctl_exit status;

	if (ex == NULL)
		return ctl_failed(-ENOMEM, datadir, NULL);
	status = ctl_open(datadir, true, &ex->s);
	if (status == CTL_OK)
		status = open_archive(ex, count > 1 ? args[1] : "-");
	if (status == CTL_OK)
		status = export_path(ex, count > 0 ? args[0] : "");
	free_export(ex);
	return status;
}
