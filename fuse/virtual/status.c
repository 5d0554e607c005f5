/* SPDX-License-Identifier: MIT */
/* The text of /status: lines "name: value".  Threads: any. */
#include "fuse/virtual/virtual.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/timestamp.h"
#include "fuse/mount/fs.h"
#include "fuse/base/sandbox.h"

static const char *scan_text(enum record_scan scan)
{
	switch (scan) {
	case RECORD_TORN:
		return "torn";
	case RECORD_DAMAGED:
		return "damaged";
	case RECORD_WHOLE:
	case RECORD_END:
	case RECORD_NEED_MORE:
		break;
	}
	return "clean";
}

static void print_options(FILE *f, const struct fs *fs)
{
	const struct options *o = fs->options;
	char text[OPTION_TEXT_BYTES];

	for (size_t i = 0; i < options_row_count; i++) {
		const struct option_row *row = &options_rows[i];
		int64_t value;

		memcpy(&value, (const char *)o + row->field_offset, sizeof(value));
		if (row->kind == OPTION_ID && value == OPTION_OWN_ID)
			value = strcmp(row->name, "uid") == 0 ? fs->uid : fs->gid;
		fprintf(f, "%s: %s\n", row->name, options_value_text(row->kind, value, text));
	}
}

static void print_log(FILE *f, const struct log_writer_stats *log)
{
	if (log->poison != 0)
		fprintf(f, "state: poisoned (a sync failed: %s; every write fails, reads work)\n",
			strerror(-log->poison));
	else
		fprintf(f, "state: ok\n");
	fprintf(f, "segment: %" PRIu64 "\n", log->segments);
	fprintf(f, "rotation: %s\n",
		log->rotate_error == 0 ? "ok" : strerrordesc_np(-log->rotate_error));
	fprintf(f, "failed_rotations: %" PRIu64 "\n", log->rotate_failures);
	fprintf(f, "end_offset: %" PRIu64 "\n", log->end_position);
	fprintf(f, "written_offset: %" PRIu64 "\n", log->written_position);
	fprintf(f, "durable_offset: %" PRIu64 "\n", log->durable_position);
	fprintf(f, "last_timestamp_ns: %" PRIu64 "\n", log->last_timestamp_ns);
	fprintf(f, "appends: %" PRIu64 "\n", log->appends);
	fprintf(f, "syncs: %" PRIu64 "\n", log->syncs);
	fprintf(f, "slowest_sync_us: %" PRIu64 "\n", log->sync_ns_max / 1000);
}

static void print_compaction(FILE *f, const struct store_stats *stats)
{
	const struct store_compaction *c = &stats->compaction;

	fprintf(f, "log_bytes: %" PRIu64 "\n", stats->log.active_bytes + stats->log.sealed_bytes);
	switch (c->state) {
	case STORE_COMPACTION_IDLE:
		fprintf(f, "compaction: idle\n");
		break;
	case STORE_COMPACTION_RUNNING:
		fprintf(f, "compaction: running\n");
		break;
	case STORE_COMPACTION_NO_SPACE:
		fprintf(f,
			"compaction: waiting (the disk has no space for the %" PRIu64
			" bytes that it takes to free more)\n",
			c->needed_bytes);
		break;
	case STORE_COMPACTION_FAILED:
		fprintf(f, "compaction: failed (%s; it will be retried)\n", strerror(-c->err));
		break;
	case STORE_COMPACTION_NOT_SAFE:
		fprintf(f, "compaction: off (files of the log are missing)\n");
		break;
	}
	fprintf(f, "compacted_segments: %" PRIu64 "\n", c->segments);
	fprintf(f, "compacted_bytes: %" PRIu64 "\n", c->gained_bytes);
	fprintf(f, "folds: %" PRIu64 "\n", c->folds);
	fprintf(f, "unreadable_segments: %" PRIu64 "\n", c->unreadable_segments);
}

