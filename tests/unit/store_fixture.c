/* SPDX-License-Identifier: MIT */
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/crc32.h"
#include "codec/meta.h"
#include "codec/record.h"

#define SHOWN_VALUE_BYTES 40
#define LOG_ROOM	  (1024 * 1024)
#define WORD_ROOM	  (64 * 1024 + 64) /* of a key or value */

int store_fixture_setup(void **state)
{
	struct store_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->row = *state;
	f->dir = unit_tmpdir();
	if (asprintf(&f->data_dir, "%s/data", f->dir) < 0 ||
	    asprintf(&f->log_path, "%s/data/active.data", f->dir) < 0)
		abort();
	f->probe = probe_new();
	*state = f;
	return 0;
}

int store_fixture_teardown(void **state)
{
	struct store_fixture *f = *state;

	if (f->s != NULL && store_close(f->s) < 0)
		print_message("the store could not be closed\n"); /* the test said why */
	probe_free(f->probe);
	unit_tmpdir_remove(f->dir);
	free(f->data_dir);
	free(f->log_path);
	free(f);
	return 0;
}

static int try_open(struct store_fixture *f, int64_t fsync_interval_ns, int64_t buffer_size_bytes,
		    struct diag *diag)
{
	struct store_config config = {
		.dir_path = f->data_dir,
		.fsync_interval_ns = fsync_interval_ns,
		.buffer_size_bytes = buffer_size_bytes,
		.uid = 1000,
		.gid = 100,
		.umask = 022,
		.holder = "the test",
		.io = probe_io(f->probe),
	};

	return store_open(&config, &f->s, diag);
}

int fixture_try_open_store(struct store_fixture *f, struct diag *diag)
{
	return try_open(f, LOG_WRITER_NEVER, 0, diag);
}

void fixture_open_store_with(struct store_fixture *f, int64_t fsync_interval_ns,
			     int64_t buffer_size_bytes)
{
	struct diag diag;
	int err = try_open(f, fsync_interval_ns, buffer_size_bytes, &diag);

	if (err < 0)
		fail_msg("store_open: %s: %s", strerror(-err), diag.text);
}

void fixture_open_store(struct store_fixture *f)
{
	fixture_open_store_with(f, LOG_WRITER_NEVER, 0);
}

void fixture_close_store(struct store_fixture *f)
{
	struct store *s = f->s;

	f->s = NULL;
	assert_int_equal(store_close(s), 0);
}

void fixture_reopen_store(struct store_fixture *f)
{
	fixture_close_store(f);
	fixture_open_store(f);
}

/* --- trees as text --- */

/* One node of a directory, kept while its siblings are sorted. */
struct shown {
	char *path;
	struct node *node;
	struct store_attr attr;
};

struct shown_list {
	const char *above;
	struct shown *items;
	size_t count;
};

static int collect(void *arg, const struct store_dirent *e)
{
	struct shown_list *list = arg;
	struct shown *item;

	list->items = reallocarray(list->items, list->count + 1, sizeof(list->items[0]));
	assert_non_null(list->items);
	item = &list->items[list->count++];
	*item = (struct shown){ .node = e->node, .attr = e->attr };
	store_pin_in_list(e->node);
	if (asprintf(&item->path, "%s%.*s", list->above, (int)e->name_bytes, e->name) < 0)
		abort();
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct shown *)a)->path, ((const struct shown *)b)->path);
}

static void print_value(FILE *out, struct store *s, const struct shown *item)
{
	size_t bytes = item->attr.size_bytes;
	uint8_t *value = malloc(bytes + 1);

	assert_non_null(value);
	assert_int_equal(store_read(s, item->node, value, bytes + 1, 0), bytes);
	for (size_t i = 0; i < bytes && bytes <= SHOWN_VALUE_BYTES; i++)
		value[i] = value[i] == 0 ? '.' : value[i];
	if (bytes > SHOWN_VALUE_BYTES)
		fprintf(out, "=#%08x", crc32_extend(0, value, bytes));
	else
		fprintf(out, "=%.*s", (int)bytes, (char *)value);
	free(value);
}

static void print_time(FILE *out, const char *name, struct timespec ts)
{
	fprintf(out, " %s=%lld.%09ld", name, (long long)ts.tv_sec, ts.tv_nsec);
}

enum detail {
	TREE,
	ATTRIBUTES,
	ATTRIBUTES_AND_DIR_TIMES
};

static void print_link(FILE *out, struct store *s, const struct shown *item)
{
	char target[PATH_MAX];
	ssize_t n = store_readlink(s, item->node, target, sizeof(target));

	assert_in_range(n, 1, sizeof(target) - 1);
	fprintf(out, "l %s->%.*s", item->path, (int)n, target);
}

