/* SPDX-License-Identifier: MIT */
/* The set of files that make up a log, and its changes.  MANIFEST lists these files
 * (docs/FORMAT.md, section 14), and each change is one new MANIFEST: before its rename the old set
 * is the log, after it the new one.
 *
 * So a file must be complete and durable before MANIFEST lists it, and until then it has another
 * name.  It gets its listed name right after the change; if the process is killed in between, the
 * next open finds it under the other name (segments_open.c).  Replaced files are listed as
 * obsolete, and removed once the change is durable: no other file is ever removed. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

#include "writer/log/full_disk.h"
#include "writer/log/hint_file.h"
#include "writer/log/log_writer_private.h"
#include "writer/log/manifest_file.h"

#define GENERATIONS_TRIED 1000 /* names of generations that other files have */

/* --- one change --- */

/* Stores the durable position: the end of a record, like the mark. */
static void note_durable(struct log_writer *w, struct manifest *m)
{
	struct segment seg;
	uint64_t end;

	log_lock(w);
	end = w->durable_record_end;
	m->durable_number = w->active_number - w->rotated_count;
	m->durable_offset = 0;
	if (w->rotated_count == 0 && end >= w->active_start)
		m->durable_offset = end - w->active_start;
	else if (segments_by_number(&w->segments, m->durable_number, &seg) && end >= seg.start)
		m->durable_offset = end - seg.start;
	log_unlock(w);
}

static void poison(struct log_writer *w, int err)
{
	LOCKED(log, w, log_writer_poison_locked(w, err));
}

/* Makes the names of all files durable. */
static int sync_names(struct log_writer *w)
{
	int err = io_fsync(w->io, w->dir_fd);

	if (err < 0)
		poison(w, err);
	return err;
}

/* Writes the new MANIFEST.  On a full disk, or without an inode, it is written into the reserve,
 * which is made again from the inode and the blocks of the old MANIFEST. */
static int write_manifest_locked(struct log_writer *w, const struct manifest *m, bool *ret_replaced)
	REQUIRES(w->set_lock, log_set_class)
{
	struct reserve *r = &w->set_reserve;
	int err = manifest_file_write(w->io, w->dir_fd, m, ret_replaced), fd = -ENOENT;

	if (log_is_full(err) && !*ret_replaced)
		fd = reserve_take(r, MANIFEST_TEMP_NAME);
	if (fd >= 0) {
		(void)io_close(w->io, &fd); /* an empty file that only keeps space */
		err = manifest_file_write(w->io, w->dir_fd, m, ret_replaced);
	}
	if (r->fd < 0)
		reserve_fill(r); /* before another file takes the inode of the old MANIFEST */
	else if (err == 0)
		reserve_refill(r);
	return err;
}

/* Replaces the present MANIFEST by 'm' and takes ownership of 'm'.  On failure 'm' stays the
 * caller's, and nothing has changed unless '*ret_replaced'. */
static int change_locked(struct log_writer *w, struct manifest *m, bool *ret_replaced)
	REQUIRES(w->set_lock, log_set_class)
{
	int err;

	note_durable(w, m);
	err = write_manifest_locked(w, m, ret_replaced);
	if (!*ret_replaced)
		return err;
	if (err < 0)
		poison(w, err);
	manifest_free(&w->manifest);
	w->manifest = *m;
	*m = (struct manifest){ .count = 0 };
	return err;
}

static bool is_log_poisoned(struct log_writer *w)
{
	return WITH_LOCK(log, w, w->poison < 0);
}

/* --- sealing --- */

static struct manifest_segment entry_of(const struct segment *seg)
{
	return (struct manifest_segment){ .id = { seg->number, seg->generation },
					  .bytes = seg->bytes,
					  .facts = seg->facts,
					  .is_base = seg->is_base };
}

/* Adds to 'm' the segments to be listed, and digests that are known now.  Stores whether there were
 * any. */
static int add_segments(struct log_writer *w, struct manifest *m, uint64_t below, bool *ret_changed)
{
	struct segment seg;
	size_t at = 0;

	*ret_changed = false;
	for (size_t i = 0; segments_get(&w->segments, i, &seg); i++) {
		struct manifest_segment entry = entry_of(&seg);

		/* Both are ordered by number; missing files stay listed. */
		while (at < m->count && m->segments[at].id.number < seg.number)
			at++;
		if (at < m->count) {
			if (seg.facts.has_digest && !m->segments[at].facts.has_digest) {
				m->segments[at].facts = seg.facts;
				*ret_changed = true;
			}
			continue;
		}
		if (seg.number >= below)
			break;
		if (!manifest_add(m, &entry))
			return -ENOMEM;
		m->active_number = seg.number + 1;
		*ret_changed = true;
	}
	return 0;
}

