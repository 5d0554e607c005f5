/* SPDX-License-Identifier: MIT */
#include "writer/segments.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "writer/thread.h"

#define NUMBER_DIGITS 6 /* at least */
#define SUFFIX	      ".data"

/* --- names --- */

void segment_name(uint64_t number, char ret[SEGMENT_NAME_BYTES])
{
	(void)snprintf(ret, SEGMENT_NAME_BYTES, "%0*" PRIu64 SUFFIX, NUMBER_DIGITS, number);
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

/* --- life --- */

void segments_init(struct segments *s, struct io *io, int dir_fd)
{
	*s = (struct segments){ .io = io, .dir_fd = dir_fd };
	thread_check(pthread_rwlock_init(&s->lock, NULL));
}

void segments_clear(struct segments *s)
{
	for (size_t i = 0; i < s->count; i++)
		(void)io_close(s->io, &s->list[i].fd); /* only read from */
	free(s->list);
	s->list = NULL;
	s->count = s->room = 0;
}

void segments_close(struct segments *s)
{
	segments_clear(s);
	thread_check(pthread_rwlock_destroy(&s->lock));
}

int segments_reserve(struct segments *s)
{
	size_t room = s->room == 0 ? 8 : s->room * 2;
	struct segment *list;
	int err = 0;

	thread_check(pthread_rwlock_wrlock(&s->lock));
	if (s->count == s->room) {
		list = reallocarray(s->list, room, sizeof(list[0]));
		if (list == NULL) {
			err = -ENOMEM;
		} else {
			s->list = list;
			s->room = room;
		}
	}
	thread_check(pthread_rwlock_unlock(&s->lock));
	return err;
}

void segments_add(struct segments *s, uint64_t number, uint64_t start, uint64_t bytes, int fd)
{
	thread_check(pthread_rwlock_wrlock(&s->lock));
	s->list[s->count++] =
		(struct segment){ .number = number, .start = start, .bytes = bytes, .fd = fd };
	thread_check(pthread_rwlock_unlock(&s->lock));
}

/* --- opening --- */

/* The numbers of the files that are there, in no order. */
struct found {
	uint64_t *numbers;
	size_t count, room;
};

static int find_one(void *arg, const char *name)
{
	struct found *f = arg;
	uint64_t number = segment_number(name), *numbers;
	size_t room = f->room == 0 ? 64 : f->room * 2;

	if (number == 0)
		return 0;
	if (f->count == f->room) {
		numbers = reallocarray(f->numbers, room, sizeof(numbers[0]));
		if (numbers == NULL)
			return -ENOMEM;
		f->numbers = numbers;
		f->room = room;
	}
	f->numbers[f->count++] = number;
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int open_one(struct segments *s, uint64_t number, const char *dir, struct diag *diag)
{
	char name[SEGMENT_NAME_BYTES];
	struct io_stat st = { 0 };
	int fd, err;

	err = segments_reserve(s);
	if (err < 0)
		return diag_set(diag, err, "%s: out of memory", dir);
	segment_name(number, name);
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
	segments_add(s, number, segments_end(s), st.size_bytes, fd);
	return 0;
}

int segments_open(struct segments *s, const char *dir, struct diag *diag)
{
	struct found found = { 0 };
	int err = io_list(s->io, s->dir_fd, find_one, &found);

	if (err < 0)
		err = diag_set(diag, err, "%s: cannot list it: %s", dir, strerror(-err));
	if (found.count > 0)
		qsort(found.numbers, found.count, sizeof(found.numbers[0]), compare_numbers);
	for (size_t i = 0; err == 0 && i < found.count; i++)
		if (i == 0 || found.numbers[i] != found.numbers[i - 1]) /* io_list() may repeat */
			err = open_one(s, found.numbers[i], dir, diag);
	free(found.numbers);
	return err;
}

/* --- looking --- */

uint64_t segments_next_number(struct segments *s)
{
	uint64_t number;

	thread_check(pthread_rwlock_rdlock(&s->lock));
	number = s->count == 0 ? SEGMENT_FIRST_NUMBER : s->list[s->count - 1].number + 1;
	thread_check(pthread_rwlock_unlock(&s->lock));
	return number;
}

uint64_t segments_end(struct segments *s)
{
	uint64_t end = 0;

	thread_check(pthread_rwlock_rdlock(&s->lock));
	if (s->count > 0)
		end = s->list[s->count - 1].start + s->list[s->count - 1].bytes;
	thread_check(pthread_rwlock_unlock(&s->lock));
	return end;
}

bool segments_get(struct segments *s, size_t index, struct segment *ret)
{
	bool there;

	thread_check(pthread_rwlock_rdlock(&s->lock));
	there = index < s->count;
	if (there)
		*ret = s->list[index];
	thread_check(pthread_rwlock_unlock(&s->lock));
	return there;
}

bool segments_by_number(struct segments *s, uint64_t number, struct segment *ret)
{
	bool there = false;

	thread_check(pthread_rwlock_rdlock(&s->lock));
	for (size_t i = s->count; i > 0 && !there; i--) { /* mostly the last */
		there = s->list[i - 1].number == number;
		if (there)
			*ret = s->list[i - 1];
	}
	thread_check(pthread_rwlock_unlock(&s->lock));
	return there;
}

/* Returns the segment that holds 'position', or NULL. */
static const struct segment *find_locked(const struct segments *s, uint64_t position)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->list[mid].start + s->list[mid].bytes > position)
			high = mid;
		else
			low = mid + 1;
	}
	return low < s->count && s->list[low].start <= position ? &s->list[low] : NULL;
}

bool segments_find(struct segments *s, uint64_t position, struct segment *ret)
{
	const struct segment *seg;

	thread_check(pthread_rwlock_rdlock(&s->lock));
	seg = find_locked(s, position);
	if (seg != NULL)
		*ret = *seg;
	thread_check(pthread_rwlock_unlock(&s->lock));
	return seg != NULL;
}

void segments_hold(struct segments *s)
{
	thread_check(pthread_rwlock_rdlock(&s->lock));
}

void segments_release(struct segments *s)
{
	thread_check(pthread_rwlock_unlock(&s->lock));
}

ssize_t segments_read(struct segments *s, void *buf, size_t n, uint64_t position)
{
	const struct segment *seg;
	ssize_t got = 0;

	/* Held across the read, so that nobody closes the file meanwhile. */
	thread_check(pthread_rwlock_rdlock(&s->lock));
	seg = find_locked(s, position);
	if (seg != NULL) {
		uint64_t left = seg->start + seg->bytes - position;

		got = io_pread_all(s->io, seg->fd, buf, left < n ? (size_t)left : n,
				   position - seg->start);
	}
	thread_check(pthread_rwlock_unlock(&s->lock));
	return got;
}
