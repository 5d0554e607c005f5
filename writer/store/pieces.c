/* SPDX-License-Identifier: MIT */
/* Pieces: all bytes of the log that a store reads, or that a replay of its log needs. */
#include <errno.h>

#include "writer/index/node_content.h"
#include "writer/store/store_private.h"

bool store_each_piece(struct store *s, uint64_t *cursor, size_t nodes, bool changes,
		      content_piece_fn fn, void *arg)
{
	bool more;

	commit_lock(s);
	more = keydir_each_piece(s->keydir, cursor, nodes, changes, fn, arg);
	if (!more && s->kept != NULL)
		content_map_each(s->kept, fn, arg);
	commit_unlock(s);
	return more;
}

int store_reserve_kept(struct store *s, size_t count)
{
	int err;

	commit_lock(s);
	if (s->kept == NULL)
		s->kept = content_map_new(false);
	err = s->kept == NULL ? -ENOMEM : content_map_reserve(s->kept, count);
	commit_unlock(s);
	return err;
}

void store_keep_piece(struct store *s, const struct value_position *value, uint64_t value_offset,
		      uint64_t bytes)
{
	struct content_piece piece = {
		.bytes = bytes,
		.value = *value,
		.value_offset = value_offset,
	};

	commit_lock(s);
	piece.offset = content_map_size(s->kept);
	content_map_lay(s->kept, &piece);
	commit_unlock(s);
}

void store_wait_for_readers(struct store *s)
{
	read_gate_wait(&s->gate);
}