/* Gives listed, rotated segments the names under which they are listed. */
static int name_listed(struct log_writer *w, uint64_t below)
{
	char rotated[SEGMENT_NAME_BYTES], sealed[SEGMENT_NAME_BYTES];
	struct segment seg;
	int err = 0;

	for (size_t i = 0; err == 0 && segments_get(&w->segments, i, &seg); i++) {
		if (seg.rotated_bytes == 0 || seg.number >= below)
			continue;
		segment_file_name(&seg, rotated);
		segment_name((struct segment_id){ seg.number, seg.generation }, sealed);
		err = io_rename(w->io, w->dir_fd, rotated, sealed);
		if (err == 0)
			segments_seal(&w->segments, seg.number);
	}
	return err;
}

static int list_locked(struct log_writer *w) REQUIRES(w->set_lock, log_set_class)
{
	bool changed, replaced = false;
	struct manifest m;
	uint64_t durable;
	int err;

	durable = WITH_LOCK(log, w, w->active_number - w->rotated_count);
	if (!manifest_copy(&w->manifest, &m))
		return -ENOMEM;
	err = add_segments(w, &m, durable, &changed);
	if (err == 0 && changed)
		err = change_locked(w, &m, &replaced);
	manifest_free(&m);
	return err < 0 ? err : name_listed(w, w->manifest.active_number);
}

int log_set_list(struct log_writer *w)
{
	if (!w->has_manifest)
		return 0;
	if (is_log_poisoned(w))
		return -EIO;
	return WITH_LOCK(log_set, w, list_locked(w));
}

/* --- the first MANIFEST --- */

void log_set_take(struct log_writer *w) NO_THREAD_SAFETY
{
	w->has_manifest = true;
	w->numbered_from = w->manifest.numbered_from;
	memcpy(w->store_id, w->manifest.store_id, sizeof(w->store_id));
}

struct folded {
	struct manifest *m;
	uint64_t base_number;
};

/* Lists a file that is folded into the base, but that the fold has not removed yet. */
static int add_folded(void *arg, const char *name)
{
	struct folded *f = arg;
	struct segment_id id;

	if (!segment_name_parse(name, &id) || id.number >= f->base_number)
		return 0;
	for (size_t i = 0; i < f->m->obsolete_count; i++)
		if (f->m->obsolete[i].number == id.number)
			return 0; /* io_list() may repeat */
	return manifest_add_obsolete(f->m, id) ? 0 : -ENOMEM;
}

static int fill_first(struct log_writer *w, struct manifest *m)
{
	struct folded folded = { .m = m, .base_number = w->segments.base_number };
	struct segment seg;

	if (getrandom(m->store_id, sizeof(m->store_id), 0) != (ssize_t)sizeof(m->store_id))
		return -EIO;
	m->active_number = SEGMENT_FIRST_NUMBER;
	/* Recovery has made all segments durable, also those without their final names. */
	for (size_t i = 0; segments_get(&w->segments, i, &seg); i++) {
		struct manifest_segment entry = entry_of(&seg);

		if (!manifest_add(m, &entry))
			return -ENOMEM;
		m->active_number = seg.number + 1;
	}
	return io_list(w->io, w->dir_fd, add_folded, &folded);
}

int log_set_create(struct log_writer *w)
{
	struct manifest m = { .count = 0 };
	bool replaced = false;
	int err = fill_first(w, &m);

	m.numbered_from = WITH_LOCK(log, w, w->active_number + 1);
	log_set_lock(w);
	if (err == 0)
		err = change_locked(w, &m, &replaced);
	log_set_unlock(w);
	manifest_free(&m);
	if (err == 0)
		log_set_take(w);
	return err;
}

/* --- replacing --- */

bool log_writer_sealed(struct log_writer *w, size_t index, struct segment *ret)
{
	return segments_get(&w->segments, index, ret) && ret->rotated_bytes == 0;
}

/* Returns whether a file has the name of that segment. */
static bool is_taken(struct log_writer *w, struct segment_id id)
{
	char name[SEGMENT_NAME_BYTES];
	int fd;

	segment_name(id, name);
	fd = io_open(w->io, w->dir_fd, name, O_RDONLY, 0);
	if (fd < 0)
		return fd != -ENOENT;
	(void)io_close(w->io, &fd); /* read-only */
	return true;
}

int log_writer_new_segment(struct log_writer *w, uint64_t number, struct log_new_segment *ret)
{
	struct segment_id id = { .number = number };
	struct segment seg;

	if (!segments_by_number(&w->segments, number, &seg))
		return -EINVAL;
	id.generation = seg.generation + 1;
	while (is_taken(w, id) && id.generation < seg.generation + GENERATIONS_TRIED)
		id.generation++;
	*ret = (struct log_new_segment){ .number = number, .generation = id.generation, .fd = -1 };
	segment_temp_name(id, ret->name);
	return 0;
}

