/* SPDX-License-Identifier: MIT */
/* Reads a log with libfreyjalog, also while another process writes it: prints each record from a
 * position on, then reads the last one again by its position.
 *
 * usage: freyjalog_read LOG [POSITION]
 * build: cc freyjalog_read.c $(pkg-config --cflags --libs freyjalog) */
#include <freyjalog.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const char *action, int err)
{
	fprintf(stderr, "%s: %s\n", action, strerror(-err));
	return 1;
}

static void print_record(const struct freyja_record *record)
{
	size_t key_bytes, value_bytes;
	const char *key = freyja_record_key(record, &key_bytes);
	const char *value = freyja_record_value(record, &value_bytes);

	printf("%" PRIu64 " ", freyja_record_position(record));
	switch (freyja_record_kind(record)) {
	case FREYJA_PUT:
		printf("put %.*s = %.*s\n", (int)key_bytes, key, (int)value_bytes, value);
		break;
	case FREYJA_TOMBSTONE:
		printf("delete %.*s\n", (int)key_bytes, key);
		break;
	default: /* of a freyjafs store, or of a later version */
		printf("skipped\n");
	}
}

/* Prints the records from 'position' on.  Stores the position of the last one. */
static int print_all(struct freyja_log *log, uint64_t position, uint64_t *ret_last)
{
	const struct freyja_record *record;
	struct freyja_iter *iter;
	int got = freyja_iter_open(log, position, &iter);

	if (got < 0)
		return got;
	while ((got = freyja_iter_next(iter, &record)) == 1) {
		print_record(record);
		*ret_last = freyja_record_position(record);
	}
	freyja_iter_close(iter);
	return got;
}

static int print_one(struct freyja_log *log, uint64_t position)
{
	struct freyja_record *record;
	int err = freyja_get(log, position, &record);

	if (err < 0)
		return err;
	printf("again: ");
	print_record(record);
	freyja_record_free(record);
	return 0;
}

int main(int argc, char **argv)
{
	struct freyja_config config;
	struct freyja_log *log;
	uint64_t last = UINT64_MAX;
	char message[1024];
	int err;

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: freyjalog_read LOG [POSITION]\n");
		return 2;
	}
	freyja_config_init(&config, sizeof(config));
	config.path = argv[1];
	config.flags = FREYJA_READ_ONLY;
	if (freyja_open(&config, &log, message, sizeof(message)) < 0) {
		fprintf(stderr, "%s\n", message);
		return 1;
	}
	err = print_all(log, argc == 3 ? strtoull(argv[2], NULL, 10) : 0, &last);
	if (err == 0 && last != UINT64_MAX)
		err = print_one(log, last);
	(void)freyja_close(&log); /* read only: nothing can be lost */
	return err < 0 ? failed("reading", err) : 0;
}
