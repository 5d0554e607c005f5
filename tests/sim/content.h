/* SPDX-License-Identifier: MIT */
/* The content of a simulated file or directory at one moment.  Contents never change: each change
 * makes a new one that shares the unchanged parts.  Reference-counted.  Threads: any. */
#ifndef FREYJAFS_TESTS_SIM_CONTENT_H
#define FREYJAFS_TESTS_SIM_CONTENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES 4096

struct page {
	atomic_uint refs;
	uint8_t bytes[PAGE_BYTES];
};

/* The bytes of a file.  Bytes of the last page behind the end are zero. */
struct content {
	atomic_uint refs;
	uint64_t size_bytes;
	size_t page_count;    /* size_bytes / PAGE_BYTES, rounded up */
	struct page *pages[]; /* NULL: zeros */
};

struct content *content_new(uint64_t size_bytes); /* zeros */
struct content *content_ref(struct content *c);
void content_unref(struct content *c);
/* Returns 'c' with 'n' bytes at 'offset' replaced, extended if necessary. */
struct content *content_write(const struct content *c, const void *buf, size_t n, uint64_t offset);
struct content *content_resize(const struct content *c, uint64_t size_bytes);
/* Copies up to 'n' bytes from 'offset'; returns their number. */
size_t content_read(const struct content *c, void *buf, size_t n, uint64_t offset);
/* Copies the bytes of page 'index', or zeros for a missing page. */
void content_page(const struct content *c, size_t index, uint8_t out[PAGE_BYTES]);
/* Sets a page of a content that no other thread has seen yet. */
void content_set_page(struct content *c, size_t index, const uint8_t bytes[PAGE_BYTES]);
/* As content_set_page(), but shares the page of 'from'. */
void content_share_page(struct content *c, const struct content *from, size_t index);

/* The names in a directory. */
struct name {
	char *text; /* owned */
	uint64_t inode;
};

struct names {
	atomic_uint refs;
	size_t count;
	struct name list[];
};

struct names *names_new(void);
struct names *names_ref(struct names *n);
void names_unref(struct names *n);
/* Returns 'n' with 'text' pointing at 'inode'; NAMES_NONE removes the name. */
#define NAMES_NONE UINT64_MAX
struct names *names_set(const struct names *n, const char *text, uint64_t inode);
/* Returns the inode, or NAMES_NONE. */
uint64_t names_find(const struct names *n, const char *text);

/* Allocation that cannot fail. */
void *sim_alloc(size_t n); /* zeroed */
void *sim_realloc(void *p, size_t n);
char *sim_strdup(const char *text, size_t n);

#endif
