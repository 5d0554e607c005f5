/* SPDX-License-Identifier: MIT */
#include "writer/log/manifest_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Reads the whole file into memory that the caller frees. */
static int read_text(struct io *io, int fd, char **ret, size_t *ret_bytes)
{
	struct io_stat st = { 0 };
	int err = io_stat(io, fd, &st);
	ssize_t got;
	char *text;

	if (err < 0)
		return err;
	if (!S_ISREG(st.mode))
		return -EINVAL;
	if (st.size_bytes > MANIFEST_BYTES_MAX)
		return -EBADMSG;
	text = malloc((size_t)st.size_bytes + 1);
	if (text == NULL)
		return -ENOMEM;
	got = io_pread_all(io, fd, text, (size_t)st.size_bytes, 0);
	if (got < 0) {
		free(text);
		return (int)got;
	}
	*ret = text;
	*ret_bytes = (size_t)got;
	return 0;
}

static int error_number(enum manifest_error error)
{
	switch (error) {
	case MANIFEST_OK:
		return 0;
	case MANIFEST_ERROR_MEMORY:
		return -ENOMEM;
	case MANIFEST_ERROR_VERSION:
		return -EPROTONOSUPPORT;
	case MANIFEST_ERROR_DAMAGED:
	case MANIFEST_ERROR_VALUE:
		break;
	}
	return -EBADMSG;
}

int manifest_file_read(struct io *io, int dir_fd, const char *dir, struct manifest *ret,
		       struct diag *diag)
{
	enum manifest_error error = MANIFEST_ERROR_DAMAGED;
	int fd = io_open(io, dir_fd, MANIFEST_NAME, O_RDONLY, 0), err;
	size_t bytes = 0;
	char *text = NULL;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return diag_set(diag, fd, "%s/" MANIFEST_NAME ": cannot open it: %s", dir,
				strerror(-fd));
	err = read_text(io, fd, &text, &bytes);
	(void)io_close(io, &fd); /* read-only */
	if (err == 0) {
		error = manifest_parse(text, bytes, ret);
		err = error_number(error);
	}
	free(text);
	if (err == 0)
		return 1;
	if (err == -EBADMSG || err == -EPROTONOSUPPORT)
		return diag_set(diag, err, "%s/" MANIFEST_NAME ": %s; nothing was changed; %s", dir,
				manifest_error_text(error),
				err == -EBADMSG ? "restore the file from a copy, or make it anew "
						  "from the segments with fsck.freyjafs -y"
						: "mount with that version");
	return diag_set(diag, err, "%s/" MANIFEST_NAME ": cannot read it: %s", dir,
			err == -EINVAL ? "not a regular file" : strerror(-err));
}

/* Writes the text under the temporary name and makes it durable.  Uses blocks that the file has
 * already: it may have been a reserve. */
static int write_temp(struct io *io, int dir_fd, const char *text, size_t bytes)
{
	int fd = io_open(io, dir_fd, MANIFEST_TEMP_NAME, O_RDWR | O_CREAT, 0600);
	int err, close_err;

	if (fd < 0)
		return fd;
	err = io_pwrite_all(io, fd, text, bytes, 0);
	if (err == 0)
		err = io_truncate(io, fd, bytes);
	if (err == 0)
		err = io_fsync(io, fd);
	close_err = io_close(io, &fd);
	return err < 0 ? err : close_err;
}

/* Formats 'm' as text in memory that the caller frees, and reads it as the next open does: a
 * MANIFEST that this open would refuse must not replace a good one. */
static int format(const struct manifest *m, char **ret, size_t *ret_bytes)
{
	enum manifest_error error;
	struct manifest again;
	size_t bytes = 0;
	char *text = manifest_format(m, &bytes);

	if (text == NULL)
		return -ENOMEM;
	error = bytes > MANIFEST_BYTES_MAX ? MANIFEST_ERROR_VALUE
					   : manifest_parse(text, bytes, &again);
	if (error != MANIFEST_OK) {
		free(text);
		if (error == MANIFEST_ERROR_MEMORY)
			return -ENOMEM;
		return bytes > MANIFEST_BYTES_MAX ? -EFBIG : -EINVAL;
	}
	manifest_free(&again);
	*ret = text;
	*ret_bytes = bytes;
	return 0;
}

int manifest_file_write(struct io *io, int dir_fd, const struct manifest *m, bool *ret_replaced)
{
	size_t bytes = 0;
	char *text = NULL;
	int err = format(m, &text, &bytes);

	*ret_replaced = false;
	if (err < 0)
		return err;
	err = write_temp(io, dir_fd, text, bytes);
	free(text);
	if (err == 0)
		err = io_replace(io, dir_fd, MANIFEST_TEMP_NAME, MANIFEST_NAME, ret_replaced);
	if (!*ret_replaced)
		(void)!io_unlink(io, dir_fd, MANIFEST_TEMP_NAME); /* or the next overwrites it */
	return err;
}
