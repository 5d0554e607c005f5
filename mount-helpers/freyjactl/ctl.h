/* SPDX-License-Identifier: MIT */
/* The parts that the commands of freyjactl share.  Each command returns an exit status; if it is
 * not CTL_OK, the command has printed the reason to standard error.  Threads: one. */
#ifndef FREYJAFS_MOUNT_HELPERS_FREYJACTL_CTL_H
#define FREYJAFS_MOUNT_HELPERS_FREYJACTL_CTL_H

#include <err.h>
#include <stdio.h>

#include "codec/compiler.h"
#include "mount-helpers/common/exit_status.h"
#include "writer/base/diag.h"
#include "writer/store.h"

/* Prints the error 'err' (-errno) of the store: the text of 'diag', or, if that is empty or NULL,
 * 'what' and the error.  Returns the exit status for it. */
enum ctl_exit ctl_failed(int err, const char *what, const struct diag *diag);

/* Prints "PATH: TEXT" to standard error, the path as keys are printed: an archive or a store may
 * name anything, also what a terminal obeys. */
void ctl_warn_path(const char *path, const char *text);

/* Opens the store in 'datadir'.  With 'read_only' it may be mounted meanwhile; without, this
 * process takes the store's lock.  The caller closes the store. */
enum ctl_exit ctl_open(const char *datadir, bool read_only, struct store **ret);

/* Opens the store in 'datadir' for many changes, which are durable when the store is closed, and
 * takes its lock.  Makes a store that is missing.  The caller closes the store. */
enum ctl_exit ctl_open_to_fill(const char *datadir, struct store **ret);

/* Prints that there is no key 'text'.  Returns CTL_NOT_FOUND. */
enum ctl_exit ctl_not_found(const char *text);

/* Makes names UTF-8 for libarchive, whatever the user's locale is.  It writes and reads names that
 * are no UTF-8 as they are. */
void ctl_set_locale(void);

/* Flushes standard output.  Returns 'status', or CTL_SYSTEM instead of CTL_OK if not everything
 * could be written. */
enum ctl_exit ctl_flush(enum ctl_exit status);

/* The commands.  'args' are the arguments after DATADIR; their number is within the limits of the
 * table of commands. */
enum ctl_exit ctl_log(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_ls(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_get(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_put(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_rm(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_stat(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_verify(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_compact(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_export(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_import(const char *datadir, char *const args[], int count);

#endif