static void print_item(FILE *out, struct store *s, const struct shown *item, enum detail detail)
{
	const struct store_attr *a = &item->attr;

	if (S_ISLNK(a->mode))
		print_link(out, s, item);
	else
		fprintf(out, "%c %s", S_ISDIR(a->mode) ? 'd' : 'f', item->path);
	if (S_ISREG(a->mode))
		print_value(out, s, item);
	if (detail == TREE)
		return;
	fprintf(out, " mode=%o uid=%u gid=%u links=%u size=%lu", a->mode, a->uid, a->gid,
		a->link_count, a->size_bytes);
	if (S_ISDIR(a->mode) && detail == ATTRIBUTES)
		return;
	print_time(out, "mtime", a->mtime);
	print_time(out, "ctime", a->ctime);
	print_time(out, "atime", a->atime);
}

static void print_dir(FILE *out, struct store *s, struct node *dir, const char *above,
		      enum detail detail)
{
	struct shown_list list = { .above = above };

	assert_int_equal(store_list(s, dir, 0, collect, &list), 0);
	if (list.count > 0)
		qsort(list.items, list.count, sizeof(list.items[0]), by_path);
	for (size_t i = 0; i < list.count; i++) {
		struct shown *item = &list.items[i];

		if (ftell(out) > 0)
			fputs(detail == TREE ? ", " : "\n", out);
		print_item(out, s, item, detail);
		if (S_ISDIR(item->attr.mode)) {
			char *below;

			if (asprintf(&below, "%s/", item->path) < 0)
				abort();
			print_dir(out, s, item->node, below, detail);
			free(below);
		}
		store_unpin(s, item->node, 1);
		free(item->path);
	}
	free(list.items);
}

static char *dump(struct store *s, enum detail detail)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(out);
	print_dir(out, s, store_root(s), "", detail);
	assert_int_equal(fclose(out), 0);
	return text;
}

char *dump_tree(struct store *s)
{
	return dump(s, TREE);
}

char *dump_attributes(struct store *s, bool dir_times)
{
	return dump(s, dir_times ? ATTRIBUTES_AND_DIR_TIMES : ATTRIBUTES);
}

void assert_tree(struct store *s, const char *want)
{
	char *got = dump_tree(s);

	assert_string_equal(got, want);
	free(got);
}

/* --- logs as words --- */

static void add_part(struct unit_file *log, uint64_t timestamp_ns, const void *key,
		     size_t key_bytes, const void *value, size_t value_bytes)
{
	struct record rec = {
		.timestamp_ns = timestamp_ns,
		.key = key,
		.key_bytes = (uint32_t)key_bytes,
		.value = value,
		.value_bytes = (uint32_t)value_bytes,
	};

	assert_true(log->bytes + record_bytes(rec.key_bytes, rec.value_bytes) <= LOG_ROOM);
	record_encode(&rec, log->data + log->bytes);
	log->bytes += record_bytes(rec.key_bytes, rec.value_bytes);
}

static size_t meta_key(enum meta_kind kind, const char *path, uint8_t *out)
{
	meta_key_prefix(kind, out);
	memcpy(out + META_KEY_PREFIX_BYTES, path, strlen(path));
	return META_KEY_PREFIX_BYTES + strlen(path);
}

/* Splits 'text' at the first 'at'; what follows it, or "". */
static const char *split(char *text, char at)
{
	char *found = strchr(text, at);

	if (found == NULL)
		return "";
	*found = '\0';
	return found + 1;
}

/* "7@3=abc" */
static void add_extent(struct unit_file *log, uint64_t timestamp_ns, char *path, uint8_t flags)
{
	const char *rest = split(path, '='), *at = split(path, '@');
	struct meta_extent extent = { .offset = strtoull(at, NULL, 10) };
	uint8_t key[META_EXTENT_KEY_BYTES], value[WORD_ROOM];
	size_t n;

	if (flags != 0) {
		extent.flags = flags;
		extent.bytes = strtoull(rest, NULL, 10);
		rest = "";
	}
	meta_key_prefix(META_EXTENT, key);
	meta_staging_id_encode(strtoull(path, NULL, 10), key + META_KEY_PREFIX_BYTES);
	n = meta_extent_encode_fixed(&extent, value);
	memcpy(value + n, rest, strlen(rest));
	add_part(log, timestamp_ns, key, sizeof(key), value, n + strlen(rest));
}

