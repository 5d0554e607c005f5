/* SPDX-License-Identifier: MIT */
/* Opening the store for a mount: says who has it, and waits for a holder that has been unmounted
 * and is still closing it.  Threads: one at a time. */
#ifndef FREYJAFS_FUSE_DATADIR_H
#define FREYJAFS_FUSE_DATADIR_H

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
 * not about to be given back. */
int datadir_open(struct store_config *config, const char *mountpoint, struct store **ret,
		 struct diag *diag) WARN_UNUSED;

#endif
