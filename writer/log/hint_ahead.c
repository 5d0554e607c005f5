/* SPDX-License-Identifier: MIT */
#include "writer/log/hint_ahead.h"

#include <stdio.h>

/* The hint of a smaller segment is read in less time than a thread is worth. */
#define SEGMENT_BYTES_MIN ((uint64_t)1024 * 1024)

static void *load(void *arg)
{
	struct hint_ahead *a = arg;

	a->reader = hint_reader_open(a->io, a->dir_fd, &a->about);
	return NULL;
}

void hint_ahead_start(struct hint_ahead *a, struct io *io, int dir_fd,
		      const struct hint_about *about)
{
	if (about->segment_bytes < SEGMENT_BYTES_MIN)
		return;
	*a = (struct hint_ahead){ .io = io, .dir_fd = dir_fd, .about = *about };
	(void)snprintf(a->name, sizeof(a->name), "%s", about->name);
	a->about.name = a->name;
	if (about->facts != NULL) {
		a->facts = *about->facts;
		a->about.facts = &a->facts;
	}
	a->started = pthread_create(&a->thread, NULL, load, a) == 0;
}

/* Waits for the thread.  Returns its hint. */
static struct hint_reader *finish(struct hint_ahead *a)
{
	(void)pthread_join(a->thread, NULL);
	a->started = false;
	return a->reader;
}

struct hint_reader *hint_ahead_take(struct hint_ahead *a, struct io *io, int dir_fd,
				    const struct hint_about *about)
{
	return a->started ? finish(a) : hint_reader_open(io, dir_fd, about);
}

void hint_ahead_drop(struct hint_ahead *a)
{
	if (a->started)
		hint_reader_close(finish(a));
}
