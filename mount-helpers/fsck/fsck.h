/* SPDX-License-Identifier: MIT */
/* Shared by the parts of fsck.freyjafs.  Threads: one. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_FSCK_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_FSCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "writer/log/salvage.h"
#include "writer/log/segments.h"

/* One file of the log. */
struct fsck_file {
	char name[SEGMENT_NAME_BYTES];
	char hint_name[SEGMENT_NAME_BYTES];
	uint64_t number; /* of the active one: that it will have */
	bool active, base, missing;
	bool misplaced;			   /* its segment record has another number */
	bool numbered;			   /* it begins with a segment record */
	bool unnumbered;		   /* it does not, and should */
	bool moved;			   /* its content was found under the name of another */
	bool spare;			   /* MANIFEST does not list it, and it fits */
	char old_name[SEGMENT_NAME_BYTES]; /* that salvage has replaced; "": it has not */
	bool sealed;			   /* a full one that was sealed by salvage */
	uint64_t full_bytes;		   /* what the name of a full one says; 0: it is none */
	uint64_t generation;		   /* of a sealed one */
	bool listed;			   /* MANIFEST has these: */
	uint64_t listed_bytes;
	struct manifest_facts facts;
	bool is_other; /* it is whole, and not the file that MANIFEST lists */
	int fd;	       /* owned */
	uint64_t bytes;
	uint64_t durable_bytes; /* all of a sealed one */
	bool ends;		/* a full one that is not complete: the log ends in it */
	bool torn;		/* at 'torn_at', behind what is durable */
	uint64_t torn_at;
	struct salvage lost;  /* of the file as it is */
	struct salvage edits; /* of the file without what is lost: commits that do not fit */
};

/* A name whose content cannot be read whole. */
struct fsck_name {
	char *path; /* owned */
	size_t path_bytes;
	bool has_path;	     /* else no path can name it */
	uint64_t version_ns; /* time of the version */
	uint64_t size_bytes, lost_bytes, first_lost;
	bool has_older; /* an older version is whole */
	uint64_t older_ns, older_bytes;
};

struct fsck_names {
	struct fsck_name *list; /* owned */
	size_t count, room;
};
void fsck_names_free(struct fsck_names *n);

/* How a file is to be salvaged. */
struct salvage_file fsck_salvage_file(const struct fsck_file *file, struct io *io, int dir_fd,
				      bool take_inside);

/* Says what was lost: "a put of 'key'". */
void fsck_print_record(const struct salvage_record *was);

#endif
