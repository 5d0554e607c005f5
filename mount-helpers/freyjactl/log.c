/* SPDX-License-Identifier: MIT */
/* freyjactl log: prints the records of the log, or the versions of a path. */
#include "mount-helpers/freyjactl/ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "codec/commit.h"
#include "codec/timestamp.h"
#include "mount-helpers/common/key_text.h"
#include "writer/history.h"
#include "writer/log/names.h"
#include "writer/log_writer.h"

/* --- all records --- */

static void print_front(uint64_t timestamp_ns, const char *kind, uint64_t bytes, uint64_t segment,
			uint64_t file_offset)
{
	char text[TIMESTAMP_BYTES];

	printf("%s\t%s\t%" PRIu64 "\t%06" PRIu64 ":%" PRIu64 "\t",
	       timestamp_format(timestamp_ns, text), kind, bytes, segment, file_offset);
}

static const char *kind_text(const struct commit_record *r)
{
	switch (r->kind) {
	case META_ATTR:
		return "attr";
	case META_BASE:
		return "base";
	case META_EXTENT:
		return "extent";
	case META_LINK:
		return "link";
	case META_MOVE:
		return "move";
	case META_PUBLISH:
		return "publish";
	case META_SEGMENT:
		return "segment";
	}
	return r->value_bytes > 0 ? "put" : "delete";
}

/* Prints the fields of a meta record beyond its path. */
static void print_rest(const struct commit_record *r)
{
	char text[TIMESTAMP_BYTES];

	switch (r->kind) {
	case META_LINK:
	case META_MOVE:
		printf("\t%s ", r->move.flags & META_FLAG_EXCHANGE ? "<->" : "->");
		key_text_print(stdout, r->move.new_path, r->move.new_path_bytes);
		break;
	case META_PUBLISH:
		printf("\t%s%" PRIu64 " bytes",
		       r->publish.flags & META_FLAG_DROPPED ? "dropped, " : "",
		       r->publish.size_bytes);
		if (r->publish.staging_id != 0)
			printf(" of %" PRIu64, r->publish.staging_id);
		if (r->publish.flags & META_FLAG_KEEP)
			printf(", laid over");
		if (r->publish.flags & META_FLAG_UNNAMEABLE)
			printf(", a key that no path can name");
		break;
	case META_EXTENT:
		printf("\t%s%" PRIu64 " bytes at %" PRIu64,
		       r->extent.flags & META_FLAG_DROPPED ? "dropped, "
		       : r->extent.flags & META_FLAG_HOLE  ? "hole, "
							   : "",
		       r->extent.bytes, r->extent.offset);
		break;
	case META_BASE:
		printf("\teverything up to %s", timestamp_format(r->base.as_of_ns, text));
		break;
	case META_ATTR:
	case META_SEGMENT:
		break;
	}
}

static int print_commit(void *arg, const struct log_entry *entries, size_t entry_count,
			struct diag *diag)
{
	for (size_t i = 0; i < entry_count; i++) {
		const struct record *rec = &entries[i].rec;
		struct commit_record r;
		bool ok = commit_record_decode(rec, entries[i].value_held_bytes, &r) == META_OK;
		bool known = ok || r.kind != 0;

		print_front(rec->timestamp_ns, known ? kind_text(&r) : "unknown", rec->value_bytes,
			    entries[i].segment, entries[i].file_offset);
		if (ok && r.kind == META_EXTENT)
			printf("%" PRIu64, r.staging_id);
		else if (known)
			key_text_print(stdout, r.path, r.path_bytes);
		else
			key_text_print(stdout, rec->key, rec->key_bytes);
		if (ok)
			print_rest(&r);
		printf("%s\n", i + 1 < entry_count ? "\t+" : "");
	}
	return ferror(stdout) ? -EPIPE : 0; /* standard output is closed */
}

static enum ctl_exit log_all(const char *datadir)
{
	struct log_writer_config config = {
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = LOG_WRITER_SEGMENT_MAX,
		.accept_missing_segments = true, /* the rest of the log is printed without them */
		.read_only = true,
	};
	enum ctl_exit status = CTL_OK;
	struct diag diag = { "" };
	struct log_writer *w = NULL;
	char *path;
	int err;

	if (asprintf(&path, "%s/" ACTIVE_NAME, datadir) < 0)
		return ctl_failed(-ENOMEM, datadir, NULL);
	config.file_path = path;
	err = log_writer_open_replay(&config, print_commit, NULL, &w, NULL, &diag);
	if (err < 0 && err != -EPIPE)
		status = ctl_failed(err, datadir, &diag);
	(void)!log_writer_close(w); /* read only */
	free(path);
	return ctl_flush(status);
}

/* --- versions of a path --- */

struct versions {
	const char *path;
	size_t path_bytes;
};

static int print_version(void *arg, const struct history_entry *e)
{
	const struct versions *v = arg;
	const char *kind = S_ISLNK(e->version.mode) ? "symlink" : "version";

	if (e->name != NULL)
		return 0; /* this entry is in a directory that had the path */
	print_front(e->version.timestamp_ns, e->version.available ? kind : "dropped",
		    e->version.size_bytes, e->version.segment, e->version.file_offset);
	key_text_print(stdout, v->path, v->path_bytes);
	(void)putchar('\n');
	return 0;
}

/* Says that a directory had the path, if one had: it has no versions. */
static int report_directory(struct history *h, const struct versions *v, const char *text)
{
	char until[TIMESTAMP_BYTES];
	uint64_t until_ns = 0;
	int err = history_directory_until(h, v->path, v->path_bytes, &until_ns);

	if (err == -ENOENT)
		return 0; /* only files had it */
	if (err < 0)
		return err;
	if (until_ns == HISTORY_STILL)
		warnx("'%s' is a directory: only the files in it have versions", text);
	else
		warnx("'%s' was a directory until %s: only the files in it have versions; "
		      "history/ of a mount lists their names",
		      text, timestamp_format(until_ns, until));
	return 0;
}

static enum ctl_exit log_path(const char *datadir, const char *text)
{
	const struct history_config config = { .dir_path = datadir,
					       .accept_missing_segments = true };
	struct history *h = NULL;
	struct diag diag = { "" };
	enum ctl_exit status = CTL_OK;
	struct versions v;
	char *path;
	int err;

	if (!key_text_parse(text, &path, &v.path_bytes)) {
		warnx("path '%s': a backslash begins \\xHH or \\\\", text);
		return CTL_USAGE;
	}
	v.path = path;
	err = history_open(&config, &h, &diag);
	if (err == 0)
		err = history_list(h, v.path, v.path_bytes, print_version, &v);
	if (err == 0)
		err = report_directory(h, &v, text);
	if (err == -ENOENT && h != NULL) {
		warnx("nothing in the log ever had the path '%s'", text);
		status = CTL_NOT_FOUND;
	} else if (err < 0) {
		status = ctl_failed(err, datadir, &diag);
	}
	history_close(h);
	free(path);
	return ctl_flush(status);
}

enum ctl_exit ctl_log(const char *datadir, char *const args[], int count)
{
	return count == 0 ? log_all(datadir) : log_path(datadir, args[0]);
}
