/* SPDX-License-Identifier: MIT */
/* fsck.freyjafs, second part: what is whole has to fit, too.  The log is replayed as it will be
 * when what is lost is taken out of its files, before anything is written.  Found are commits that
 * a mount would refuse, or that would show a content that never was, because something before them
 * was lost; and in the end all names whose content cannot be read whole. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_REPLAY_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_REPLAY_H

#include "mount-helpers/fsck/fsck.h"
#include "writer/base/diag.h"
#include "writer/base/io.h"

/* Replays the files, which are in the order of the log, and fills their edits.  -EPROTONOSUPPORT: a
 * record that this version does not know; 'diag' says which.  -ENOMEM, -errno of a read. */
int fsck_replay(struct io *io, struct fsck_file *files, size_t count, struct fsck_names *ret,
		struct diag *diag) WARN_UNUSED;

#endif
