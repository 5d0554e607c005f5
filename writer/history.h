/* SPDX-License-Identifier: MIT */
/* History: the versions of files that are still in the log.
 *
 * The log is read once more, read-only (log_writer.h) and also while a writer has it open, into a
 * graph of all files and directories that ever existed and the names that they had, with the time
 * of each name.  A path leads to every file that ever had it.  From a path, a file shows its
 * versions up to the time when it lost that name, including versions from before it got the name,
 * under other names.
 *
 * The graph is made on request, needs about 300 bytes of memory for each name and each version, and
 * is extended from where it stopped when the log has grown.
 *
 * Threads: one at a time, except that any thread may use versions (history_version) while another
 * uses the history.  Errors: 0 or -errno.  Nothing here changes the log. */
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

struct history;		/* defined in history/history.c */
struct history_version; /* one version of a file, open for reading; defined in history/history.c */

struct history_config {
	const char *dir_path; /* DATADIR */
	uint64_t until_ns;    /* later commits are left out, ns since the epoch; 0: none */
	bool accept_missing_segments;
	uint32_t uid, gid; /* of nodes whose log record has no owner */
	mode_t umask;
	struct io *io;	    /* NULL: the operating system */
	trouble_fn trouble; /* called for versions that cannot be read; may be NULL */
	void *trouble_arg;
};

/* Reads the log.  Stores a history that the caller owns and closes with history_close().
 * 'config->dir_path' is copied.  Errors as log_writer_open_replay() with 'read_only'; 'diag' (may
 * be NULL) has the reason. */
int history_open(const struct history_config *config, struct history **ret,
		 struct diag *diag) WARN_UNUSED;
void history_close(struct history *h); /* NULL is a no-op; open versions stay valid */

/* Adds the commits since the last read.  If compaction has changed the log, it is read again; the
 * versions that compaction has dropped are then gone from the history, too.  Errors as
 * history_open(). */
int history_refresh(struct history *h, struct diag *diag) WARN_UNUSED;

/* Attributes of one version of a file. */
struct history_attr {
	/* The version's name: the timestamp of its commit, or the next free one if two versions of
	 * one path have the same, as in a base. */
	uint64_t timestamp_ns;
	mode_t mode; /* S_IFREG or S_IFLNK, and permissions */
	uint32_t uid, gid;
	uint64_t size_bytes;
	int64_t mtime_ns;
	/* The segment and the offset in its file of the record that made the version: */
	uint64_t segment, file_offset;
	uint64_t pieces; /* number of records that hold its bytes */
	bool available;	 /* all its bytes are still in the log */
};

/* An entry of a path: a name below it, or a version of a file that had it.  Borrowed from the
 * history. */
struct history_entry {
	const char *name; /* NULL: a version */
	size_t name_bytes;
	struct history_attr version;
};

/* Called for each entry, which is valid until the callback returns.  If it does not return 0, the
 * listing stops and returns that value. */
typedef int (*history_list_fn)(void *arg, const struct history_entry *entry);

/* Calls 'fn' for every name that ever existed in the directories that had this path ("": the root),
 * in any order, and for every version of the files that had it, oldest first.  -ENOENT if nothing
 * ever had the path. */
int history_list(struct history *h, const char *path, size_t path_bytes, history_list_fn fn,
		 void *arg) WARN_UNUSED;
/* Returns whether something ever had this path. */
bool history_has(struct history *h, const char *path, size_t path_bytes);

#define HISTORY_STILL UINT64_MAX /* the end of a time that has not ended */

/* Stores when the last directory that had this path lost it, or HISTORY_STILL.  -ENOENT: no
 * directory ever had it. */
int history_directory_until(struct history *h, const char *path, size_t path_bytes,
			    uint64_t *ret_until_ns) WARN_UNUSED;

/* --- one version --- */

/* Opens the version with that name of a file that had this path.  Stores a version that the caller
 * owns and closes with history_version_close().  -ENOENT if no such version exists, or its bytes
 * are gone.  -ENOMEM. */
int history_version_open(struct history *h, const char *path, size_t path_bytes,
			 uint64_t timestamp_ns, struct history_version **ret) WARN_UNUSED;
void history_version_close(struct history_version *v); /* NULL is a no-op */
void history_version_attr(const struct history_version *v, struct history_attr *ret);
/* Reads up to 'n' bytes from byte 'offset' on.  Returns their number, fewer than 'n' only at the
 * end, or -errno.  -EIO if the CRC of a record is wrong.  Any thread. */
ssize_t history_version_read(struct history_version *v, void *buf, size_t n,
			     uint64_t offset) WARN_UNUSED;
/* Returns whether 'offset', which must be below the size, is in a hole, and stores the hole's end.
 * Any thread. */
bool history_version_is_hole(struct history_version *v, uint64_t offset,
			     uint64_t *ret_end) WARN_UNUSED;
/* Copies the target of a symlink, without a NUL.  Returns its size, or -errno: -EINVAL (not a
 * symlink), -ERANGE ('buf' is too small). */
ssize_t history_version_target(const struct history_version *v, char *buf, size_t buf_bytes);

#endif
