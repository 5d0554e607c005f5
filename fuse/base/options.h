/* SPDX-License-Identifier: MIT */
/* The command line of freyjafs: freyjafs DATADIR MOUNTPOINT [-f] [-d] [-o name=value,...].
 *
 * OPTIONS_TABLE is the only list of freyjafs's own options.  The struct, the parser, the range
 * check and --help are generated from it; a unit test compares the man page with it.  Numbers are
 * parsed strictly: "10x", "-1" and numbers that do not fit into 64 bits are errors.
 *
 * Threads: the functions keep no state, except that options_parse() calls getopt_long(3), whose
 * state is global: one thread at a time. */
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
	OPTION_DURATION, /* ns; "0", a number with a unit ms s m h d, or "never" */
	OPTION_SIZE,	 /* bytes; a number, which one of K M G may follow */
	OPTION_HEADROOM, /* bytes as OPTION_SIZE, "auto" (LOG_WRITER_HEADROOM_AUTO), or "off" (0) */
	OPTION_ID,	 /* uid or gid */
	OPTION_MODE,	 /* permission bits, octal */
	OPTION_PERCENT,	 /* a number, or "never" */
	OPTION_LOSS,	 /* reaction to a loss: "refuse" (0) or "accept" (1) */
	OPTION_TIME,	 /* ns since the epoch, as timestamp_parse_human() parses it; 0: "off" */
	OPTION_FLAG,	 /* "off" (0) or "on" (1); the name without a value means on */
	OPTION_WANTED,	 /* enum option_wanted: "auto", "on" or "off" */
};

enum option_wanted {
	OPTION_AUTO, /* if it is available */
	OPTION_ON,   /* the mount fails if it is not available */
	OPTION_OFF,
};

#define OPTION_RETAIN_MAX_NS INT64_C(315360000000000000) /* ten years */
#define OPTION_TIME_NOW	     INT64_MAX			 /* at=now: the end of the log */
#define OPTION_OWN_ID	     (-1)			 /* uid, gid: the daemon's own */
/* One week.  Scrubbing finds damage while there are still backups from before it, and reading the
 * whole log once a week costs little. (No scrub runs at the start: it would slow the mount down.)
 */
#define OPTION_SCRUB_DEFAULT_NS INT64_C(604800000000000)

/* X(name = field, kind, default, min, max, help).  Besides 'min' ... 'max', OPTION_DURATION accepts
 * 0, OPTION_DURATION and OPTION_PERCENT accept "never" (LOG_WRITER_NEVER), and OPTION_HEADROOM
 * accepts its words. */
