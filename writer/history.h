/* SPDX-License-Identifier: MIT */
/* History: which versions of which files the log still has.
 *
 * The log is read once more, beside whoever writes it (read only, log_writer.h), into a graph of
 * all files and directories that there ever were and the names they had, with the time of each
 * name. A path leads to every file that ever had it.  From a path a file shows the versions that it
 * had up to when it lost that name: those from before it came there, under other names, too.
 *
 * It is made when it is asked for, takes about 300 bytes of memory for each name and each version,
 * and goes on where it stopped when the log has grown.
 *
 * Threads: one at a time, but versions (history_version) can be used by any while the history is.
 */
#ifndef FREYJAFS_WRITER_HISTORY_H
#define FREYJAFS_WRITER_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "codec/compiler.h"
#include "writer/base/diag.h"
#include "writer/base/io.h"
#include "writer/base/trouble.h"

struct history;		/* opaque, see history/history.c */
struct history_version; /* opaque; one version of a file, to be read */

struct history_config {
	const char *dir_path; /* DATADIR */
	uint64_t until_ns;    /* 0, or: what is later is left out */
	bool accept_missing_segments;
	uint32_t uid, gid; /* of what has no other in the log */
	mode_t umask;
	struct io *io;	    /* NULL: the operating system */
	trouble_fn trouble; /* told of versions that cannot be read; may be NULL */
	void *trouble_arg;
};

/* Reads the log.  Errors as of log_writer_open_replay() with 'read_only'.  The caller owns what is
 * stored.  'config->dir_path' is copied. */
int history_open(const struct history_config *config, struct history **ret,
		 struct diag *diag) WARN_UNUSED;
void history_close(struct history *h); /* NULL is a no-op; versions live on */

/* Takes in what was committed since.  Where compaction has changed the log it is read anew: then
 * what was dropped is gone from the history, too. */
int history_refresh(struct history *h, struct diag *diag) WARN_UNUSED;

/* What one version of a file was. */
struct history_attr {
	/* Its name: the timestamp of its commit, or the next free one where two versions of one
	 * path share it, as in a base. */
	uint64_t timestamp_ns;
	mode_t mode; /* S_IFREG or S_IFLNK, and permissions */
	uint32_t uid, gid;
	uint64_t size_bytes;
	int64_t mtime_ns;
	/* Where the record stands that made it: */
	uint64_t segment, file_offset;
	uint64_t pieces; /* records that have its bytes */
	bool available;	 /* all its bytes are still in the log */
};

/* An entry of a path: a name below it, or a version of a file that had it. */
struct history_entry {
	const char *name; /* NULL: a version */
	size_t name_bytes;
	struct history_attr version;
};

/* Not 0 stops the listing, which returns it.  The entry lives until it returns. */
typedef int (*history_list_fn)(void *arg, const struct history_entry *entry);

/* Calls 'fn' for every name that ever was in the directories that had this path ("": the root), in
 * any order, and for every version of the files that had it, oldest first.  -ENOENT: nothing ever
 * had it. */
int history_list(struct history *h, const char *path, size_t path_bytes, history_list_fn fn,
		 void *arg) WARN_UNUSED;
/* Says whether something ever had this path. */
bool history_has(struct history *h, const char *path, size_t path_bytes);

#define HISTORY_STILL UINT64_MAX /* the end of a time that has not ended */

/* Stores when the last directory that had this path lost it, or HISTORY_STILL.  -ENOENT: no
 * directory ever had it. */
int history_directory_until(struct history *h, const char *path, size_t path_bytes,
			    uint64_t *ret_until_ns) WARN_UNUSED;

/* --- one version --- */

/* Opens the version of that time of a file that had this path.  -ENOENT: there is none, or its
 * bytes are gone.  -ENOMEM. */
int history_version_open(struct history *h, const char *path, size_t path_bytes,
			 uint64_t timestamp_ns, struct history_version **ret) WARN_UNUSED;
void history_version_close(struct history_version *v); /* NULL is a no-op */
void history_version_attr(const struct history_version *v, struct history_attr *ret);
/* Reads up to 'n' bytes.  Returns how many, fewer only at the end, or -errno.  -EIO: the CRC of a
 * record is wrong.  Any thread. */
ssize_t history_version_read(struct history_version *v, void *buf, size_t n,
			     uint64_t offset) WARN_UNUSED;
/* Returns whether there is a hole at 'offset', which is below the size, and where it ends.  Any
 * thread. */
bool history_version_is_hole(struct history_version *v, uint64_t offset,
			     uint64_t *ret_end) WARN_UNUSED;
/* Copies the target of a symlink.  Returns its size, or -errno: -EINVAL, -ERANGE. */
ssize_t history_version_target(const struct history_version *v, char *buf, size_t buf_bytes);

#endif
