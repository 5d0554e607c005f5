/* SPDX-License-Identifier: MIT */
#include "writer/segments.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/meta.h"
#include "codec/record.h"
#include "writer/thread.h"

#define NUMBER_DIGITS 6 /* at least */
#define SUFFIX	      ".data"
#define HINT_SUFFIX   ".hint"
#define FULL_SUFFIX   ".full"
#define BASE_BYTES    (RECORD_HEADER_BYTES + META_KEY_PREFIX_BYTES + META_BASE_BYTES)

/* --- names --- */

void segment_name(uint64_t number, char ret[SEGMENT_NAME_BYTES])
{
	(void)snprintf(ret, SEGMENT_NAME_BYTES, "%0*" PRIu64 SUFFIX, NUMBER_DIGITS, number);
}

void segment_full_name(uint64_t number, uint64_t bytes, char ret[SEGMENT_NAME_BYTES])
{
	(void)snprintf(ret, SEGMENT_NAME_BYTES, "%0*" PRIu64 ".%" PRIu64 FULL_SUFFIX, NUMBER_DIGITS,
		       number, bytes);
}

void segment_file_name(const struct segment *seg, char ret[SEGMENT_NAME_BYTES])
{
	if (seg->full_bytes > 0)
		segment_full_name(seg->number, seg->full_bytes, ret);
	else
		segment_name(seg->number, ret);
}

void segment_temp_name(uint64_t number, char ret[SEGMENT_TEMP_NAME_BYTES])
{
	(void)snprintf(ret, SEGMENT_TEMP_NAME_BYTES, "%0*" PRIu64 SUFFIX SEGMENT_TEMP_SUFFIX,
		       NUMBER_DIGITS, number);
}

/* Only what segment_name() writes is such a name. */
uint64_t segment_number(const char *name)
{
	char canonical[SEGMENT_NAME_BYTES];
	size_t digits = strspn(name, "0123456789");
	uint64_t number;

	if (digits < NUMBER_DIGITS || digits > 19 || strcmp(name + digits, SUFFIX) != 0)
		return 0;
	number = strtoull(name, NULL, 10);
	segment_name(number, canonical);
	return strcmp(canonical, name) == 0 ? number : 0;
}

uint64_t segment_full_number(const char *name, uint64_t *ret_bytes)
{
	char canonical[SEGMENT_NAME_BYTES];
	size_t digits = strspn(name, "0123456789"), bytes_digits;
	uint64_t number;

	if (digits < NUMBER_DIGITS || digits > 19 || name[digits] != '.')
		return 0;
	bytes_digits = strspn(name + digits + 1, "0123456789");
	if (bytes_digits == 0 || bytes_digits > 19 ||
	    strcmp(name + digits + 1 + bytes_digits, FULL_SUFFIX) != 0)
		return 0;
	number = strtoull(name, NULL, 10);
	*ret_bytes = strtoull(name + digits + 1, NULL, 10);
	segment_full_name(number, *ret_bytes, canonical);
	return *ret_bytes > 0 && strcmp(canonical, name) == 0 ? number : 0;
}

int segment_is_base(struct io *io, int fd, uint64_t file_bytes, uint64_t *ret_as_of_ns)
{
	uint8_t bytes[BASE_BYTES], key[META_KEY_PREFIX_BYTES];
	struct record_scan_result res;
	struct meta_base base;
	struct record rec;
	ssize_t got = io_pread_all(io, fd, bytes, sizeof(bytes), 0);

	if (got < 0)
		return (int)got;
	meta_key_prefix(META_BASE, key);
	if ((size_t)got < sizeof(bytes) ||
	    memcmp(bytes + RECORD_HEADER_BYTES, key, sizeof(key)) != 0)
		return 0;
	(void)record_decode_header(bytes, &rec);
	if (rec.key_bytes != sizeof(key))
		return 0;
	*ret_as_of_ns = 0;
	if (record_scan(bytes, sizeof(bytes), file_bytes, &res) == RECORD_WHOLE &&
	    meta_base_decode(res.rec.value, res.rec.value_bytes, &base) == META_OK)
		*ret_as_of_ns = base.as_of_ns;
	return 1;
}

/* --- life --- */

void segments_init(struct segments *s, struct io *io, int dir_fd)
{
	*s = (struct segments){
		.io = io,
		.dir_fd = dir_fd,
		.next_start = SEGMENTS_REPLACED_START,
	};
	rwlock_init(&s->lock);
}