#define OPTIONS_TABLE(X)                                                                           \
	X(fsync_interval, OPTION_DURATION, INT64_C(1000000000), INT64_C(10000000),                 \
	  LOG_WRITER_INTERVAL_MAX_NS,                                                              \
	  "a power failure loses at most this much time of acknowledged changes; 0: nothing, "     \
	  "never: the kernel decides")                                                             \
	X(buffer_size, OPTION_SIZE, 0, 0, LOG_WRITER_BUFFER_MAX,                                   \
	  "acknowledged bytes that may wait in the daemon's memory, lost if it dies")              \
	X(segment_size, OPTION_SIZE, INT64_C(1) << 30, INT64_C(65536), LOG_WRITER_SEGMENT_MAX,     \
	  "size of active.data at which the log continues in a new file")                          \
	X(preallocate, OPTION_HEADROOM, LOG_WRITER_HEADROOM_AUTO, 0, LOG_WRITER_HEADROOM_MAX,      \
	  "zeros kept behind the end of active.data, so that a sync commits no metadata; auto: "   \
	  "while programs keep calling fsync")                                                     \
	X(pending_max, OPTION_SIZE, INT64_C(64) << 20, INT64_C(4) << 20, INT64_C(1) << 40,         \
	  "limit of bytes in memory that programs have written and no close has committed")        \
	X(compact_at, OPTION_PERCENT, 50, 10, 90,                                                  \
	  "compacts a sealed file of the log if this percentage of its bytes can be gained")       \
	X(retain, OPTION_DURATION, 0, INT64_C(1000000000), OPTION_RETAIN_MAX_NS,                   \
	  "does not compact files of the log with records younger than this; never: no file")      \
	X(scrub, OPTION_DURATION, OPTION_SCRUB_DEFAULT_NS, INT64_C(1000000000),                    \
	  OPTION_RETAIN_MAX_NS,                                                                    \
	  "reads and checks the whole log this long after the mount and after the last check")     \
	X(missing_segments, OPTION_LOSS, 0, 0, 1,                                                  \
	  "accept: mount even if files of the log are missing, without their contents")            \
	X(foreign_datadir, OPTION_LOSS, 0, 0, 1,                                                   \
	  "accept: mount even a DATADIR that belongs to another user, or that others may write")   \
	X(at, OPTION_TIME, 0, 1, INT64_MAX,                                                        \
	  "mounts the store read-only as it was at this time, also while it is mounted elsewhere") \
	X(io_uring, OPTION_WANTED, OPTION_AUTO, OPTION_AUTO, OPTION_OFF,                           \
	  "gets requests by io_uring, which is faster; auto: if the kernel offers it, on: the "    \
	  "mount fails without it")                                                                \
	X(uid, OPTION_ID, OPTION_OWN_ID, 0, UINT32_MAX - 1,                                        \
	  "owner of files and directories that have none in the log")                              \
	X(gid, OPTION_ID, OPTION_OWN_ID, 0, UINT32_MAX - 1,                                        \
	  "group of files and directories that have none in the log")                              \
	X(inode32, OPTION_FLAG, 0, 0, 1,                                                           \
	  "inode numbers of 32 bits, for 32-bit programs; they change with each mount")            \
	X(umask, OPTION_MODE, 022, 0, 0777,                                                        \
	  "permission bits cleared for files and directories that have no mode in the log")

struct options {
#define OPTIONS_FIELD(name, kind, def, min, max, help) int64_t name;
	OPTIONS_TABLE(OPTIONS_FIELD)
#undef OPTIONS_FIELD
	bool foreground; /* -f */
	bool debug;	 /* -d: libfuse prints each request; implies -f */
	bool help;	 /* -h; then the other arguments are not checked */
	bool version;
	bool has_fsname, has_subtype; /* 'mount_options' contains this option */
	bool nosymfollow; /* libfuse does not know it: the daemon sets it after the mount */
	unsigned int max_read_bytes; /* 0: the kernel's default; 'mount_options' contains it, too */
	const char *datadir;	     /* borrowed from argv */
	const char *mountpoint;	     /* borrowed from argv */
	char *mount_options;	     /* owned; for libfuse, comma-separated, may be "" */
};

/* One row of OPTIONS_TABLE. */
struct option_row {
	const char *name;
	enum option_kind kind;
	int64_t default_value, min, max;
	const char *help;
	size_t field_offset; /* in struct options */
};
extern const struct option_row options_rows[];
extern const size_t options_row_count;

/* Parses the command line into 'ret'; options that are not given get their default.  Returns 0,
 * -EINVAL with one line for the user in 'diag', or -ENOMEM.  'ret' borrows 'datadir' and
 * 'mountpoint' from 'argv'.  The caller must call options_free() on 'ret', also after a failure. */
int options_parse(int argc, char *const argv[], struct options *ret, struct diag *diag) WARN_UNUSED;
/* Frees the memory that 'o' owns. */
void options_free(struct options *o);

/* Formats 'value' as the value of an option of this kind ("1s", "64K", "022").  Returns 'buf'. */
#define OPTION_TEXT_BYTES 64
const char *options_value_text(enum option_kind kind, int64_t value, char buf[OPTION_TEXT_BYTES]);
/* Formats the values that an option accepts ("0, 10ms ... 1h, never").  Returns 'buf'. */
#define OPTION_RANGE_BYTES 200
const char *options_range_text(const struct option_row *row, char buf[OPTION_RANGE_BYTES]);

/* Prints the text of --help. */
void options_print_help(FILE *f);

#endif
