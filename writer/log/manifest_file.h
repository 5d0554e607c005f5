/* SPDX-License-Identifier: MIT */
/* The file MANIFEST of a log's directory, and the point at which the set of files changes: a new
 * MANIFEST replaces the old one by one rename.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_MANIFEST_FILE_H
#define FREYJAFS_WRITER_LOG_MANIFEST_FILE_H

#include "codec/manifest.h"
#include "writer/base/diag.h"
#include "writer/base/io.h"
#include "writer/log/names.h"

/* Reads MANIFEST in 'dir_fd' ('dir' is for messages).  Returns 1 and stores its content, which the
 * caller frees with manifest_free(); 0 if there is no MANIFEST; or -errno with the reason in
 * 'diag': -EBADMSG if it is damaged or has impossible content, -EPROTONOSUPPORT if a later version
 * has written it. */
int manifest_file_read(struct io *io, int dir_fd, const char *dir, struct manifest *ret,
		       struct diag *diag) WARN_UNUSED;

/* Replaces MANIFEST by a new one and makes that durable.  Returns 0 or -errno, and in any case
 * stores whether the new one has the name.  On failure without the name nothing has changed.  On
 * failure with the name the sync of the directory has failed: a power cut may leave either of the
 * two, so the log must not continue.  -EINVAL, -EFBIG if a reader would refuse it; then nothing was
 * written. */
int manifest_file_write(struct io *io, int dir_fd, const struct manifest *m,
			bool *ret_replaced) WARN_UNUSED;

#endif