void segments_clear(struct segments *s)
{
	for (size_t i = 0; i < s->range_count; i++)
		(void)io_close(s->io, &s->ranges[i].fd); /* only read from */
	free(s->list);
	free(s->ranges);
	s->list = NULL;
	s->ranges = NULL;
	s->count = s->room = s->range_count = s->range_room = 0;
}

void segments_close(struct segments *s)
{
	segments_clear(s);
	rwlock_destroy(&s->lock);
}

/* Makes room for 'more' than 'count' items. */
static int reserve(void **items, size_t item_bytes, size_t count, size_t more, size_t *room)
{
	size_t bigger = *room == 0 ? 8 : *room * 2;
	void *p;

	if (count + more <= *room)
		return 0;
	p = reallocarray(*items, bigger, item_bytes);
	if (p == NULL)
		return -ENOMEM;
	*items = p;
	*room = bigger;
	return 0;
}

int segments_reserve(struct segments *s)
{
	void *list, *ranges;
	int err;

	rwlock_write_lock(&s->lock);
	list = s->list;
	ranges = s->ranges;
	err = reserve(&list, sizeof(s->list[0]), s->count, 1, &s->room);
	s->list = list;
	/* For one who adds and one who replaces. */
	if (err == 0)
		err = reserve(&ranges, sizeof(s->ranges[0]), s->range_count, 2, &s->range_room);
	s->ranges = ranges;
	rwlock_unlock(&s->lock);
	return err;
}

static void add_range_locked(struct segments *s, uint64_t start, uint64_t bytes, int fd)
{
	size_t i = s->range_count++;

	for (; i > 0 && s->ranges[i - 1].start > start; i--)
		s->ranges[i] = s->ranges[i - 1];
	s->ranges[i] = (struct segment_range){ .start = start, .bytes = bytes, .fd = fd };
}

void segments_add(struct segments *s, const struct segment *seg)
{
	rwlock_write_lock(&s->lock);
	s->list[s->count++] = *seg;
	add_range_locked(s, seg->start, seg->bytes, seg->fd);
	rwlock_unlock(&s->lock);
}

static struct segment *by_number_locked(struct segments *s, uint64_t number)
{
	for (size_t i = s->count; i > 0; i--) /* mostly the last */
		if (s->list[i - 1].number == number)
			return &s->list[i - 1];
	return NULL;
}

void segments_seal(struct segments *s, uint64_t number)
{
	rwlock_write_lock(&s->lock);
	by_number_locked(s, number)->full_bytes = 0;
	rwlock_unlock(&s->lock);
}

/* Forgets a file.  An empty one has the start of the next. */
static void remove_range_locked(struct segments *s, int fd)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->range_count; i++)
		if (s->ranges[i].fd != fd)
			s->ranges[kept++] = s->ranges[i];
	s->range_count = kept;
}

int segments_take_last(struct segments *s, uint64_t number)
{
	int fd;

	rwlock_write_lock(&s->lock);
	fd = by_number_locked(s, number)->fd;
	s->count--;
	remove_range_locked(s, fd);
	rwlock_unlock(&s->lock);
	return fd;
}

void segments_set_timestamp(struct segments *s, uint64_t number, uint64_t last_timestamp_ns)
{
	rwlock_write_lock(&s->lock);
	by_number_locked(s, number)->last_timestamp_ns = last_timestamp_ns;
	rwlock_unlock(&s->lock);
}

static uint64_t replace_locked(struct segments *s, uint64_t number, uint64_t bytes, int fd)
{
	uint64_t start = s->next_start;
	struct segment *seg;

	s->next_start += bytes;
	seg = by_number_locked(s, number);
	seg->start = start;
	seg->bytes = bytes;
	seg->fd = fd;
	add_range_locked(s, start, bytes, fd);
	return start;
}

uint64_t segments_replace(struct segments *s, uint64_t number, uint64_t bytes, int fd)
{
	uint64_t start;

	rwlock_write_lock(&s->lock);
	start = replace_locked(s, number, bytes, fd);
	rwlock_unlock(&s->lock);
	return start;
}

uint64_t segments_fold(struct segments *s, uint64_t number, uint64_t bytes, int fd)
{
	size_t gone = 0;
	uint64_t start;

	rwlock_write_lock(&s->lock);
	start = replace_locked(s, number, bytes, fd);
	while (s->list[gone].number < number)
		gone++;
	s->count -= gone;
	memmove(s->list, s->list + gone, s->count * sizeof(s->list[0]));
	rwlock_unlock(&s->lock);
	return start;
}