/* "a=7,12" */
static void add_publish(struct unit_file *log, uint64_t timestamp_ns, char *path, uint8_t flags)
{
	uint8_t key[WORD_ROOM], value[META_PUBLISH_BYTES];
	struct meta_publish publish = { .flags = flags };
	const char *rest = split(path, '=');

	assert_int_equal(sscanf(rest, "%lu,%lu", &publish.staging_id, &publish.size_bytes), 2);
	meta_publish_encode(&publish, value);
	add_part(log, timestamp_ns, key, meta_key(META_PUBLISH, path, key), value, sizeof(value));
}

/* "900": as of then */
static void add_base(struct unit_file *log, uint64_t timestamp_ns, const char *as_of)
{
	struct meta_base base = { .as_of_ns = strtoull(as_of, NULL, 10) };
	uint8_t key[META_KEY_PREFIX_BYTES], value[META_BASE_BYTES];

	meta_key_prefix(META_BASE, key);
	meta_base_encode(&base, value);
	add_part(log, timestamp_ns, key, sizeof(key), value, sizeof(value));
}

static void add_word(struct unit_file *log, uint64_t timestamp_ns, char *word)
{
	struct meta_move move = { 0 };
	struct meta_attr attr = { .type = META_TYPE_FILE, .mode = 0640, .uid = 7, .gid = 8 };
	bool more = word[0] == '+';
	char kind = word[more], *path = word + more + 2;
	uint8_t key[WORD_ROOM], value[WORD_ROOM];
	const char *rest;
	size_t n;

	attr.flags = more ? META_FLAG_MORE : 0;
	switch (kind) {
	case 'p':
		rest = split(path, '=');
		add_part(log, timestamp_ns, path, strlen(path), rest, strlen(rest));
		break;
	case 't':
		add_part(log, timestamp_ns, path, strlen(path), NULL, 0);
		break;
	case 'I':
		attr.flags |= META_FLAG_IMPLICIT;
		__attribute__((fallthrough));
	case 'D':
		attr.type = META_TYPE_DIRECTORY;
		attr.mode = 0750;
		__attribute__((fallthrough));
	case 'E':
	case 'K':
		attr.content = kind == 'E' ? META_CONTENT_EMPTY : META_CONTENT_KEPT;
		n = meta_attr_encode(&attr, value);
		add_part(log, timestamp_ns, key, meta_key(META_ATTR, path, key), value, n);
		break;
	case 'l':
	case 'm':
	case 'x':
		rest = split(path, '>');
		move.flags = attr.flags | (kind == 'x' ? META_FLAG_EXCHANGE : 0);
		n = meta_move_encode_fixed(&move, value);
		memcpy(value + n, rest, strlen(rest));
		n += strlen(rest);
		add_part(log, timestamp_ns, key,
			 meta_key(kind == 'l' ? META_LINK : META_MOVE, path, key), value, n);
		break;
	case 'e':
		add_extent(log, timestamp_ns, path, 0);
		break;
	case 'h':
	case 'z':
		add_extent(log, timestamp_ns, path,
			   META_FLAG_HOLE | (kind == 'z' ? META_FLAG_DROPPED : 0));
		break;
	case 'P':
		add_publish(log, timestamp_ns, path, attr.flags);
		break;
	case 'Q':
		add_publish(log, timestamp_ns, path, attr.flags | META_FLAG_KEEP);
		break;
	case 'B':
		add_base(log, timestamp_ns, path);
		break;
	case 'U':
		add_publish(log, timestamp_ns, path, attr.flags | META_FLAG_UNNAMEABLE);
		break;
	case 'Z':
		add_publish(log, timestamp_ns, path, attr.flags | META_FLAG_DROPPED);
		break;
	default:
		fail_msg("no such word: %s", word);
	}
}

struct unit_file make_log(const char *words)
{
	struct unit_file log = { .data = malloc(LOG_ROOM) };
	char *copy = strdup(words), *state, *word;
	uint64_t timestamp_ns = 1000;

	assert_non_null(log.data);
	assert_non_null(copy);
	for (word = strtok_r(copy, " ", &state); word != NULL; word = strtok_r(NULL, " ", &state))
		add_word(&log, timestamp_ns++, word);
	free(copy);
	return log;
}

void plant_log(struct store_fixture *f, const void *data, size_t bytes)
{
	if (!unit_exists(f->data_dir))
		assert_int_equal(mkdir(f->data_dir, 0700), 0);
	/* Of an earlier log, if any. */
	(void)unlink(unit_path("%s/active.synced", f->data_dir));
	(void)unlink(unit_path("%s/MANIFEST", f->data_dir));
	unit_write_file(f->log_path, data, bytes);
}
