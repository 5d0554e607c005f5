/* SPDX-License-Identifier: MIT */
/* The common part of all unit tests: cmocka and a few helpers for files.  If a helper fails, the
 * test that called it fails. */
#ifndef FREYJAFS_TESTS_UNIT_UNIT_H
#define FREYJAFS_TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/compiler.h"

#ifndef GOLDEN_DIR
#error "meson.build defines GOLDEN_DIR"
#endif

/* AddressSanitizer or ThreadSanitizer is compiled in. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNIT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNIT_SANITIZED 1
#endif
#endif
#ifndef UNIT_SANITIZED
#define UNIT_SANITIZED 0
#endif

/* A file in memory; free() 'data'. */
struct unit_file {
	uint8_t *data;
	size_t bytes;
};

/* Builds a path from parts into a static buffer that lives for eight more calls. */
const char *unit_path(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* The path of a file of segment 'number' in 'dir', of its newest generation; "NNNNNN" and 'suffix'
 * if there is none.  Lives as that of unit_path(). */
const char *unit_segment_path(const char *dir, uint64_t number, const char *suffix);

struct unit_file unit_read_file(const char *path);
/* As unit_read_file(), for a file of /proc, which has no size. */
struct unit_file unit_read_proc(const char *path);
void unit_write_file(const char *path, const void *data, size_t bytes);
/* Says whether there is a file; fails the test for any other error than ENOENT. */
int unit_exists(const char *path);
uint64_t unit_file_bytes(const char *path);

/* A new empty directory below $TMPDIR, and its removal with all that is in it. */
char *unit_tmpdir(void);
void unit_tmpdir_remove(char *path);

/* cmocka setup and teardown: *state is a unit_tmpdir(). */
int unit_setup_tmpdir(void **state);
int unit_teardown_tmpdir(void **state);

/* Names of rows made in a loop: a copy that is never freed. */
const char *unit_name(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Runs rows that were counted at run time. */
int unit_run(const char *group, const struct CMUnitTest *tests, size_t count);

#endif
