/* SPDX-License-Identifier: MIT */
/* The command line: freyjafs DATADIR MOUNTPOINT [-f] [-d] [-o name=value,...].
 *
 * OPTIONS_TABLE is the only list of our options: the struct, the parser, the range check, the help
 * and (by a unit test) the man page follow it.  Numbers are parsed here and strictly: "10x", "-1"
 * and what does not fit are errors.  Threads: one at a time. */
#ifndef FREYJAFS_FUSE_BASE_OPTIONS_H
#define FREYJAFS_FUSE_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "codec/compiler.h"
#include "writer/base/diag.h"
#include "writer/log_writer.h"

enum option_kind {
	OPTION_DURATION, /* ns; "0", a number with a unit ms s m h, or "never" */
	OPTION_SIZE,	 /* bytes; a number, which a K M G may follow */
	OPTION_ID,	 /* uid or gid */
	OPTION_MODE,	 /* permission bits, octal */
	OPTION_PERCENT,	 /* a number, or "never" */
	OPTION_LOSS,	 /* what a loss is met with: "refuse" (0) or "accept" (1) */
	OPTION_TIME,	 /* ns since the epoch, as timestamp_parse_human() reads it; 0: "off" */
	OPTION_FLAG,	 /* "off" (0) or "on" (1); the name alone is on */
	OPTION_WANTED,	 /* enum option_wanted: "auto", "on" or "off" */
};

enum option_wanted {
	OPTION_AUTO, /* if it can be had */
	OPTION_ON,   /* or nothing */
	OPTION_OFF,
};

#define OPTION_RETAIN_MAX_NS INT64_C(315360000000000000) /* ten years */
#define OPTION_TIME_NOW	     INT64_MAX			 /* at: the end of the log */
#define OPTION_OWN_ID	     (-1)			 /* uid, gid: those of the daemon */
/* A week: what rots is found while there are backups without it, and reading all of the log so
 * often costs little.  (Not at each start, which would be slower by it.) */
#define OPTION_SCRUB_DEFAULT_NS INT64_C(604800000000000)

/* X(name = field, kind, default, min, max, help).  Beside 'min' ... 'max' "never"
 * (LOG_WRITER_NEVER) is legal for OPTION_DURATION and OPTION_PERCENT, and 0 for OPTION_DURATION. */
#define OPTIONS_TABLE(X)                                                                           \
	X(fsync_interval, OPTION_DURATION, INT64_C(1000000000), INT64_C(10000000),                 \
	  LOG_WRITER_INTERVAL_MAX_NS,                                                              \
	  "at most this much of acknowledged changes is lost on a power failure; 0: none, never: " \
	  "left to the kernel")                                                                    \
	X(buffer_size, OPTION_SIZE, 0, 0, LOG_WRITER_BUFFER_MAX,                                   \
	  "acknowledged bytes that may wait in the daemon's memory, lost if it dies")              \
	X(segment_size, OPTION_SIZE, INT64_C(1) << 30, INT64_C(65536), LOG_WRITER_SEGMENT_MAX,     \
	  "the log goes on in a new file when active.data has grown to this")                      \
	X(preallocate, OPTION_SIZE, 0, 0, LOG_WRITER_ROOM_MAX,                                     \
	  "zeros kept ready behind the end of active.data, so that a sync commits no metadata")    \
	X(pending_max, OPTION_SIZE, INT64_C(64) << 20, INT64_C(4) << 20, INT64_C(1) << 40,         \
	  "at most so many bytes that no close has committed yet are kept in memory")              \
	X(compact_at, OPTION_PERCENT, 50, 10, 90,                                                  \
	  "a sealed file of the log is compacted when so many percent of it can be gained")        \
	X(retain, OPTION_DURATION, 0, INT64_C(1000000000), OPTION_RETAIN_MAX_NS,                   \
	  "files of the log with anything younger than this are not compacted; never: none are")   \
	X(scrub, OPTION_DURATION, OPTION_SCRUB_DEFAULT_NS, INT64_C(1000000000),                    \
	  OPTION_RETAIN_MAX_NS,                                                                    \
	  "all of the log is read and checked this long after the mount and after the last time")  \
	X(missing_segments, OPTION_LOSS, 0, 0, 1,                                                  \
	  "accept: mount also when files of the log are missing, without what was in them")        \
	X(foreign_datadir, OPTION_LOSS, 0, 0, 1,                                                   \
	  "accept: mount also a DATADIR that belongs to another user, or that others may write")   \
	X(at, OPTION_TIME, 0, 1, INT64_MAX,                                                        \
	  "mounts the store read-only as it was at this time, also while it is mounted elsewhere") \
	X(io_uring, OPTION_WANTED, OPTION_AUTO, OPTION_AUTO, OPTION_OFF,                           \
	  "requests come by io_uring, which is faster; auto: if the kernel offers it, on: or do "  \
	  "not mount")                                                                             \
	X(uid, OPTION_ID, OPTION_OWN_ID, 0, UINT32_MAX - 1,                                        \
	  "owner of files and directories that have no other in the log")                          \
	X(gid, OPTION_ID, OPTION_OWN_ID, 0, UINT32_MAX - 1,                                        \
	  "group of files and directories that have no other in the log")                          \
	X(inode32, OPTION_FLAG, 0, 0, 1,                                                           \
	  "inode numbers of 32 bits, for 32-bit programs; others after each mount")                \
	X(umask, OPTION_MODE, 022, 0, 0777,                                                        \
	  "permissions taken from those that have none in the log")

struct options {
#define OPTIONS_FIELD(name, kind, def, min, max, help) int64_t name;
	OPTIONS_TABLE(OPTIONS_FIELD)
#undef OPTIONS_FIELD
	bool foreground; /* -f */
	bool debug;	 /* -d: libfuse's, implies -f */
	bool help;	 /* then nothing else needs to be right */
	bool version;
	bool has_fsname, has_subtype; /* among 'mount_options' */
	bool nosymfollow;	      /* libfuse does not know it: set after the mount */
	unsigned int max_read_bytes;  /* 0: the kernel's; among 'mount_options', too */
	const char *datadir;	      /* borrowed from argv */
	const char *mountpoint;	      /* borrowed from argv */
	char *mount_options;	      /* owned; for libfuse, comma-separated, maybe "" */
};

/* One row of the table. */
struct option_row {
	const char *name;
	enum option_kind kind;
	int64_t default_value, min, max;
	const char *help;
	size_t field_offset; /* in struct options */
};
extern const struct option_row options_rows[];
extern const size_t options_row_count;

/* Parses the command line.  0, or -EINVAL with the line for the user in 'diag', or -ENOMEM.  'ret'
 * borrows from 'argv' and is to be freed by options_free(), also after a failure. */
int options_parse(int argc, char *const argv[], struct options *ret, struct diag *diag) WARN_UNUSED;
void options_free(struct options *o);

/* Writes 'value' as an option of this kind would say it ("1s", "64K", "022").  Returns 'buf'. */
#define OPTION_TEXT_BYTES 64
const char *options_value_text(enum option_kind kind, int64_t value, char buf[OPTION_TEXT_BYTES]);
/* Writes the legal range of a row: "0, 10ms ... 1h, never". */
#define OPTION_RANGE_BYTES 200
const char *options_range_text(const struct option_row *row, char buf[OPTION_RANGE_BYTES]);

void options_print_help(FILE *f);

#endif
