/* SPDX-License-Identifier: MIT */
/* Opening the store for a mount: reports which process holds it, and waits for a holder that has
 * been unmounted and is still closing it.  Threads: one at a time. */
#ifndef FREYJAFS_FUSE_DAEMON_DATADIR_H
#define FREYJAFS_FUSE_DAEMON_DATADIR_H

#include <stdbool.h>
#include <sys/types.h>

#include "codec/compiler.h"
#include "writer/store.h"

#define DATADIR_HOLDER_BYTES 4400

/* The holder of a store, as DATADIR/lock names it: "pid 42 mounted on /mnt/x". */
struct datadir_holder {
	pid_t pid;
	char mountpoint[4096];
};

/* Format and parse that text. datadir_holder_parse() returns false if it is not such a text. */
void datadir_holder_text(pid_t pid, const char *mountpoint, char buf[DATADIR_HOLDER_BYTES]);
bool datadir_holder_parse(const char *text, struct datadir_holder *ret);

/* As store_open(), with the holder's text made from 'mountpoint'; waits up to 10 s for a holder
 * that is closing the store.  -EWOULDBLOCK: the store is in use.  If a new store is made in a
 * directory with other files, returns 0 and says so in 'diag'. */
int datadir_open(struct store_config *config, const char *mountpoint, struct store **ret,
		 struct diag *diag) WARN_UNUSED;

/* Refuses a DATADIR that another user can have prepared: one that belongs to another user than this
 * process, or that others may write to; and one in which a name of the store's is such a file or a
 * symbolic link.  Returns 0 (also if DATADIR does not exist yet), or -errno with a message in
 * 'diag'; -EPERM: refused. */
int datadir_check_owner(const char *datadir, struct diag *diag) WARN_UNUSED;

#endif
