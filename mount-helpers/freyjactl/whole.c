/* SPDX-License-Identifier: MIT */
/* freyjactl verify and compact: the commands for the whole log. */
#include "mount-helpers/freyjactl/ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "mount-helpers/common/key_text.h"
#include "writer/log_writer.h"
#include "writer/base/progress.h"
#include "writer/index/lost.h"
#include "writer/index/replay.h"
#include "writer/log/names.h"

/* --- verify --- */

struct totals {
	uint64_t records, commits, bytes;
	struct keydir *keydir; /* the tree that the log describes */
};

static int count_commit(void *arg, const struct log_entry *entries, size_t entry_count,
			struct diag *diag)
{
	struct totals *t = arg;

	t->commits++;
	t->records += entry_count;
	for (size_t i = 0; i < entry_count; i++)
		t->bytes += entries[i].bytes;
	return replay_commit(t->keydir, "the log", entries, entry_count, diag);
}

static int print_lost(void *arg, const struct lost_name *lost)
{
	uint64_t *count = arg;

	(*count)++;
	key_text_print(stdout, lost->path, lost->path_bytes);
	printf(": %" PRIu64 " of %" PRIu64 " bytes are no longer in the log\n", lost->lost_bytes,
	       lost->size_bytes);
	return 0;
}

/* Prints the names that cannot be read whole. */
static enum ctl_exit print_all_lost(struct keydir *k)
{
	uint64_t count = 0;
	int err = lost_each(k, print_lost, &count);

	if (err < 0)
		return ctl_failed(err, "the tree", NULL);
	if (count == 0)
		return CTL_OK;
	warnx("%" PRIu64 " names cannot be read whole: see fsck.freyjafs", count);
	return CTL_DATA;
}

enum ctl_exit ctl_verify(const char *datadir, char *const args[], int arg_count)
{
	struct log_writer_config config = {
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = LOG_WRITER_SEGMENT_MAX,
		.read_only = true,
		.ignore_hints = true,
	};
	const struct keydir_defaults defaults = { .umask = 022 };
	enum ctl_exit status = CTL_OK;
	struct log_recovery found = { 0 };
	struct log_writer *w = NULL;
	struct diag diag = { "" };
	struct totals t = { 0 };
	char *path;
	int err;

	if (asprintf(&path, "%s/" ACTIVE_NAME, datadir) < 0)
		return ctl_failed(-ENOMEM, datadir, NULL);
	config.file_path = path;
	err = keydir_create(&defaults, &t.keydir);
	if (err == 0)
		err = log_writer_open_replay(&config, count_commit, &t, &w, &found, &diag);
	(void)!log_writer_close(w); /* read only */
	free(path);
	if (err == 0)
		status = print_all_lost(t.keydir);
	keydir_free(t.keydir);
	if (err < 0)
		return ctl_failed(err, datadir, &diag);
	printf("%" PRIu64 " sealed segments, %" PRIu64 " commits, %" PRIu64 " records, %" PRIu64
	       " bytes: every CRC is right\n",
	       found.segments, t.commits, t.records, t.bytes);
	if (found.stop.scan != RECORD_END)
		printf("%" PRIu64 " bytes at the end are not a whole record (%s): a write in "
		       "progress, or a torn tail after a crash; the next mount cuts them\n",
		       found.file_bytes - found.kept_bytes, record_reason_text(found.stop.reason));
	return ctl_flush(status);
}

/* --- compact --- */

static int show_progress(void *arg, uint64_t done_bytes, uint64_t all_bytes)
{
	progress_show(arg, done_bytes, all_bytes);
	return 0;
}

enum ctl_exit ctl_compact(const char *datadir, char *const args[], int arg_count)
{
	struct store *s = NULL;
	enum ctl_exit status = ctl_open(datadir, false, &s);
	struct store_stats stats;
	struct progress progress;
	int err;

	if (status != CTL_OK)
		return status;
	progress_begin(&progress, STDERR_FILENO, "freyjactl: compacting");
	err = store_compact(s, show_progress, &progress);
	progress_end(&progress);
	if (err < 0)
		status = ctl_failed(err, datadir, NULL);
	store_stats(s, &stats);
	printf("%" PRIu64 " segments written anew, %" PRIu64 " bytes gained\n",
	       stats.compaction.segments, stats.compaction.gained_bytes);
	if (stats.compaction.folds > 0)
		printf("the oldest segments were folded into one\n");
	if (stats.compaction.unreadable_segments > 0)
		warnx("%" PRIu64 " segments are damaged and were left unchanged: see "
		      "fsck.freyjafs",
		      stats.compaction.unreadable_segments);
	err = store_close(s);
	if (err < 0 && status == CTL_OK) {
		(void)ctl_failed(err, datadir, NULL);
		status = CTL_NOT_DURABLE;
	}
	return ctl_flush(status);
}
