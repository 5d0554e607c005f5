/* SPDX-License-Identifier: MIT */
/* The second part of fsck.freyjafs: checks that the undamaged commits fit together.  It replays the
 * log in the form that it will have without its lost parts, before anything is written.  It finds
 * commits that a mount would refuse, or that would show a content that never existed, because
 * something before them was lost; and in the end all names whose content cannot be read whole. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_REPLAY_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_REPLAY_H

#include "mount-helpers/fsck/fsck.h"
#include "writer/base/diag.h"
#include "writer/base/io.h"

/* Replays the files, which must be in the order of the log, and fills in their edits and the names
 * that cannot be read whole.  Returns 0 or -errno.  -EPROTONOSUPPORT: the log has a record that
 * this version does not know, named in 'diag'.  -ENOMEM, or -errno of a read. */
int fsck_replay(struct io *io, struct fsck_file *files, size_t count, struct fsck_names *ret,
		struct diag *diag) WARN_UNUSED;

#endif
