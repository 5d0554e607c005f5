/* SPDX-License-Identifier: MIT */
/* Opening the store for a mount: says who has it, and waits for a holder that has been unmounted
 * and is still closing it.  Threads: one at a time. */
#ifndef FREYJAFS_FUSE_DAEMON_DATADIR_H
#define FREYJAFS_FUSE_DAEMON_DATADIR_H

#include <stdbool.h>
#include <sys/types.h>

#include "codec/compiler.h"
#include "writer/store.h"

#define DATADIR_HOLDER_BYTES 4400

/* Who has a store, as it stands in DATADIR/lock: "pid 42 mounted on /mnt/x". */
struct datadir_holder {
	pid_t pid;
	char mountpoint[4096];
};

void datadir_holder_text(pid_t pid, const char *mountpoint, char buf[DATADIR_HOLDER_BYTES]);
bool datadir_holder_parse(const char *text, struct datadir_holder *ret);

/* As store_open(), with the holder's text made from 'mountpoint'.  -EWOULDBLOCK: it is in use, and
 * not about to be given back.  Where a new store is made in a directory of other files, 'diag' says
 * so, and 0 is returned. */
int datadir_open(struct store_config *config, const char *mountpoint, struct store **ret,
		 struct diag *diag) WARN_UNUSED;

/* Refuses a DATADIR that somebody else can have prepared: one that belongs to another user than
 * this process, or that others may write to, or with such a file or a symbolic link under one of
 * the store's names in it.  0 also where there is no DATADIR yet.  -EPERM, with 'diag'. */
int datadir_check_owner(const char *datadir, struct diag *diag) WARN_UNUSED;

#endif
