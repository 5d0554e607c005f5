/* SPDX-License-Identifier: MIT */
#include "tests/sim/content.h"

#include <stdlib.h>
#include <string.h>

void *sim_alloc(size_t n)
{
	void *p = calloc(1, n);

	if (p == NULL)
		abort();
	return p;
}

void *sim_realloc(void *p, size_t n)
{
	p = realloc(p, n);
	if (p == NULL)
		abort();
	return p;
}

char *sim_strdup(const char *text, size_t n)
{
	char *copy = sim_alloc(n + 1);

	memcpy(copy, text, n);
	return copy;
}

static void page_unref(struct page *p)
{
	if (p != NULL && atomic_fetch_sub(&p->refs, 1) == 1)
		free(p);
}

struct content *content_new(uint64_t size_bytes)
{
	size_t page_count = (size_bytes + PAGE_BYTES - 1) / PAGE_BYTES;
	struct content *c = sim_alloc(sizeof(*c) + page_count * sizeof(c->pages[0]));

	atomic_init(&c->refs, 1);
	c->size_bytes = size_bytes;
	c->page_count = page_count;
	return c;
}

struct content *content_ref(struct content *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void content_unref(struct content *c)
{
	if (c == NULL || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	for (size_t i = 0; i < c->page_count; i++)
		page_unref(c->pages[i]);
	free(c);
}

void content_share_page(struct content *c, const struct content *from, size_t index)
{
	struct page *p = index < from->page_count ? from->pages[index] : NULL;

	if (p != NULL)
		atomic_fetch_add(&p->refs, 1);
	page_unref(c->pages[index]);
	c->pages[index] = p;
}

void content_page(const struct content *c, size_t index, uint8_t out[PAGE_BYTES])
{
	if (index < c->page_count && c->pages[index] != NULL)
		memcpy(out, c->pages[index]->bytes, PAGE_BYTES);
	else
		memset(out, 0, PAGE_BYTES);
}

void content_set_page(struct content *c, size_t index, const uint8_t bytes[PAGE_BYTES])
{
	static const uint8_t zeros[PAGE_BYTES];
	uint64_t end = c->size_bytes - (uint64_t)index * PAGE_BYTES;
	struct page *p;

	if (memcmp(bytes, zeros, PAGE_BYTES) == 0) {
		page_unref(c->pages[index]);
		c->pages[index] = NULL;
		return;
	}
	p = sim_alloc(sizeof(*p));
	atomic_init(&p->refs, 1);
	memcpy(p->bytes, bytes, end < PAGE_BYTES ? end : PAGE_BYTES);
	page_unref(c->pages[index]);
	c->pages[index] = p;
}

struct content *content_resize(const struct content *c, uint64_t size_bytes)
{
	struct content *new = content_new(size_bytes);
	uint8_t last[PAGE_BYTES];

	for (size_t i = 0; i < new->page_count; i++)
		content_share_page(new, c, i);
	if (size_bytes < c->size_bytes && size_bytes % PAGE_BYTES != 0) {
		content_page(c, new->page_count - 1, last);
		content_set_page(new, new->page_count - 1, last);
	}
	return new;
}

struct content *content_write(const struct content *c, const void *buf, size_t n, uint64_t offset)
{
	uint64_t end = offset + n;
	struct content *new = content_resize(c, end > c->size_bytes ? end : c->size_bytes);
	const uint8_t *from = buf;
	uint8_t bytes[PAGE_BYTES];

	while (n > 0) {
		size_t index = offset / PAGE_BYTES;
		size_t at = offset % PAGE_BYTES;
		size_t part = n < PAGE_BYTES - at ? n : PAGE_BYTES - at;

		content_page(c, index, bytes);
		memcpy(bytes + at, from, part);
		content_set_page(new, index, bytes);
		from += part;
		offset += part;
		n -= part;
	}
	return new;
}

size_t content_read(const struct content *c, void *buf, size_t n, uint64_t offset)
{
	uint8_t *to = buf;
	uint8_t bytes[PAGE_BYTES];
	size_t done = 0;

	if (offset >= c->size_bytes)
		return 0;
	if (n > c->size_bytes - offset)
		n = c->size_bytes - offset;
	while (done < n) {
		size_t at = (offset + done) % PAGE_BYTES;
		size_t part = n - done < PAGE_BYTES - at ? n - done : PAGE_BYTES - at;

		content_page(c, (offset + done) / PAGE_BYTES, bytes);
		memcpy(to + done, bytes + at, part);
		done += part;
	}
	return n;
}

static struct names *names_alloc(size_t count)
{
	struct names *n = sim_alloc(sizeof(*n) + count * sizeof(n->list[0]));

	atomic_init(&n->refs, 1);
	return n;
}

struct names *names_new(void)
{
	return names_alloc(0);
}

struct names *names_ref(struct names *n)
{
	atomic_fetch_add(&n->refs, 1);
	return n;
}

void names_unref(struct names *n)
{
	if (n == NULL || atomic_fetch_sub(&n->refs, 1) != 1)
		return;
	for (size_t i = 0; i < n->count; i++)
		free(n->list[i].text);
	free(n);
}

static void names_add(struct names *n, const char *text, uint64_t inode)
{
	n->list[n->count++] = (struct name){ sim_strdup(text, strlen(text)), inode };
}

struct names *names_set(const struct names *n, const char *text, uint64_t inode)
{
	struct names *new = names_alloc(n->count + 1);

	for (size_t i = 0; i < n->count; i++) {
		if (strcmp(n->list[i].text, text) != 0)
			names_add(new, n->list[i].text, n->list[i].inode);
	}
	if (inode != NAMES_NONE)
		names_add(new, text, inode);
	return new;
}

uint64_t names_find(const struct names *n, const char *text)
{
	for (size_t i = 0; i < n->count; i++) {
		if (strcmp(n->list[i].text, text) == 0)
			return n->list[i].inode;
	}
	return NAMES_NONE;
}
