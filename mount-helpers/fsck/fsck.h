/* SPDX-License-Identifier: MIT */
/* Types and functions that the parts of fsck.freyjafs share.  Threads: one.  Functions return 0 or
 * -errno unless they say otherwise. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_FSCK_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_FSCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "codec/manifest.h"
#include "codec/synced.h"
#include "writer/base/io.h"
#include "writer/log/salvage.h"
#include "writer/log/segments.h"

/* One file of the log. */
struct fsck_file {
	char name[SEGMENT_NAME_BYTES];
	char hint_name[SEGMENT_NAME_BYTES];
	uint64_t number; /* of the active segment: the number that it will get */
	bool active, base, missing;
	bool in_base;	 /* the base itself, or a later segment of it: times are in no order */
	bool misplaced;	 /* it is not at its position: its number or its store id is wrong */
	bool numbered;	 /* begins with a segment record */
	bool unnumbered; /* should begin with a segment record, but does not */
	bool moved;	 /* its content was found under the name of another file */
	bool spare;	 /* MANIFEST does not list it, but it fits */
	char old_name[SEGMENT_NAME_BYTES]; /* the file that salvage has replaced; "": none */
	bool sealed;			   /* a rotated segment that salvage has sealed */
	uint64_t rotated_bytes; /* size in the name of a rotated segment; 0: of another one */
	uint64_t generation;	/* of a sealed segment */
	bool listed;		/* MANIFEST lists it, with the values below */
	uint64_t listed_bytes;
	struct manifest_facts facts;
	bool is_other; /* undamaged, but not the file that MANIFEST lists */
	int fd;	       /* owned */
	uint64_t bytes;
	uint64_t durable_bytes; /* a sealed segment is durable as a whole */
	bool ends;		/* an incomplete rotated segment: the log ends in it */
	bool torn;		/* torn at 'torn_at', behind its durable part */
	uint64_t torn_at;
	bool lost_anywhere;   /* records are missing, and nothing shows where */
	struct salvage lost;  /* lost parts of the present file */
	struct salvage edits; /* changes to the file without its lost parts, where commits do not
				 fit any more */
};

/* A name whose content cannot be read whole. */
struct fsck_name {
	char *path; /* owned */
	size_t path_bytes;
	bool has_path;	     /* false: an unnameable key */
	uint64_t version_ns; /* time of the version */
	uint64_t size_bytes, lost_bytes, first_lost;
	bool has_older; /* an older version is whole */
	uint64_t older_ns, older_bytes;
};

struct fsck_names {
	struct fsck_name *list; /* owned */
	size_t count, capacity;
};
/* Frees the names; 'n' is empty and can be used again. */
void fsck_names_free(struct fsck_names *n);

/* The command line. */
struct fsck_options {
	const char *datadir;
	bool salvage, take_inside, prefer_none, accept_foreign, help, version;
};

/* A check of a store. */
struct fsck {
	struct fsck_options options;
	struct io *io;
	int dir_fd, lock_fd;
	struct fsck_file *files; /* owned; in the order of the log */
	size_t count, capacity;
	struct synced mark;	  /* zeros: there is none, or it is ignored */
	uint64_t base_number;	  /* the base that the log begins with; 0: it begins with the first
				     segment */
	struct manifest manifest; /* owned */
	bool has_manifest, rebuild_manifest;
	bool wrong_mark; /* the durable mark has a number that no log can have */
	bool refused;	 /* a mount refuses a file for its owner, permissions or kind */
	bool stands;	 /* nothing may be changed, because files are not where they belong */
	bool unfinished; /* damage was found after the last salvage */
	uint64_t found, corrected; /* number of damages */
	struct fsck_names names;   /* names that cannot be read whole */
	uint64_t restored;	   /* names that have an older version now */
	FILE *notes;	  /* findings that are no damage and stay; printed once, at the end */
	char *notes_text; /* owned */
	size_t notes_bytes;
};

#endif
