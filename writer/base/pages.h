/* SPDX-License-Identifier: MIT */
/* Memory pages from the operating system: untouched pages use no memory, and unmapped pages are
 * returned to the system immediately.  Threads: any. */
#ifndef FREYJAFS_WRITER_BASE_PAGES_H
#define FREYJAFS_WRITER_BASE_PAGES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define PAGES_HUGE_BYTES ((size_t)2 * 1024 * 1024)

/* Maps 'bytes' of zeros, aligned to 'align', a power of two and a multiple of the page size.  The
 * caller unmaps them with pages_unmap().  With PAGES_HUGE_BYTES they are in huge pages if the
 * system has them: fewer misses of address translation, and a granularity of two megabytes.  NULL:
 * no memory. */
static inline void *pages_map(size_t bytes, size_t align)
{
	uint8_t *p = mmap(NULL, bytes + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	size_t front;

	if (p == MAP_FAILED)
		return NULL;
	front = (align - ((uintptr_t)p & (align - 1))) & (align - 1);
	if (front > 0)
		(void)munmap(p, front);
	(void)munmap(p + front + bytes, align - front);
	if (align == PAGES_HUGE_BYTES)
		(void)madvise(p + front, bytes, MADV_HUGEPAGE);
	return p + front;
}

/* Unmaps all or part of a mapping, in multiples of a page.  NULL is a no-op. */
static inline void pages_unmap(void *p, size_t bytes)
{
	if (p != NULL && bytes > 0)
		(void)munmap(p, bytes);
}

#endif