int log_writer_check_new(struct log_writer *w, struct log_new_segment *n, const atomic_bool *stop,
			 bool with_hint)
{
	char hint[SEGMENT_NAME_BYTES];
	struct hint_about about = { .segment = n->number,
				    .segment_bytes = n->bytes,
				    .segment_fd = n->fd,
				    .name = with_hint ? hint : NULL };

	hint_name_of((struct segment_id){ n->number, n->generation }, hint);
	if (hint_file_make(w->io, w->dir_fd, &about, stop, &n->facts))
		return 0;
	return stop != NULL && atomic_load(stop) ? -ECANCELED : -EIO;
}

void log_writer_drop_new(struct log_writer *w, struct log_new_segment *n)
{
	struct segment_id id = { n->number, n->generation };
	char hint[SEGMENT_NAME_BYTES];

	if (n->fd < 0)
		return;
	(void)!io_unlink(w->io, w->dir_fd, n->name);
	hint_name_of(id, hint);
	(void)!io_unlink(w->io, w->dir_fd, hint);
	(void)io_close(w->io, &n->fd);
}

static struct segment segment_of(const struct log_new_segment *n)
{
	return (struct segment){ .number = n->number,
				 .generation = n->generation,
				 .bytes = n->bytes,
				 .fd = n->fd,
				 .is_base = n->is_base,
				 .facts = n->facts };
}

/* Replaces the entries in 'm' by the new files. */
static int put_in(struct manifest *m, const struct log_new_segment *list, size_t count, bool folds)
{
	for (size_t i = 0; i < count; i++) {
		struct manifest_segment *entry = manifest_find(m, list[i].number);
		struct segment seg = segment_of(&list[i]);

		if (entry == NULL)
			return -EINVAL;
		if (!manifest_add_obsolete(m, entry->id))
			return -ENOMEM;
		*entry = entry_of(&seg);
	}
	return folds && !manifest_remove_below(m, list[0].number) ? -ENOMEM : 0;
}

/* Makes the files the log's: under their own names, and in memory. */
static void take_over(struct log_writer *w, struct log_new_segment *list, size_t count, bool folds)
{
	char name[SEGMENT_NAME_BYTES];

	for (size_t i = 0; i < count; i++) {
		struct segment seg = segment_of(&list[i]);

		segment_name((struct segment_id){ seg.number, seg.generation }, name);
		(void)!io_rename(w->io, w->dir_fd, list[i].name,
				 name); /* otherwise the next open does it */
		list[i].start = segments_replace(&w->segments, &seg, folds && i == 0);
		list[i].fd = -1;
	}
}

int log_writer_install(struct log_writer *w, struct log_new_segment *list, size_t count, bool folds,
		       bool *ret_installed)
{
	struct manifest m;
	int err;

	*ret_installed = false;
	if (is_log_poisoned(w))
		return -EIO;
	err = segments_promise(&w->segments, count);
	if (err < 0)
		return err;
	log_set_lock(w);
	err = manifest_copy(&w->manifest, &m) ? 0 : -ENOMEM;
	if (err == 0) {
		err = put_in(&m, list, count, folds);
		if (err == 0) /* before MANIFEST, which must not list names that are not durable */
			err = sync_names(w);
		if (err == 0)
			err = change_locked(w, &m, ret_installed);
		manifest_free(&m);
	}
	if (*ret_installed)
		take_over(w, list, count, folds);
	else
		segments_unpromise(&w->segments, count);
	log_set_unlock(w);
	return err;
}

/* Removes a file that does not belong to the log any more, and its hint. */
static int remove_file(struct log_writer *w, struct segment_id id)
{
	char name[SEGMENT_NAME_BYTES], temp[SEGMENT_TEMP_NAME_BYTES], hint[SEGMENT_NAME_BYTES];
	int err;

	segment_name(id, name);
	segment_temp_name(id, temp);
	hint_name_of(id, hint);
	(void)!io_unlink(w->io, w->dir_fd, hint); /* otherwise the next open does it */
	err = io_unlink(w->io, w->dir_fd, name);
	if (err == -ENOENT) /* it may still have its temporary name */
		err = io_unlink(w->io, w->dir_fd, temp);
	return err == -ENOENT ? 0 : err;
}

static void remove_obsolete_locked(struct log_writer *w) REQUIRES(w->set_lock, log_set_class)
{
	struct manifest *m = &w->manifest;
	int err = 0;

	for (size_t i = 0; err == 0 && i < m->obsolete_count; i++)
		err = remove_file(w, m->obsolete[i]);
	/* Once the removal is durable, the files need not be listed any more. */
	if (err == 0 && sync_names(w) == 0)
		m->obsolete_count = 0;
}

void log_writer_remove_replaced(struct log_writer *w)
{
	/* If the last change is not durable, a power cut brings back a set that has the files. */
	if (is_log_poisoned(w))
		return;
	log_set_lock(w);
	if (w->manifest.obsolete_count > 0)
		remove_obsolete_locked(w);
	log_set_unlock(w);
}

void log_writer_retire(struct log_writer *w, uint64_t start)
{
	segments_retire(&w->segments, start);
}
