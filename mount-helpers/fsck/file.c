/* SPDX-License-Identifier: MIT */
/* One file of the log: facts that several checks need. */
#include "mount-helpers/fsck/fsck.h"

#include <errno.h>
#include <fcntl.h>

#include "codec/array.h"

int fsck_add_file(struct fsck *f, const struct fsck_file *file)
{
	int fd = file->fd;

	if (ARRAY_RESERVE(f->files, f->count + 1, f->capacity) < 0) {
		(void)io_close(f->io, &fd); /* read only */
		return -ENOMEM;
	}
	f->files[f->count++] = *file;
	return 0;
}

void fsck_look_up(const struct fsck *f, struct fsck_file *file)
{
	const struct manifest_segment *m = manifest_find(&f->manifest, file->number);
	const struct manifest_segment *first = f->manifest.segments;

	file->in_base = file->base;
	if (m == NULL)
		return;
	file->listed = true;
	file->listed_bytes = m->bytes;
	file->facts = m->facts;
	file->base |= m->is_base;
	file->in_base = file->base || (first->is_base && m->facts.last_timestamp_ns <=
								 first->facts.last_timestamp_ns);
	file->generation = m->id.generation;
	if (file->rotated_bytes > 0) /* MANIFEST lists it; the next mount gives it its name */
		file->rotated_bytes = 0;
}

bool fsck_has_name(const struct fsck *f, const char *name)
{
	int fd = io_open(f->io, f->dir_fd, name, O_RDONLY, 0);
	bool has = fd >= 0;

	(void)io_close(f->io, &fd); /* read only */
	return has;
}

uint64_t fsck_first_time(const struct fsck *f, int fd)
{
	uint8_t header[RECORD_HEADER_BYTES];
	struct record rec;

	if (fd < 0 || io_pread_all(f->io, fd, header, sizeof(header), 0) != (ssize_t)sizeof(header))
		return UINT64_MAX;
	(void)record_decode_header(header, &rec);
	return rec.timestamp_ns;
}

bool fsck_read_number(struct fsck *f, int fd, struct meta_segment *ret)
{
	uint8_t bytes[RECORD_HEADER_BYTES + META_KEY_PREFIX_BYTES + META_SEGMENT_BYTES];
	struct record_scan_result res;
	ssize_t got = fd < 0 ? -EBADF : io_pread_all(f->io, fd, bytes, sizeof(bytes), 0);

	return got == (ssize_t)sizeof(bytes) &&
	       record_scan(bytes, sizeof(bytes), sizeof(bytes), &res) == RECORD_WHOLE &&
	       meta_is_segment_key(res.rec.key, res.rec.key_bytes) &&
	       meta_segment_decode(res.rec.value, res.rec.value_bytes, ret) == META_OK;
}

bool fsck_has_facts(const struct fsck_file *file, uint64_t bytes,
		    const struct manifest_facts *facts)
{
	return bytes == file->listed_bytes && facts->records == file->facts.records &&
	       facts->first_timestamp_ns == file->facts.first_timestamp_ns &&
	       facts->last_timestamp_ns == file->facts.last_timestamp_ns &&
	       (!file->facts.has_digest || facts->digest == file->facts.digest);
}

struct salvage_file fsck_salvage_file(const struct fsck_file *file, struct io *io, int dir_fd,
				      bool take_inside)
{
	return (struct salvage_file){
		.io = io,
		.dir_fd = dir_fd,
		.name = file->name,
		.fd = file->fd,
		.bytes = file->bytes,
		.number = file->number,
		.hint_name = file->hint_name,
		.boundary_bytes = file->durable_bytes <= file->bytes ? file->durable_bytes : 0,
		.may_have_more = file->active,
		.is_cut = file->listed ? file->bytes != file->listed_bytes
				       : file->bytes < file->durable_bytes,
		.take_inside = take_inside,
	};
}

bool fsck_is_too_short(const struct fsck_file *file)
{
	if (file->missing)
		return false;
	if (file->listed)
		return file->bytes < file->listed_bytes;
	return (file->active || file->rotated_bytes > 0) && file->bytes < file->durable_bytes;
}

uint64_t fsck_damages_of(const struct fsck_file *file)
{
	uint64_t count = file->missing || fsck_is_too_short(file) || file->is_other ||
			 file->misplaced || file->moved || file->spare || file->unnumbered;

	for (size_t i = 0; !file->missing && i < file->lost.count; i++)
		count += file->lost.lost[i].bytes > 0 || file->lost.lost[i].known == SALVAGE_PROVEN;
	for (size_t i = 0; i < file->edits.count; i++)
		count += file->edits.lost[i].reason[0] != '\0';
	return count;
}
