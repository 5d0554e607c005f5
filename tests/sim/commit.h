/* SPDX-License-Identifier: MIT */
/* Commits whose content follows from a thread number and a counter, so that a test which finds one
 * in a log knows what it must be.  Threads: any. */
#ifndef FREYJAFS_TESTS_SIM_COMMIT_H
#define FREYJAFS_TESTS_SIM_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/meta.h"
#include "codec/record.h"
#include "writer/log_writer.h"

#define COMMIT_KEY_BYTES 64
#define COMMIT_WHY_BYTES 256
#define COMMIT_THREADS	 4

struct commit_style {
	bool groups; /* every third commit is a group of records */
	bool huge;   /* number 5 has a value that no buffer holds */
};

struct commit {
	uint8_t keys[LOG_WRITER_GROUP_MAX][COMMIT_KEY_BYTES];
	uint8_t attrs[LOG_WRITER_GROUP_MAX][META_ATTR_BYTES_MAX];
	struct record records[LOG_WRITER_GROUP_MAX];
	size_t count;
	uint8_t *value; /* of the last record; owned */
};

void commit_make(const struct commit_style *style, uint64_t thread, uint64_t number,
		 struct commit *ret);
void commit_free(struct commit *c);

/* Appends the commit to a log and, if 'durable', waits until it is.  0 or -errno. */
int commit_append(const struct commit_style *style, struct log_writer *w, uint64_t thread,
		  uint64_t number, bool durable) WARN_UNUSED;

/* Says which commit the records are.  -EPROTO: none, or not whole; 'why' says how. */
int commit_check(const struct commit_style *style, const struct log_entry *entries, size_t count,
		 uint64_t *ret_thread, uint64_t *ret_number,
		 char why[COMMIT_WHY_BYTES]) WARN_UNUSED;

#endif
