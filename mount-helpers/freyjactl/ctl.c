/* SPDX-License-Identifier: MIT */
#include "mount-helpers/freyjactl/ctl.h"

#include <errno.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include "mount-helpers/common/key_text.h"

#define FILL_BUFFER_BYTES (1 << 20)

enum ctl_exit ctl_failed(int err, const char *what, const struct diag *diag)
{
	if (diag != NULL && diag->text[0] != '\0')
		warnx("%s", diag->text);
	else
		warnx("%s: %s", what, strerror(-err));
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

void ctl_warn_path(const char *path, const char *text)
{
	(void)fprintf(stderr, "%s: ", program_invocation_short_name);
	key_text_print(stderr, path, strlen(path));
	(void)fprintf(stderr, ": %s\n", text);
}

static enum ctl_exit open_store(const struct store_config *config, struct store **ret)
{
	struct diag diag = { "" };
	int err = store_open(config, ret, &diag);

	if (err < 0)
		return ctl_failed(err, config->dir_path, &diag);
	if (diag.text[0] != '\0')
		warnx("%s", diag.text);
	return CTL_OK;
}

static struct store_config config_for(const char *datadir)
{
	return (struct store_config){
		.dir_path = datadir,
		.uid = getuid(),
		.gid = getgid(),
		.umask = 022,
		.holder = "freyjactl",
	};
}

enum ctl_exit ctl_open(const char *datadir, bool read_only, struct store **ret)
{
	struct store_config config = config_for(datadir);

	config.fsync_interval_ns = 0; /* changes are durable when the program ends */
	config.read_only = read_only;
	if (!read_only && access(datadir, F_OK) < 0)
		return ctl_failed(-errno, datadir,
				  NULL); /* only mounting and importing make a store */
	return open_store(&config, ret);
}

enum ctl_exit ctl_open_to_fill(const char *datadir, struct store **ret)
{
	struct store_config config = config_for(datadir);

	config.fsync_interval_ns = LOG_WRITER_NEVER; /* closing it makes all durable */
	config.buffer_size_bytes = FILL_BUFFER_BYTES;
	return open_store(&config, ret);
}

void ctl_set_locale(void)
{
	(void)setlocale(LC_CTYPE, "C.UTF-8");
}

enum ctl_exit ctl_flush(enum ctl_exit status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	warnx("standard output: %s", strerror(errno));
	return status == CTL_OK ? CTL_SYSTEM : status;
}