void segments_retire(struct segments *s, uint64_t start)
{
	int fd = -1;

	rwlock_write_lock(&s->lock);
	for (size_t i = 0; i < s->range_count && fd < 0; i++)
		if (s->ranges[i].start == start)
			fd = s->ranges[i].fd;
	if (fd >= 0)
		remove_range_locked(s, fd);
	rwlock_unlock(&s->lock);
	(void)io_close(s->io, &fd); /* outside: this may be what frees its blocks */
}

/* --- opening --- */

/* What the name of a file says. */
struct found_file {
	uint64_t number, full_bytes;
};

/* The files that are there, in no order. */
struct found {
	struct found_file *files;
	size_t count, room;
};

static int add_found(struct found *f, uint64_t number, uint64_t full_bytes)
{
	size_t room = f->room == 0 ? 64 : f->room * 2;
	struct found_file *files;

	if (f->count == f->room) {
		files = reallocarray(f->files, room, sizeof(files[0]));
		if (files == NULL)
			return -ENOMEM;
		f->files = files;
		f->room = room;
	}
	f->files[f->count++] = (struct found_file){ .number = number, .full_bytes = full_bytes };
	return 0;
}

/* The segments of a directory, the files that were to take the place of one, and the hints. */
struct listing {
	struct found segments, leftovers, hints;
};

/* Returns the number of the segment whose name is 'name' with another end; 0: that is no such name.
 */
static uint64_t number_of(const char *name, const char *end, const char *instead)
{
	size_t bytes = strlen(name), end_bytes = strlen(end);
	char segment[SEGMENT_NAME_BYTES];

	if (bytes <= end_bytes || bytes - end_bytes + strlen(instead) >= sizeof(segment) ||
	    strcmp(name + bytes - end_bytes, end) != 0)
		return 0;
	(void)snprintf(segment, sizeof(segment), "%.*s%s", (int)(bytes - end_bytes), name, instead);
	return segment_number(segment);
}

static int find_one(void *arg, const char *name)
{
	struct listing *l = arg;
	uint64_t number = segment_number(name), bytes;

	if (number != 0)
		return add_found(&l->segments, number, 0);
	number = segment_full_number(name, &bytes);
	if (number != 0)
		return add_found(&l->segments, number, bytes);
	number = number_of(name, SEGMENT_TEMP_SUFFIX, "");
	if (number != 0)
		return add_found(&l->leftovers, number, 0);
	number = number_of(name, HINT_SUFFIX, SUFFIX);
	return number != 0 ? add_found(&l->hints, number, 0) : 0;
}

static void free_listing(struct listing *l)
{
	free(l->segments.files);
	free(l->leftovers.files);
	free(l->hints.files);
}

static int compare_found(const void *a, const void *b)
{
	const struct found_file *x = a, *y = b;

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return x->full_bytes < y->full_bytes ? -1 : x->full_bytes > y->full_bytes;
}

/* A file of the listing. */
struct opened {
	struct found_file file;
	uint64_t bytes;
	int fd;
};

static void found_name(const struct found_file *f, char ret[SEGMENT_NAME_BYTES])
{
	segment_file_name(&(struct segment){ .number = f->number, .full_bytes = f->full_bytes },
			  ret);
}

static int open_one(struct segments *s, const struct found_file *file, const char *dir,
		    struct opened *ret, struct diag *diag)
{
	char name[SEGMENT_NAME_BYTES];
	struct io_stat st = { 0 };
	int fd, err;

	found_name(file, name);
	fd = io_open(s->io, s->dir_fd, name, O_RDONLY, 0);
	if (fd < 0)
		return diag_set(diag, fd, "%s/%s: cannot open it: %s", dir, name, strerror(-fd));
	err = io_stat(s->io, fd, &st);
	if (err == 0 && !S_ISREG(st.mode))
		err = -EINVAL;
	if (err < 0) {
		(void)io_close(s->io, &fd);
		return diag_set(diag, err, "%s/%s: %s", dir, name,
				err == -EINVAL ? "not a regular file" : strerror(-err));
	}
	*ret = (struct opened){ .file = *file, .bytes = st.size_bytes, .fd = fd };
	return 0;
}

/* Opens files from the last number on, down to the newest base.  Stores how many of the list are
 * older than that. */
