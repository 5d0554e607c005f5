/* SPDX-License-Identifier: MIT */
/* The background work of an open store: for writer/open.c, which owns it, and for tests. */
#ifndef FREYJAFS_WRITER_OPEN_PRIVATE_H
#define FREYJAFS_WRITER_OPEN_PRIVATE_H

#include "writer/compact/compact.h"
#include "writer/scrub/scrub.h"

struct background {
	struct compactor compactor;
	struct scrubber scrubber;
};

#endif
