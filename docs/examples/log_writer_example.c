/* SPDX-License-Identifier: MIT */
/* Uses writer/log_writer.h: opens a log, puts three records, makes them durable, reads one back.
 *
 * usage: log_writer_example FILE */
#include <stdio.h>
#include <string.h>

#include "writer/log_writer.h"

/* Prints what went wrong and returns the exit status. */
static int failed(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-err));
	return 1;
}

static int put(struct log_writer *w, const char *key, const char *value)
{
	uint64_t offset;
	int err = log_writer_put(w, key, (uint32_t)strlen(key), value, (uint32_t)strlen(value),
				 &offset);

	if (err == 0)
		printf("put %s at offset %llu\n", key, (unsigned long long)offset);
	return err;
}

static int write_and_read(struct log_writer *w)
{
	uint8_t header[RECORD_HEADER_BYTES];
	struct record first;
	int err;

	/* With an interval of one second a put is in the kernel when it returns: it outlives this
	 * process, and at most a second later a power cut, too. */
	err = put(w, "users/42/name", "Ada");
	if (err == 0)
		err = put(w, "users/42/mail", "ada@example.org");
	if (err == 0)
		err = put(w, "users/42/name", ""); /* an empty value removes the key */

	/* Not a second later but now. */
	if (err == 0)
		err = log_writer_sync(w);
	if (err < 0)
		return failed("writing", err);
	printf("%llu of %llu bytes are durable\n", (unsigned long long)log_writer_durable_offset(w),
	       (unsigned long long)log_writer_size(w));

	if (log_writer_read(w, header, sizeof(header), 0) != sizeof(header))
		return failed("reading", -1);
	(void)record_decode_header(header, &first); /* the CRC is only checked by record_scan() */
	printf("the first record has a key of %u and a value of %u bytes\n", first.key_bytes,
	       first.value_bytes);
	return 0;
}

int main(int argc, char **argv)
{
	struct log_writer_config config = {
		.fsync_interval_ns = 1000000000,
		.buffer_size_bytes = 0,
	};
	struct log_writer *w;
	struct diag diag;
	int err, status;

	if (argc != 2) {
		fprintf(stderr, "usage: log_writer_example FILE\n");
		return 2;
	}
	config.file_path = argv[1];
	if (log_writer_open(&config, &w, &diag) < 0) {
		fprintf(stderr, "%s\n", diag.text); /* says which file, and what to do */
		return 1;
	}
	if (diag.text[0] != '\0')
		printf("%s\n", diag.text); /* a torn tail was cut and saved */
	status = write_and_read(w);
	err = log_writer_close(w); /* syncs; its failure is a lost record */
	return err < 0 ? failed("closing", err) : status;
}
