/* SPDX-License-Identifier: MIT */
/* Reports of values that cannot be read or committed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "writer/index/paths.h"
#include "writer/store/store_private.h"

/* The last record that this thread could not read: a read passes through several layers, and only
 * the topmost knows the file. */
static _Thread_local struct {
	uint64_t position;
	const char *reason;
} bad;

int store_bad_record(const struct value_position *value, const char *reason)
{
	bad.position = value->key_bytes > 0 ? value->record_position : UINT64_MAX;
	bad.reason = reason;
	return -EIO;
}

int store_record_error(const struct value_position *value, int err)
{
	if (err == 0 || err == -EAGAIN || err == -ENOMEM)
		return err;
	return store_bad_record(value,
				err == -EBADMSG ? "the CRC does not match" : strerrordesc_np(-err));
}

void store_tell(struct store *s, const struct trouble *t)
{
	if (s->trouble != NULL)
		s->trouble(s->trouble_arg, t);
}

static void tell_of_node(struct store *s, struct node *n, struct trouble *t)
{
	char *path = malloc(PATH_BYTES_MAX);

	if (path != NULL && n != NULL)
		t->path_bytes = keydir_path_of(s->keydir, n, path);
	t->path = path;
	s->trouble(s->trouble_arg, t);
	free(path);
}

void store_tell_unreadable(struct store *s, struct node *n)
{
	struct trouble t = { .kind = TROUBLE_READ, .reason = bad.reason };

	if (s->trouble == NULL)
		return;
	t.segment = log_writer_locate(s->log, bad.position, &t.file_offset);
	tell_of_node(s, n, &t);
}

void store_tell_not_committed(struct store *s, struct node *n, int err)
{
	struct trouble t = { .kind = TROUBLE_COMMIT, .reason = strerrordesc_np(-err) };

	if (s->trouble != NULL)
		tell_of_node(s, n, &t);
}

void store_tell_not_rotated(void *arg, int err)
{
	const struct trouble t = { .kind = TROUBLE_ROTATE, .reason = strerrordesc_np(-err) };
	struct store *s = arg;

	store_tell(s, &t);
}
