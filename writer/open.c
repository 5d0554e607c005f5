/* SPDX-License-Identifier: MIT */
/* A store with its background work: the one place that knows the store, compaction and scrub
 * together. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "writer/open_private.h"
#include "writer/store.h"
#include "writer/store/for_background.h"

/* Starts the threads that the config allows. */
static int start(struct background *b, const struct store_config *config)
{
	int err;

	if (config->no_background || config->read_only)
		return 0;
	err = compact_start(&b->compactor);
	if (err == 0 && b->scrubber.interval_ns > 0)
		err = scrub_start(&b->scrubber);
	return err;
}

int store_open(const struct store_config *config, struct store **ret, struct diag *diag)
{
	struct background *b;
	struct store *s;
	int err;

	err = store_open_alone(config, &s, diag);
	if (err < 0)
		return err;
	b = calloc(1, sizeof(*b));
	if (b == NULL) {
		(void)!store_close_alone(s);
		return diag_set(diag, -ENOMEM, "%s: out of memory", config->dir_path);
	}
	compact_init(&b->compactor, s, config);
	scrub_init(&b->scrubber, s, config);
	store_set_background(s, b);
	err = start(b, config);
	if (err < 0) {
		(void)diag_set(diag, err, "%s: cannot start a thread: %s", store_path(s),
			       strerror(-err));
		(void)!store_close(s); /* the first error is reported */
		return err;
	}
	*ret = s;
	return 0;
}

int store_close(struct store *s)
{
	struct background *b;
	int err;

	if (s == NULL)
		return 0;
	b = store_background(s);
	scrub_stop(&b->scrubber);
	compact_stop(&b->compactor);
	err = store_close_alone(s);
	compact_destroy(&b->compactor);
	scrub_destroy(&b->scrubber);
	free(b);
	return err;
}

int store_compact(struct store *s, store_compact_progress_fn progress, void *arg)
{
	return compact_by_hand(&store_background(s)->compactor, progress, arg);
}

int store_compact_async(struct store *s, log_sync_fn done, void *arg)
{
	return compact_by_thread(&store_background(s)->compactor, done, arg);
}

int store_scrub(struct store *s)
{
	return scrub_request(&store_background(s)->scrubber);
}

void store_stats(struct store *s, struct store_stats *ret)
{
	struct background *b = store_background(s);

	store_stats_alone(s, ret);
	compact_figures(&b->compactor, &ret->compaction);
	scrub_figures(&b->scrubber, &ret->scrub);
}
