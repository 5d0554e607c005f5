/* SPDX-License-Identifier: MIT */
/* Writes orders into a log with libfreyjalog: each order is a group, so that after a crash an order
 * and its lines are in the log together or not at all.
 *
 * usage: freyjalog_write LOG ORDERS
 * build: cc freyjalog_write.c $(pkg-config --cflags --libs freyjalog) */
#include <freyjalog.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Prints the reason for an error and returns the exit status. */
static int failed(const char *action, int err)
{
	fprintf(stderr, "%s: %s\n", action, strerror(-err));
	return 1;
}

static int put_order(struct freyja_log *log, int number)
{
	char order[64], line[2][64];
	struct freyja_item items[3];
	uint64_t positions[3];
	int err;

	(void)snprintf(order, sizeof(order), "orders/%d", number);
	(void)snprintf(line[0], sizeof(line[0]), "orders/%d/lines/1", number);
	(void)snprintf(line[1], sizeof(line[1]), "orders/%d/lines/2", number);
	items[0] = (struct freyja_item){ order, strlen(order), "open", 4 };
	items[1] = (struct freyja_item){ line[0], strlen(line[0]), "3 apples", 8 };
	items[2] = (struct freyja_item){ line[1], strlen(line[1]), "1 pear", 6 };
	err = freyja_put_group(log, items, 3, positions);
	if (err == 0)
		printf("order %d is at position %" PRIu64 "\n", number, positions[0]);
	return err;
}

/* Called by a thread of the library. */
static void order_is_durable(void *arg, int err)
{
	if (err < 0)
		fprintf(stderr, "an order is not durable: %s\n", strerror(-err));
	else
		printf("order %d is durable\n", *(const int *)arg);
}

static int write_orders(struct freyja_log *log, int count, int *numbers)
{
	struct freyja_stats stats;
	int err = 0;

	for (int i = 0; err == 0 && i < count; i++) {
		numbers[i] = i + 1;
		err = put_order(log, i + 1);
		if (err == 0) /* does not wait for the disk */
			err = freyja_sync_async(log, order_is_durable, &numbers[i]);
	}
	/* An empty value says that the key is gone. */
	if (err == 0)
		err = freyja_put(log, "orders/1", 8, "", 0, NULL);
	if (err == 0)
		err = freyja_sync(log); /* waits for the disk */
	if (err < 0)
		return failed("writing", err);
	freyja_get_stats(log, &stats, sizeof(stats));
	printf("%" PRIu64 " of %" PRIu64 " bytes are durable\n", stats.durable_position,
	       stats.end_position);
	return 0;
}

int main(int argc, char **argv)
{
	struct freyja_config config;
	struct freyja_log *log;
	int count = argc == 3 ? atoi(argv[2]) : 0;
	int *numbers, status, err;
	char message[1024];

	if (count < 1) {
		fprintf(stderr, "usage: freyjalog_write LOG ORDERS\n");
		return 2;
	}
	numbers = calloc((size_t)count, sizeof(*numbers));
	if (numbers == NULL)
		return 1;
	freyja_config_init(&config, sizeof(config));
	config.path = argv[1];
	config.fsync_interval_ns = 100000000; /* a power cut takes at most the last 100 ms */
	if (freyja_open(&config, &log, message, sizeof(message)) < 0) {
		fprintf(stderr, "%s\n", message); /* names the file, and what to do */
		free(numbers);
		return 1;
	}
	if (message[0] != '\0')
		printf("%s\n", message); /* a torn tail was saved and cut off */
	status = write_orders(log, count, numbers);
	err = freyja_close(&log); /* syncs, and waits for the callbacks */
	free(numbers);
	return err < 0 ? failed("closing", err) : status;
}
