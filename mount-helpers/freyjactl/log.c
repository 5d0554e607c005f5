/* SPDX-License-Identifier: MIT */
/* freyjactl log: what is in the log, and the versions of a path. */
#include "mount-helpers/freyjactl/ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/meta.h"
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

static const char *kind_of(const struct record *rec, enum meta_kind *ret_kind)
{
	const char *operand;
	size_t bytes;

	*ret_kind = 0;
	if (!meta_is_key(rec->key, rec->key_bytes))
		return rec->value_bytes > 0 ? "put" : "delete";
	if (meta_parse_key(rec->key, rec->key_bytes, ret_kind, &operand, &bytes) != META_OK)
		return "unknown";
	switch (*ret_kind) {
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
	return "unknown";
}

/* What a meta record says beyond its path. */
static void print_rest(enum meta_kind kind, const struct record *rec)
{
	struct meta_publish publish;
	struct meta_extent extent;
	struct meta_base base;
	struct meta_move move;
	char text[TIMESTAMP_BYTES];

	if ((kind == META_MOVE &&
	     meta_move_decode(rec->value, rec->value_bytes, &move) == META_OK) ||
	    (kind == META_LINK &&
	     meta_link_decode(rec->value, rec->value_bytes, &move) == META_OK)) {
		printf("\t%s ", move.flags & META_FLAG_EXCHANGE ? "<->" : "->");
		key_text_print(stdout, move.new_path, move.new_path_bytes);
	} else if (kind == META_PUBLISH &&
		   meta_publish_decode(rec->value, rec->value_bytes, &publish) == META_OK) {
		printf("\t%s%" PRIu64 " bytes",
		       publish.flags & META_FLAG_DROPPED ? "dropped, " : "", publish.size_bytes);
		if (publish.staging_id != 0)
			printf(" of %" PRIu64, publish.staging_id);
		if (publish.flags & META_FLAG_KEEP)
			printf(", laid over");
		if (publish.flags & META_FLAG_UNNAMED)
			printf(", a key that no path can name");
	} else if (kind == META_EXTENT &&
		   meta_extent_decode(rec->value, rec->value_bytes, &extent) == META_OK) {
		printf("\t%s%" PRIu64 " bytes at %" PRIu64,
		       extent.flags & META_FLAG_DROPPED ? "dropped, "
		       : extent.flags & META_FLAG_HOLE	? "hole, "
							: "",
		       extent.bytes, extent.offset);
	} else if (kind == META_BASE &&
		   meta_base_decode(rec->value, rec->value_bytes, &base) == META_OK) {
		printf("\teverything up to %s", timestamp_format(base.as_of_ns, text));
	}
}

static void print_operand(enum meta_kind kind, const struct record *rec)
{
	const uint8_t *key = rec->key;
	uint64_t id;

	if (kind == META_EXTENT &&
	    meta_staging_id_decode((const char *)key + META_KEY_PREFIX_BYTES,
				   rec->key_bytes - META_KEY_PREFIX_BYTES, &id) == META_OK)
		printf("%" PRIu64, id);
	else if (kind != 0)
		key_text_print(stdout, key + META_KEY_PREFIX_BYTES,
			       rec->key_bytes - META_KEY_PREFIX_BYTES);
	else
		key_text_print(stdout, key, rec->key_bytes);
}

static int print_commit(void *arg, const struct log_entry *entries, size_t entry_count,
			struct diag *diag)
{
	for (size_t i = 0; i < entry_count; i++) {
		const struct record *rec = &entries[i].rec;
		enum meta_kind kind;
		const char *name = kind_of(rec, &kind);

		print_front(rec->timestamp_ns, name, rec->value_bytes, entries[i].segment,
			    entries[i].file_offset);
		print_operand(kind, rec);
		print_rest(kind, rec);
		printf("%s\n", i + 1 < entry_count ? "\t+" : "");
	}
	return ferror(stdout) ? -EPIPE : 0; /* nobody reads on */
}

static enum ctl_exit log_all(const char *datadir)
{
	struct log_writer_config config = {
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = LOG_WRITER_SEGMENT_MAX,
		.accept_missing_segments = true, /* to be seen as well */
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
		return 0; /* in a directory that had the path */
	print_front(e->version.timestamp_ns, e->version.available ? kind : "dropped",
		    e->version.size_bytes, e->version.segment, e->version.file_offset);
	key_text_print(stdout, v->path, v->path_bytes);
	(void)putchar('\n');
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
		ctl_say("path '%s': a backslash begins \\xHH or \\\\", text);
		return CTL_USAGE;
	}
	v.path = path;
	err = history_open(&config, &h, &diag);
	if (err == 0)
		err = history_list(h, v.path, v.path_bytes, print_version, &v);
	if (err == -ENOENT && h != NULL) {
		ctl_say("nothing in the log ever had the path '%s'", text);
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
