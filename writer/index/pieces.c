/* SPDX-License-Identifier: MIT */
#include "writer/index/pieces.h"

#include "writer/index/keydir_private.h"

static void node_pieces(struct keydir *k, struct node *n, bool changes, content_piece_fn fn,
			void *arg)
{
	uint64_t before = changes ? node_live_bytes(n) : 0;
	struct content_piece piece;

	if (node_content(n) != NULL) {
		content_map_each(node_content(n), fn, arg);
	} else if (n->value_bytes > 0) {
		piece = node_whole_piece(n);
		if (fn(arg, &piece))
			node_set_position(n, &piece.value);
	}
	if (changes && n->name != 0)
		k->stats.live_bytes += node_live_bytes(n) - before;
}

static bool each_piece_locked(struct keydir *k, uint32_t *cursor, size_t nodes, bool changes,
			      content_piece_fn fn, void *arg) REQUIRES_SHARED(keydir_class)
{
	struct node *n = NULL;

	for (; nodes > 0 && (n = keydir_each_node(k, cursor)) != NULL; nodes--)
		if (node_is_file(n))
			node_pieces(k, n, changes, fn, arg);
	return n != NULL;
}

bool keydir_each_piece(struct keydir *k, uint64_t *cursor, size_t nodes, bool changes,
		       content_piece_fn fn, void *arg)
{
	/* The cursor has a position in the slab and the number of copies at the beginning. */
	uint32_t at = (uint32_t)*cursor, copies = (uint32_t)(*cursor >> 32);
	bool more;

	if (at == 0)
		copies = k->content_copies;
	if (changes)
		more = WITH_LOCK(keydir_write, k,
				 each_piece_locked(k, &at, nodes, changes, fn, arg));
	else
		more = WITH_LOCK(keydir_read, k,
				 each_piece_locked(k, &at, nodes, changes, fn, arg));
	if (!more && copies != k->content_copies) {
		at = 0; /* the other node may be one that was passed before */
		more = true;
	}
	*cursor = (uint64_t)copies << 32 | at;
	return more;
}