static void print_scrub(FILE *f, const struct store_scrub *s)
{
	char ended[TIMESTAMP_BYTES];

	if (s->running)
		fprintf(f, "scrub_state: running (%" PRIu64 " bytes read)\n", s->done_bytes);
	else
		fprintf(f, "scrub_state: idle\n");
	fprintf(f, "last_scrub: %s\n",
		s->ended_ns == 0 ? "never" : timestamp_format(s->ended_ns, ended));
	fprintf(f, "last_scrub_result: %s\n",
		s->ended_ns == 0 ? "none"
		: s->err < 0	 ? strerror(-s->err)
		: s->damaged > 0 ? "damaged"
				 : "ok");
	fprintf(f, "last_scrub_bytes: %" PRIu64 "\n", s->bytes);
	fprintf(f, "last_scrub_records: %" PRIu64 "\n", s->records);
	fprintf(f, "last_scrub_damaged: %" PRIu64 "\n", s->damaged);
	fprintf(f, "last_scrub_unchecked_bytes: %" PRIu64 "\n", s->unchecked_bytes);
}

static void print_recovery(FILE *f, const struct log_recovery *r)
{
	fprintf(f, "recovered_tail: %s\n", scan_text(r->stop.scan));
	if (r->stop.scan == RECORD_TORN || r->stop.scan == RECORD_DAMAGED)
		fprintf(f, "recovered_reason: %s\n", record_reason_text(r->stop.reason));
	fprintf(f, "recovered_records: %" PRIu64 "\n", r->records);
	fprintf(f, "recovered_segments: %" PRIu64 "\n", r->segments);
	fprintf(f, "recovered_from_hints: %" PRIu64 "\n", r->hints);
	fprintf(f, "missing_segments_accepted: %" PRIu64 "\n", r->segments_missing);
	fprintf(f, "recovered_cut_bytes: %" PRIu64 "\n", r->file_bytes - r->kept_bytes);
	fprintf(f, "quarantine: %s\n", r->quarantine[0] == '\0' ? "none" : r->quarantine);
	fprintf(f, "durable_mark_missing: %s\n", r->durable_mark_missing ? "yes" : "no");
}

int status_text(struct fs *fs, char **ret, size_t *ret_bytes)
{
	struct diag transport = { "" };
	struct store_stats stats;
	char *text = NULL;
	size_t bytes = 0;
	FILE *f;

	store_stats(fs->store, &stats);
	f = open_memstream(&text, &bytes);
	if (f == NULL)
		return -ENOMEM;
	fprintf(f, "version: %s\n", FREYJAFS_VERSION);
	fprintf(f, "datadir: %s\n", fs->datadir);
	fprintf(f, "mountpoint: %s\n", fs->mountpoint);
	fs->transport->describe(&transport);
	fprintf(f, "transport: %s\n", transport.text);
	fprintf(f, "sandbox: %s\n", sandbox_text());
	print_log(f, &stats.log);
	if (stats.clock_behind_ns > 0)
		fprintf(f, "clock: behind (the last record is %.3f s later)\n",
			(double)stats.clock_behind_ns / 1e9);
	else
		fprintf(f, "clock: ok\n");
	fprintf(f, "files: %" PRIu64 "\n", stats.files);
	fprintf(f, "directories: %" PRIu64 "\n", stats.directories);
	fprintf(f, "unnamed_keys: %" PRIu64 "\n", stats.unnamed_keys);
	fprintf(f, "incomplete_names: %" PRIu64 "\n", stats.incomplete_names);
	fprintf(f, "live_bytes: %" PRIu64 "\n", stats.live_bytes);
	fprintf(f, "pending_bytes: %" PRIu64 "\n", open_files_pending_bytes(&fs->files));
	fprintf(f, "failed_reads: %" PRIu64 "\n", atomic_load(&fs->troubles.counts[TROUBLE_READ]));
	fprintf(f, "failed_commits: %" PRIu64 "\n",
		atomic_load(&fs->troubles.counts[TROUBLE_COMMIT]));
	fprintf(f, "reserve_missing: %s\n", stats.reserve_missing ? "yes" : "no");
	print_compaction(f, &stats);
	print_scrub(f, &stats.scrub);
	print_recovery(f, &stats.recovery);
	print_options(f, fs);
	if (fclose(f) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	*ret_bytes = bytes;
	return 0;
}
