/* SPDX-License-Identifier: MIT */
#include "mount-helpers/freyjactl/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

void ctl_say(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "freyjactl: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
}

enum ctl_exit ctl_failed(int err, const char *what, const struct diag *diag)
{
	if (diag != NULL && diag->text[0] != '\0')
		ctl_say("%s", diag->text);
	else
		ctl_say("%s: %s", what, strerror(-err));
	switch (err) {
	case -EWOULDBLOCK:
		return CTL_IN_USE;
	case -EBADMSG:
	case -EIO:
		return CTL_DATA;
	default:
		return CTL_SYSTEM;
	}
}

enum ctl_exit ctl_open(const char *datadir, bool read_only, struct store **ret)
{
	const struct store_config config = {
		.dir_path = datadir,
		.fsync_interval_ns = 0, /* changes are durable when the program ends */
		.read_only = read_only,
		.uid = getuid(),
		.gid = getgid(),
		.umask = 022,
		.holder = "freyjactl",
	};
	struct diag diag = { "" };
	int err;

	if (!read_only && access(datadir, F_OK) < 0)
		return ctl_failed(-errno, datadir, NULL); /* only mounting makes a store */
	err = store_open(&config, ret, &diag);
	if (err < 0)
		return ctl_failed(err, datadir, &diag);
	if (diag.text[0] != '\0')
		ctl_say("%s", diag.text);
	return CTL_OK;
}

enum ctl_exit ctl_flush(enum ctl_exit status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	ctl_say("standard output: %s", strerror(errno));
	return status == CTL_OK ? CTL_SYSTEM : status;
}
