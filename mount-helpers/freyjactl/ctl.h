/* SPDX-License-Identifier: MIT */
/* freyjactl: what its commands share.  Each command returns an exit status and has said on standard
 * error why it is not 0. */
#ifndef FREYJAFS_MOUNT_HELPERS_FREYJACTL_CTL_H
#define FREYJAFS_MOUNT_HELPERS_FREYJACTL_CTL_H

#include <stdio.h>

#include "codec/compiler.h"
#include "mount-helpers/common/exit_status.h"
#include "writer/base/diag.h"
#include "writer/store.h"

/* Prints "freyjactl: " and a line. */
void ctl_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* The exit status of an error of the store, and the line for it: 'diag' or, if that is empty,
 * 'what' and the error. */
enum ctl_exit ctl_failed(int err, const char *what, const struct diag *diag);

/* Opens the store in 'datadir': read only, also beside a mount; or to change it, with its lock. */
enum ctl_exit ctl_open(const char *datadir, bool read_only, struct store **ret);

/* Ends output to standard output; CTL_SYSTEM if not all of it could be written. */
enum ctl_exit ctl_flush(enum ctl_exit status);

/* The commands.  'args' are what stands behind DATADIR, as many as the table says. */
enum ctl_exit ctl_log(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_ls(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_get(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_put(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_rm(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_stat(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_verify(const char *datadir, char *const args[], int count);
enum ctl_exit ctl_compact(const char *datadir, char *const args[], int count);

#endif
