/* SPDX-License-Identifier: MIT */
#include "tests/sim/archives.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/sim/tree.h"

#define BLOCK_BYTES 512
#define OVERHEAD    (8 * BLOCK_BYTES) /* headers and padding of an entry, at most */

static void must(int status, struct archive *a)
{
	if (status != ARCHIVE_OK) {
		(void)fprintf(stderr, "archive: %s\n", archive_error_string(a));
		abort();
	}
}

static void write_row(struct archive *a, const struct archive_row *row, uint64_t number)
{
	static const char types[] = "fdlhps";
	static const mode_t modes[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFREG, S_IFIFO, S_IFSOCK };
	struct archive_entry *e = archive_entry_new();
	uint8_t *value = malloc((size_t)row->value_bytes + 1);

	if (e == NULL || value == NULL)
		abort();
	archive_entry_set_pathname(e, row->path);
	archive_entry_set_mode(e, modes[strchr(types, row->type) - types] |
					  (row->type == 'd' ? 0750 : 0640));
	archive_entry_set_uid(e, 7);
	archive_entry_set_gid(e, 8);
	archive_entry_set_mtime(e, ARCHIVE_MTIME, 0);
	archive_entry_set_size(e, row->value_bytes);
	if (row->type == 'l')
		archive_entry_set_symlink(e, row->target);
	if (row->type == 'h')
		archive_entry_set_hardlink(e, row->target);
	if (row->xattr != NULL)
		archive_entry_xattr_add_entry(e, "user.a", row->xattr, strlen(row->xattr));
	must(archive_write_header(a, e), a);
	tree_fill(value, row->value_bytes, number);
	if (row->value_bytes > 0 &&
	    archive_write_data(a, value, row->value_bytes) != (la_ssize_t)row->value_bytes)
		abort();
	free(value);
	archive_entry_free(e);
}

struct archive_bytes archive_make(const struct archive_row *rows)
{
	struct archive *a = archive_write_new();
	struct archive_bytes ret = { 0 };
	size_t room = OVERHEAD;

	for (size_t i = 0; rows[i].type != 0; i++)
		room += OVERHEAD + rows[i].value_bytes +
			(rows[i].xattr == NULL ? 0 : 3 * strlen(rows[i].xattr));
	ret.data = malloc(room);
	if (a == NULL || ret.data == NULL)
		abort();
	must(archive_write_set_format_pax_restricted(a), a);
	must(archive_write_set_bytes_per_block(a, BLOCK_BYTES), a);
	must(archive_write_open_memory(a, ret.data, room, &ret.bytes), a);
	for (size_t i = 0; rows[i].type != 0; i++)
		write_row(a, &rows[i], i);
	must(archive_write_close(a), a);
	(void)archive_write_free(a);
	return ret;
}

static bool ends_import(int err)
{
	return err == -ENOSPC || err == -EIO || err == -ENOMEM || err == -EBADMSG;
}

int archive_import(struct store *s, const struct archive_bytes *archive, const char *into,
		   const struct archive_watch *watch)
{
	struct archive *a = archive_read_new();
	struct import_tree *t = NULL;
	struct archive_entry *e;
	int err = import_tree_new(s, into, &t), entry_err = 0, late_err;

	if (a == NULL)
		abort();
	must(archive_read_support_format_tar(a), a);
	must(archive_read_open_memory(a, archive->data, archive->bytes), a);
	for (uint64_t i = 0; err == 0 && archive_read_next_header(a, &e) == ARCHIVE_OK; i++) {
		if (watch->before != NULL)
			watch->before(watch->arg, i);
		entry_err = import_tree_add(t, a, e);
		if (ends_import(entry_err))
			err = entry_err;
		if (watch->after != NULL)
			watch->after(watch->arg, i, entry_err);
	}
	late_err = t == NULL ? 0 : import_tree_finish(t);
	import_tree_free(t);
	(void)archive_read_free(a);
	return err < 0 ? err : late_err;
}
