/* SPDX-License-Identifier: MIT */
/* Times as text, and back: UTC with nanoseconds, as ISO 8601 writes them.  Threads: any. */
#ifndef FREYJAFS_CODEC_TIMESTAMP_H
#define FREYJAFS_CODEC_TIMESTAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"

/* "2026-11-24T12:00:00.123456789Z" and a NUL */
#define TIMESTAMP_BYTES 31

/* Writes 'ns' since the epoch: always with nine digits behind the second.  Returns 'buf'. */
const char *timestamp_format(uint64_t ns, char buf[TIMESTAMP_BYTES]);

/* Reads what timestamp_format() writes; fewer digits behind the second, or none, are legal, too.
 * False: anything else, and what lies before 1970 or after 2262. */
bool timestamp_parse(const char *text, uint64_t *ret_ns) WARN_UNUSED;

/* What a person may write: the same, also with an offset ("+01:00") in the place of the Z; a day,
 * which is its beginning in UTC; "@SECONDS" or "@SECONDS.FRACTION" since the epoch; "now"; "-1h",
 * so long before 'now_ns' (units s m h d); or "yesterday", which is "-1d".  False: anything else.
 */
bool timestamp_parse_human(const char *text, uint64_t now_ns, uint64_t *ret_ns) WARN_UNUSED;

/* What timestamp_parse_human() takes, for messages. */
#define TIMESTAMP_LEGAL                                                                       \
	"2026-11-24T12:00:00Z (UTC), the same with +01:00 for Z, 2026-11-24, @SECONDS, now, " \
	"yesterday, or -1h (units s m h d)"

#endif
