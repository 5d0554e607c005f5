/* SPDX-License-Identifier: MIT */
/* The last part of fsck.freyjafs: files that cannot be read whole get the content of their newest
 * whole version, by commits at the end of the log.  If fsck is killed, each file has either its
 * present or its restored content. */
#include "mount-helpers/fsck/fsck.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/timestamp.h"
#include "mount-helpers/common/key_text.h"
#include "writer/base/times.h"
#include "writer/history.h"
#include "writer/store.h"

#define PIECE_BYTES ((size_t)256 * 1024)

/* The version to find, and its time in the history. */
struct wanted {
	const struct fsck_name *name;
	uint64_t timestamp_ns; /* 0: not found */
};

static int look_at(void *arg, const struct history_entry *e)
{
	struct wanted *w = arg;

	if (e->name == NULL && S_ISREG(e->version.mode) && e->version.available &&
	    e->version.size_bytes == w->name->older_bytes &&
	    (uint64_t)e->version.mtime_ns == w->name->older_ns)
		w->timestamp_ns = e->version.timestamp_ns; /* the newest comes last */
	return 0;
}

/* Reads the piece at 'at', or finds the hole there; not the whole version, which may be larger than
 * any disk.  Returns 1, 0 (the end of the version) or -errno. */
static int read_piece(struct history_version *v, uint64_t at, void *buf, struct store_range *ret)
{
	struct history_attr attr;
	uint64_t end;
	ssize_t got;

	history_version_attr(v, &attr);
	*ret = (struct store_range){ .offset = at, .data = NULL };
	if (at >= attr.size_bytes)
		return 0;
	if (history_version_is_hole(v, at, &end)) {
		ret->bytes = end - at;
		return 1;
	}
	got = history_version_read(v, buf, PIECE_BYTES, at);
	ret->data = buf;
	ret->bytes = got > 0 ? (uint64_t)got : 0;
	return got < 0 ? (int)got : got > 0;
}

static int stage(struct store *s, struct history_version *v, struct store_staging **ret)
{
	uint8_t *buf = malloc(PIECE_BYTES);
	struct store_range range = { .data = buf };
	int got = buf == NULL ? -ENOMEM : 1;

	while (got > 0) {
		got = read_piece(v, range.offset + range.bytes, buf, &range);
		if (got > 0) {
			int err = store_stage(s, ret, &range, 1);

			got = err < 0 ? err : 1;
		}
	}
	free(buf);
	return got;
}

static int put_version(struct store *s, const struct fsck_name *name, struct history_version *v)
{
	struct timespec mtime = timespec_of_ns(ns_of_timestamp(name->older_ns));
	const struct store_set set = { .which = STORE_SET_MTIME, .mtime = mtime };
	struct store_staging *staging = NULL;
	struct node *n = NULL;
	uint64_t end;
	int err = store_find_path(s, name->path, name->path_bytes, &n, NULL);

	if (err < 0)
		return err;
	if (name->older_bytes > 0)
		err = stage(s, v, &staging);
	if (err == 0 && staging == NULL)
		err = store_commit(s, n,
				   &(struct store_content){ .written_at = mtime,
							    .written_at_shown = true,
							    .set = &set },
				   &end);
	else if (err == 0)
		err = store_publish(s, n, &staging,
				    &(struct store_content){ .bytes = name->older_bytes,
							     .written_at = mtime,
							     .written_at_shown = true,
							     .set = &set },
				    &end);
	store_staging_free(staging);
	store_unpin(s, n, 1);
	return err;
}

/* Restores one name.  Returns 1 if it was restored, 0 if the history does not have the version or
 * cannot read all of it, or -errno. */
static int restore(struct store *s, struct history *h, const struct fsck_name *name)
{
	struct wanted w = { .name = name };
	struct history_version *v = NULL;
	char text[TIMESTAMP_BYTES];
	int err;

	if (!name->has_path || !name->has_older)
		return 0;
	err = history_list(h, name->path, name->path_bytes, look_at, &w);
	if (err == 0 && w.timestamp_ns != 0)
		err = history_version_open(h, name->path, name->path_bytes, w.timestamp_ns, &v);
	if (err < 0 || v == NULL)
		return err == -ENOENT ? 0 : err;
	err = put_version(s, name, v);
	history_version_close(v);
	if (err < 0)
		return err == -EIO ? 0 : err;
	key_text_print(stdout, name->path, name->path_bytes);
	printf(": is its version of %s now\n", timestamp_format(name->older_ns, text));
	return 1;
}

int fsck_old(const char *datadir, const struct fsck_names *names, uint64_t *ret_restored,
	     struct diag *diag)
{
	const struct history_config old = { .dir_path = datadir };
	const struct store_config config = {
		.dir_path = datadir,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.no_background = true,
		.uid = getuid(),
		.gid = getgid(),
		.umask = 022,
		.holder = "fsck.freyjafs",
	};
	struct history *h = NULL;
	struct store *s = NULL;
	int err = history_open(&old, &h, diag), close_err;

	if (err == 0)
		err = store_open(&config, &s, diag);
	for (size_t i = 0; err >= 0 && i < names->count; i++) {
		err = restore(s, h, &names->list[i]);
		*ret_restored += err > 0;
	}
	close_err = store_close(s);
	history_close(h);
	if (err >= 0)
		err = close_err;
	return err;
}
