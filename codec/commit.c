/* SPDX-License-Identifier: MIT */
#include "codec/commit.h"

#include <string.h>

static enum meta_error decode_value(const struct record *rec, struct commit_record *ret)
{
	enum meta_error err;

	switch (ret->kind) {
	case META_ATTR:
		return meta_attr_decode(rec->value, rec->value_bytes, &ret->attr);
	case META_BASE:
		return meta_base_decode(rec->value, rec->value_bytes, &ret->base);
	case META_LINK:
		return meta_link_decode(rec->value, rec->value_bytes, &ret->move);
	case META_MOVE:
		return meta_move_decode(rec->value, rec->value_bytes, &ret->move);
	case META_PUBLISH:
		return meta_publish_decode(rec->value, rec->value_bytes, &ret->publish);
	case META_SEGMENT:
		return meta_segment_decode(rec->value, rec->value_bytes, &ret->segment);
	case META_EXTENT:
		err = meta_staging_id_decode(ret->path, ret->path_bytes, &ret->staging_id);
		if (err == META_OK)
			err = meta_extent_decode(rec->value, rec->value_bytes, &ret->extent);
		return err;
	}
	return META_ERROR_KIND; /* meta_parse_key() lets no other kind through */
}

enum meta_error commit_record_decode(const struct record *rec, uint32_t value_held_bytes,
				     struct commit_record *ret)
{
	enum meta_error err;

	ret->kind = 0;
	ret->unnameable = false;
	if (!meta_is_key(rec->key, rec->key_bytes)) {
		ret->path = rec->key;
		ret->path_bytes = rec->key_bytes;
		ret->value_bytes = rec->value_bytes;
		return META_OK;
	}
	err = meta_parse_key(rec->key, rec->key_bytes, &ret->kind, &ret->path, &ret->path_bytes);
	if (err != META_OK)
		return err;
	if (value_held_bytes < rec->value_bytes &&
	    (ret->kind != META_EXTENT || value_held_bytes < META_HOLE_BYTES))
		return META_ERROR_LONG;
	return decode_value(rec, ret);
}

static bool announces_unnameable(const struct commit_record *r)
{
	return r->kind == META_PUBLISH && (r->publish.flags & META_FLAG_UNNAMEABLE) != 0 &&
	       (r->publish.flags & META_FLAG_MORE) != 0;
}

static bool is_value(const struct commit_record *r)
{
	if (r->kind == META_PUBLISH)
		return (r->publish.flags & META_FLAG_DROPPED) != 0;
	return r->kind == 0 && r->value_bytes > 0;
}

bool commit_resolve_unnameable(struct commit_record *records, size_t count)
{
	const struct commit_record *announced = NULL;

	for (size_t i = 0; i < count; i++) {
		struct commit_record *r = &records[i];

		if (announces_unnameable(r)) {
			announced = r;
		} else if (announced != NULL && is_value(r) &&
			   r->path_bytes == announced->path_bytes &&
			   memcmp(r->path, announced->path, r->path_bytes) == 0) {
			r->unnameable = true;
			announced = NULL;
		}
	}
	return announced == NULL;
}

/* The directories come first, so that no other record removes one that only its keys kept; then
 * what moves and puts; then the attributes of the files that are there now; and the directories
 * once more, because making and moving things in them has changed their times. */
enum phase {
	PHASE_DIRECTORIES,
	PHASE_CONTENT,
	PHASE_FILES,
	PHASE_TIMES,
	PHASE_COUNT,
};

static bool is_in_phase(const struct commit_record *r, unsigned int phase)
{
	if (r->kind != META_ATTR)
		return phase == PHASE_CONTENT;
	if (r->attr.type == META_TYPE_DIRECTORY)
		return phase == PHASE_DIRECTORIES || phase == PHASE_TIMES;
	return phase == PHASE_FILES;
}

bool commit_next(const struct commit_record *records, size_t count, struct commit_step *step)
{
	for (; step->phase < PHASE_COUNT; step->phase++, step->next = 0) {
		while (step->next < count) {
			step->index = step->next++;
			if (is_in_phase(&records[step->index], step->phase))
				return true;
		}
	}
	return false;
}
