/* SPDX-License-Identifier: MIT */
/* The text of /metrics: the numbers of /status in the text format of Prometheus, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).  Threads: any. */
#include "fuse/virtual/virtual.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuse/mount/fs.h"

/* The values of one moment. */
struct sample {
	struct store_stats stats;
	struct io_space space; /* of the file system with DATADIR */
	uint64_t pending_bytes;
};

/* Indexed by enum store_compaction_state. */
static const char *const compaction_states[] = {
	[STORE_COMPACTION_IDLE] = "idle",	 [STORE_COMPACTION_RUNNING] = "running",
	[STORE_COMPACTION_NO_SPACE] = "waiting", [STORE_COMPACTION_FAILED] = "failed",
	[STORE_COMPACTION_NOT_SAFE] = "off",
};

static void head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP freyjafs_%s %s\n# TYPE freyjafs_%s %s\n", name, help, name, type);
}

static void gauge(FILE *f, const char *name, uint64_t value, const char *help)
{
	head(f, name, "gauge", help);
	fprintf(f, "freyjafs_%s %" PRIu64 "\n", name, value);
}

/* Prints a counter, which begins at 0 with the mount. */
static void counter(FILE *f, const char *name, uint64_t value, const char *help)
{
	head(f, name, "counter", help);
	fprintf(f, "freyjafs_%s %" PRIu64 "\n", name, value);
}

/* Prints the value of a label in quotes. */
static void print_quoted(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			fputs("\\n", f);
		else if (*text == '"' || *text == '\\')
			fprintf(f, "\\%c", *text);
		else
			fputc(*text, f);
	}
	fputc('"', f);
}

static void print_info(FILE *f, const struct fs *fs)
{
	struct diag transport = { "" };

	fs->transport->describe(&transport);
	head(f, "info", "gauge",
	     "Always 1; the labels say which version serves which directories.");
	fprintf(f, "freyjafs_info{version=\"%s\",datadir=", FREYJAFS_VERSION);
	print_quoted(f, fs->datadir);
	fprintf(f, ",mountpoint=");
	print_quoted(f, fs->mountpoint);
	fprintf(f, ",transport=");
	print_quoted(f, transport.text);
	fprintf(f, "} 1\n");
	gauge(f, "mount_time_seconds",
	      fs->mounted_at.tv_sec > 0 ? (uint64_t)fs->mounted_at.tv_sec : 0,
	      "Time of the mount, in seconds since the epoch.");
}

static void print_log(FILE *f, const struct log_writer_stats *log)
{
	gauge(f, "poisoned", log->poison != 0,
	      "1: a sync has failed, so every write fails until the next mount.");
	gauge(f, "end_offset_bytes", log->end_position, "Position of the end of the log.");
	gauge(f, "durable_offset_bytes", log->durable_position,
	      "Position up to which the log survives a power cut.");
	gauge(f, "segment", log->segments, "Number of the active segment.");
	counter(f, "failed_rotations_total", log->rotate_failures,
		"Failed rotations: the log could not continue in a new segment.");
	gauge(f, "log_bytes", log->active_bytes + log->sealed_bytes, "Size of the log.");
	counter(f, "appends_total", log->appends, "Commits appended to the log.");
	head(f, "sync_seconds", "summary", "Duration of syncs of the log.");
	fprintf(f, "freyjafs_sync_seconds_sum %.9f\n", (double)log->sync_ns_total / 1e9);
	fprintf(f, "freyjafs_sync_seconds_count %" PRIu64 "\n", log->syncs);
	head(f, "sync_seconds_max", "gauge", "Duration of the longest sync.");
	fprintf(f, "freyjafs_sync_seconds_max %.9f\n", (double)log->sync_ns_max / 1e9);
}

