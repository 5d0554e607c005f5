/* SPDX-License-Identifier: MIT */
/* freyjactl verify: a command about the whole log. */
#include "mount-helpers/ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "writer/log_writer.h"

/* --- verify --- */

struct totals {
	uint64_t records, commits, bytes;
};

static int count(void *arg, const struct log_entry *entries, size_t entry_count, struct diag *diag)
{
	struct totals *t = arg;

	t->commits++;
	t->records += entry_count;
	for (size_t i = 0; i < entry_count; i++)
		t->bytes += entries[i].bytes;
	return 0;
}

enum ctl_exit ctl_verify(const char *datadir, char *const args[], int arg_count)
{
	struct log_writer_config config = {
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = LOG_WRITER_SEGMENT_MAX,
		.read_only = true,
		.ignore_hints = true,
	};
	struct log_recovery found = { 0 };
	struct log_writer *w = NULL;
	struct diag diag = { "" };
	struct totals t = { 0 };
	char *path;
	int err;

	if (asprintf(&path, "%s/active.data", datadir) < 0)
		return ctl_failed(-ENOMEM, datadir, NULL);
	config.file_path = path;
	err = log_writer_open_replay(&config, count, &t, &w, &found, &diag);
	(void)!log_writer_close(w); /* read only */
	free(path);
	if (err < 0)
		return ctl_failed(err, datadir, &diag);
	printf("%" PRIu64 " sealed segments, %" PRIu64 " commits, %" PRIu64 " records, %" PRIu64
	       " bytes: every CRC is right\n",
	       found.segments, t.commits, t.records, t.bytes);
	if (found.stop.scan != RECORD_END)
		printf("%" PRIu64
		       " bytes at the end are no whole record (%s): a write that goes on, "
		       "or what a crash has left; the next mount cuts them\n",
		       found.file_bytes - found.kept_bytes, record_reason_text(found.stop.reason));
	return ctl_flush(CTL_OK);
}
