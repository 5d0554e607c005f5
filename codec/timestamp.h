/* SPDX-License-Identifier: MIT */
/* Times as text: UTC with nanoseconds, in the format of ISO 8601.  Threads: any. */
#ifndef FREYJAFS_CODEC_TIMESTAMP_H
#define FREYJAFS_CODEC_TIMESTAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"

/* Size of "2026-11-24T12:00:00.123456789Z" with its NUL. */
#define TIMESTAMP_BYTES 31

/* Writes the time 'ns' since the epoch, always with nine digits of fraction.  Returns 'buf'. */
const char *timestamp_format(uint64_t ns, char buf[TIMESTAMP_BYTES]);

/* Parses the output of timestamp_format(); the fraction may have fewer digits or be absent.
 * Returns false for any other text, and for times before 1970 or after 2262. */
bool timestamp_parse(const char *text, uint64_t *ret_ns) WARN_UNUSED;

/* Parses a time as a person writes it: as timestamp_parse(), also with an offset ("+01:00") instead
 * of the Z; a day, which means its beginning in UTC; "@SECONDS" or "@SECONDS.FRACTION" since the
 * epoch; "now"; "-1h", which is one hour before 'now_ns' (units s m h d); or "yesterday", which is
 * "-1d".  Returns false for any other text. */
bool timestamp_parse_human(const char *text, uint64_t now_ns, uint64_t *ret_ns) WARN_UNUSED;

/* A list of the accepted forms, for messages. */
#define TIMESTAMP_LEGAL                                                                       \
	"2026-11-24T12:00:00Z (UTC), the same with +01:00 for Z, 2026-11-24, @SECONDS, now, " \
	"yesterday, or -1h (units s m h d)"

#endif