static int open_down(struct segments *s, const struct found *f, struct opened *opened,
		     const char *dir, size_t *ret_older, struct diag *diag)
{
	size_t i = f->count;
	int found = 0;

	while (found == 0 && i > 0) {
		int err = open_one(s, &f->files[i - 1], dir, &opened[i - 1], diag);

		if (err < 0)
			return err;
		i--;
		found = segment_is_base(s->io, opened[i].fd, opened[i].bytes, &s->base_as_of_ns);
		if (found > 0)
			s->base_number = opened[i].file.number;
	}
	*ret_older = i;
	return found < 0 ? diag_set(diag, found, "%s: reading a segment failed: %s", dir,
				    strerror(-found))
			 : 0;
}

/* Hands the open files over, oldest first. */
static int add_opened(struct segments *s, struct opened *opened, size_t count, const char *dir,
		      struct diag *diag)
{
	for (size_t i = 0; i < count; i++) {
		if (opened[i].fd < 0)
			continue;
		if (segments_reserve(s) < 0)
			return diag_set(diag, -ENOMEM, "%s: out of memory", dir);
		/* Behind what a full one had, there can only be zeros that were to be cut off. */
		if (opened[i].file.full_bytes > 0 && opened[i].bytes > opened[i].file.full_bytes)
			opened[i].bytes = opened[i].file.full_bytes;
		segments_add(s, &(struct segment){ .number = opened[i].file.number,
						   .start = segments_end(s),
						   .bytes = opened[i].bytes,
						   .full_bytes = opened[i].file.full_bytes,
						   .fd = opened[i].fd });
		opened[i].fd = -1;
	}
	return 0;
}

/* By number, and each once: io_list() may repeat. */
static void sort_found(struct found *f)
{
	size_t kept = 0;

	if (f->count == 0)
		return;
	qsort(f->files, f->count, sizeof(f->files[0]), compare_found);
	for (size_t i = 0; i < f->count; i++)
		if (kept == 0 || compare_found(&f->files[i], &f->files[kept - 1]) != 0)
			f->files[kept++] = f->files[i];
	f->count = kept;
}

/* No step of a rotation leaves two files of one number. */
static int check_single(const struct found *f, const char *dir, struct diag *diag)
{
	char name[SEGMENT_NAME_BYTES], other[SEGMENT_NAME_BYTES];

	for (size_t i = 1; i < f->count; i++) {
		if (f->files[i].number != f->files[i - 1].number)
			continue;
		found_name(&f->files[i - 1], name);
		found_name(&f->files[i], other);
		return diag_set(diag, -EBADMSG,
				"%s: %s and %s are the same segment; nothing was changed; move the "
				"one away that does not belong there",
				dir, name, other);
	}
	return 0;
}

static int open_all(struct segments *s, struct listing *l, const char *dir, struct diag *diag)
{
	struct found *f = &l->segments;
	struct opened *opened;
	size_t older = 0;
	int err;

	if (f->count == 0)
		return 0;
	sort_found(f);
	err = check_single(f, dir, diag);
	if (err < 0)
		return err;
	opened = calloc(f->count, sizeof(opened[0]));
	if (opened == NULL)
		return diag_set(diag, -ENOMEM, "%s: out of memory", dir);
	for (size_t i = 0; i < f->count; i++)
		opened[i].fd = -1;
	err = open_down(s, f, opened, dir, &older, diag);
	if (err == 0)
		err = add_opened(s, opened, f->count, dir, diag);
	for (size_t i = 0; i < f->count; i++)
		(void)io_close(s->io, &opened[i].fd); /* only read from */
	free(opened);
	s->has_leftovers = l->leftovers.count > 0 || older > 0;
	return err;
}

/* Says whether a file of that number is taken into the base. */
static bool is_folded(const struct segments *s, uint64_t number)
{
	return number < s->base_number;
}

int segments_open(struct segments *s, const char *dir, struct diag *diag)
{
	struct listing listing = { 0 };
	int err = io_list(s->io, s->dir_fd, find_one, &listing);

	s->base_number = s->base_as_of_ns = 0;
	s->has_leftovers = listing.leftovers.count > 0;
	if (err < 0)
		err = diag_set(diag, err, "%s: cannot list it: %s", dir, strerror(-err));
	if (err == 0)
		err = open_all(s, &listing, dir, diag);
	for (size_t i = 0; i < listing.hints.count; i++)
		s->has_leftovers = s->has_leftovers || is_folded(s, listing.hints.files[i].number);
	free_listing(&listing);
	return err;
}