static void print_store(FILE *f, const struct sample *s)
{
	gauge(f, "files", s->stats.files, "Files with a name.");
	gauge(f, "directories", s->stats.directories, "Directories, without the root.");
	gauge(f, "unnamed_keys", s->stats.unnamed_keys, "Unnameable keys: no path can have them.");
	gauge(f, "incomplete_names", s->stats.incomplete_names,
	      "Names whose content was not complete in the log when it was opened.");
	gauge(f, "live_bytes", s->stats.live_bytes, "Bytes of the log that files are read from.");
	head(f, "clock_behind_seconds", "gauge",
	     "Seconds by which the clock is behind the last record.");
	fprintf(f, "freyjafs_clock_behind_seconds %.3f\n", (double)s->stats.clock_behind_ns / 1e9);
	gauge(f, "pending_bytes", s->pending_bytes,
	      "Bytes written to files and not committed yet.");
	gauge(f, "reserve_missing", s->stats.reserve_missing,
	      "1: there is no reserve for deleting on a full disk.");
	gauge(f, "disk_bytes", s->space.blocks * s->space.block_bytes,
	      "Size of the file system that holds the log.");
	gauge(f, "disk_available_bytes", s->space.blocks_available * s->space.block_bytes,
	      "Bytes of that file system that are free for the log.");
}

static void print_troubles(FILE *f, const struct troubles *t)
{
	counter(f, "failed_reads_total", atomic_load(&t->counts[TROUBLE_READ]),
		"Reads of values that got EIO: the record is damaged, or the disk cannot read it.");
	counter(f, "failed_commits_total", atomic_load(&t->counts[TROUBLE_COMMIT]),
		"Values that were not committed.");
}

static void print_compaction(FILE *f, const struct store_compaction *c)
{
	head(f, "compaction", "gauge", "1 for the present state of compaction, 0 for the others.");
	for (size_t i = 0; i < ARRAY_SIZE(compaction_states); i++)
		fprintf(f, "freyjafs_compaction{state=\"%s\"} %d\n", compaction_states[i],
			c->state == i);
	counter(f, "compacted_segments_total", c->segments, "Segments that compaction wrote anew.");
	counter(f, "compacted_bytes_total", c->gained_bytes, "Bytes that compaction gained.");
	counter(f, "folds_total", c->folds, "Folds: the oldest segments were replaced by a base.");
	gauge(f, "unreadable_segments", c->unreadable_segments,
	      "Segments that compaction leaves alone because they cannot be read.");
}

static void print_scrub(FILE *f, const struct store_scrub *s)
{
	gauge(f, "scrub_running", s->running, "1: a scrub is reading and checking the log.");
	counter(f, "scrubs_total", s->runs, "Scrubs of the whole log.");
	gauge(f, "last_scrub_time_seconds", s->ended_ns / UINT64_C(1000000000),
	      "End of the last scrub, in seconds since the epoch; 0: none yet.");
	gauge(f, "last_scrub_bytes", s->bytes, "Bytes of the log in the last scrub.");
	gauge(f, "last_scrub_records", s->records, "Undamaged records in the last scrub.");
	gauge(f, "last_scrub_damaged", s->damaged, "Damaged records in the last scrub.");
	gauge(f, "last_scrub_unchecked_bytes", s->unchecked_bytes,
	      "Bytes behind damaged records that the last scrub could not check.");
}

static void print_recovery(FILE *f, const struct log_recovery *r)
{
	gauge(f, "recovered_cut_bytes", r->file_bytes - r->kept_bytes,
	      "Bytes of a torn tail that this mount has moved to quarantine.");
	gauge(f, "missing_segments", r->segments_missing,
	      "Missing segments that this mount has accepted.");
}

int metrics_text(struct fs *fs, char **ret, size_t *ret_bytes)
{
	struct sample s;
	FILE *f;
	int err;

	*ret = NULL;
	store_stats(fs->store, &s.stats);
	s.pending_bytes = open_files_pending_bytes(&fs->files);
	err = store_space(fs->store, &s.space);
	if (err < 0)
		return err;
	f = open_memstream(ret, ret_bytes);
	if (f == NULL)
		return -ENOMEM;
	print_info(f, fs);
	print_log(f, &s.stats.log);
	print_store(f, &s);
	print_troubles(f, &fs->troubles);
	print_compaction(f, &s.stats.compaction);
	print_scrub(f, &s.stats.scrub);
	print_recovery(f, &s.stats.recovery);
	if (fclose(f) == 0)
		return 0;
	free(*ret);
	*ret = NULL;
	return -ENOMEM;
}