int segments_are_all(struct segments *s)
{
	struct listing listing = { 0 };
	struct found *f = &listing.segments;
	int err = io_list(s->io, s->dir_fd, find_one, &listing);
	struct segment seg;
	size_t count = 0;
	bool all = true;

	sort_found(f);
	for (size_t i = 0; err == 0 && all && i < f->count; i++) {
		if (is_folded(s, f->files[i].number))
			continue;
		all = segments_get(s, count, &seg) && seg.number == f->files[i].number &&
		      seg.full_bytes == f->files[i].full_bytes;
		count++;
	}
	all = all && !segments_get(s, count, &seg);
	free_listing(&listing);
	return err < 0 ? err : all;
}

static void unlink_number(struct segments *s, uint64_t number, const char *suffix)
{
	char name[SEGMENT_TEMP_NAME_BYTES];

	(void)snprintf(name, sizeof(name), "%0*" PRIu64 "%s", NUMBER_DIGITS, number, suffix);
	(void)!io_unlink(s->io, s->dir_fd, name);
}

/* What cannot be removed is in nobody's way. */
void segments_remove_leftovers(struct segments *s)
{
	struct listing l = { 0 };

	if (s->has_leftovers && io_list(s->io, s->dir_fd, find_one, &l) == 0) {
		for (size_t i = 0; i < l.leftovers.count; i++)
			unlink_number(s, l.leftovers.files[i].number, SUFFIX SEGMENT_TEMP_SUFFIX);
		for (size_t i = 0; i < l.hints.count; i++)
			if (is_folded(s, l.hints.files[i].number))
				unlink_number(s, l.hints.files[i].number, HINT_SUFFIX);
		for (size_t i = 0; i < l.segments.count; i++)
			if (is_folded(s, l.segments.files[i].number))
				unlink_number(s, l.segments.files[i].number, SUFFIX);
	}
	free_listing(&l);
}

/* --- looking --- */

uint64_t segments_next_number(struct segments *s)
{
	uint64_t number;

	rwlock_read_lock(&s->lock);
	number = s->count == 0 ? SEGMENT_FIRST_NUMBER : s->list[s->count - 1].number + 1;
	rwlock_unlock(&s->lock);
	return number;
}

uint64_t segments_end(struct segments *s)
{
	uint64_t end = 0;

	rwlock_read_lock(&s->lock);
	if (s->count > 0)
		end = s->list[s->count - 1].start + s->list[s->count - 1].bytes;
	rwlock_unlock(&s->lock);
	return end;
}

bool segments_get(struct segments *s, size_t index, struct segment *ret)
{
	bool there;

	rwlock_read_lock(&s->lock);
	there = index < s->count;
	if (there)
		*ret = s->list[index];
	rwlock_unlock(&s->lock);
	return there;
}

bool segments_by_number(struct segments *s, uint64_t number, struct segment *ret)
{
	const struct segment *seg;

	rwlock_read_lock(&s->lock);
	seg = by_number_locked(s, number);
	if (seg != NULL)
		*ret = *seg;
	rwlock_unlock(&s->lock);
	return seg != NULL;
}

/* Returns the file that holds 'position', or NULL. */
static const struct segment_range *find_locked(const struct segments *s, uint64_t position)
{
	size_t low = 0, high = s->range_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->ranges[mid].start + s->ranges[mid].bytes > position)
			high = mid;
		else
			low = mid + 1;
	}
	return low < s->range_count && s->ranges[low].start <= position ? &s->ranges[low] : NULL;
}

uint64_t segments_room(struct segments *s, uint64_t position)
{
	const struct segment_range *range;
	uint64_t room = 0;

	rwlock_read_lock(&s->lock);
	range = find_locked(s, position);
	if (range != NULL)
		room = range->start + range->bytes - position;
	rwlock_unlock(&s->lock);
	return room;
}

uint64_t segments_bytes(struct segments *s)
{
	uint64_t bytes = 0;

	rwlock_read_lock(&s->lock);
	for (size_t i = 0; i < s->count; i++)
		bytes += s->list[i].bytes;
	rwlock_unlock(&s->lock);
	return bytes;
}

void segments_hold(struct segments *s)
{
	rwlock_read_lock(&s->lock);
}

void segments_release(struct segments *s)
{
	rwlock_unlock(&s->lock);
}

ssize_t segments_read(struct segments *s, void *buf, size_t n, uint64_t position)
{
	const struct segment_range *range;
	ssize_t got = 0;

	/* Held across the read, so that nobody closes the file meanwhile. */
	rwlock_read_lock(&s->lock);
	range = find_locked(s, position);
	if (range != NULL) {
		uint64_t left = range->start + range->bytes - position;

		got = io_pread_all(s->io, range->fd, buf, left < n ? (size_t)left : n,
				   position - range->start);
	}
	rwlock_unlock(&s->lock);
	return got;
}
