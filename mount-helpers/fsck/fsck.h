/* SPDX-License-Identifier: MIT */
/* Types and functions that the parts of fsck.freyjafs share.  Threads: one, and one that
 * reads a file ahead (scan.c).  Functions return 0 or
 * -errno unless they say otherwise. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_FSCK_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_FSCK_H

#include <err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "codec/compiler.h"
#include "codec/manifest.h"
#include "codec/synced.h"
#include "writer/base/diag.h"
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

/* The command line. */
struct fsck_options {
	const char *datadir;
	bool salvage, check_only, take_inside, prefer_none, accept_foreign, help, version;
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

/* --- fsck/report.c --- */

/* Prints a message about a file of the store on stderr, and returns 'err'. */
int fsck_failed(const struct fsck *f, const char *name, int err);
/* Prints on stderr that a file of the store cannot be read, with the reason 'err', and returns
 * 'err'. */
int fsck_failed_read(const struct fsck *f, const char *name, int err);

/* Notes a finding that is no damage.  Salvage checks all files repeatedly, and finds it each time,
 * so notes are kept and printed at the end. */
void fsck_note(struct fsck *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Ends the notes of one check of the files, and prints them if it is the last one. */
void fsck_end_notes(struct fsck *f, bool print);

/* Prints a lost part of a file. */
void fsck_print_lost(const struct fsck_file *file, const struct salvage_lost *l);
/* Prints the undamaged records that do not fit. */
void fsck_print_edits(const struct fsck_file *file);
/* Prints the names of the files in quarantine/ that have the bytes taken out of 'file'. */
void fsck_print_saved(const struct fsck_file *file);
/* Prints a name that cannot be read whole. */
void fsck_print_name(const struct fsck_name *name);

/* --- fsck/file.c --- */

/* Adds a file and takes over its descriptor, also on failure.  -ENOMEM. */
int fsck_add_file(struct fsck *f, const struct fsck_file *file) WARN_UNUSED;
/* Returns whether DATADIR has a file 'name'. */
bool fsck_has_name(const struct fsck *f, const char *name);

/* Stores the facts that MANIFEST has about a sealed segment. */
void fsck_look_up(const struct fsck *f, struct fsck_file *file);
/* Returns whether MANIFEST lists 'file' with these facts. */
bool fsck_has_facts(const struct fsck_file *file, uint64_t bytes,
		    const struct manifest_facts *facts);

/* Reads the time of the first record of a file; UINT64_MAX: it has no record, or cannot be read. */
uint64_t fsck_first_time(const struct fsck *f, int fd);
/* Returns whether a file begins with a segment record, and stores the record. */
bool fsck_read_number(struct fsck *f, int fd, struct meta_segment *ret);

/* Returns whether bytes are missing at the end of the file. */
bool fsck_is_too_short(const struct fsck_file *file);
/* Returns the number of damages of a file. */
uint64_t fsck_damages_of(const struct fsck_file *file);
/* Returns the description of a file for the functions of writer/log/salvage.h; it borrows from
 * 'file'. */
struct salvage_file fsck_salvage_file(const struct fsck_file *file, struct io *io, int dir_fd,
				      bool take_inside);

/* --- fsck/files.c --- */

/* Opens the files, finds the missing and the displaced ones, and reports what is wrong with the set
 * of files.  The store may be mounted.  Returns 0, or -errno after a message. */
int fsck_open_files(struct fsck *f) WARN_UNUSED;
/* Closes the files and frees their losses.  The counts of damages stay. */
void fsck_forget_files(struct fsck *f);

/* --- fsck/displaced.c --- */

/* Assigns each listed content to the file that MANIFEST lists it as, whatever its present name is.
 */
int fsck_put_in_order(struct fsck *f) WARN_UNUSED;

/* --- fsck/missing.c --- */

/* Returns whether a log that continues with segment 'next' can have segment 'number': it is not
 * more than the largest possible number of missing segments ahead. */
bool fsck_is_in_reach(uint64_t next, uint64_t number);

/* Adds the segments whose numbers are missing.  Salvage replaces them by stand-ins for the records
 * in their hints. */
int fsck_add_missing(struct fsck *f) WARN_UNUSED;
/* Adds the active segment as missing.  After a crash it may be absent without a loss: if nothing
 * shows that it had durable records, and its number would be 'next_number'.  With a higher number,
 * the segments before it are missing, too. */
int fsck_add_missing_active(struct fsck *f, struct fsck_file *active,
			    uint64_t next_number) WARN_UNUSED;

/* --- fsck/manifest.c --- */

/* Reports a damaged or missing MANIFEST.  If it has a later durable position than the mark, that
 * position is used. */
void fsck_check_manifest(struct fsck *f, bool damaged);
/* Reports that MANIFEST is damaged or missing, as 'how' says; salvage will write a new one. */
void fsck_report_manifest(struct fsck *f, const char *how);
/* Reports a MANIFEST that is older than a sealed segment. */
void fsck_check_unlisted(struct fsck *f);
/* Ignores a durable mark with a number that no log of these files can have. */
void fsck_check_mark(struct fsck *f, uint64_t next_number);

/* Returns whether MANIFEST lists a file as replaced. */
bool fsck_is_obsolete(const struct manifest *m, struct segment_id id);
/* For io_list() with a struct fsck: reports files that have the name of a segment but are no part
 * of the log, and second files of a segment. */
int fsck_report_stranger(void *arg, const char *name);

/* Writes MANIFEST for the segments in their present form. */
int fsck_write_manifest(struct fsck *f) WARN_UNUSED;

/* --- fsck/scan.c --- */

/* Reads all files, reports their lost parts, compares them with MANIFEST, replays the log without
 * its lost parts, reports the commits that do not fit, and finds the names that cannot be read
 * whole.  A thread reads each file while the file before it is replayed. */
int fsck_check_files(struct fsck *f) WARN_UNUSED;

/* --- fsck/replay.c --- */

/* Frees the names; 'n' is empty and can be used again. */
void fsck_names_free(struct fsck_names *n);
/* The replay of the log, one file after the other. */
struct fsck_replay; /* defined in fsck/replay.c */

int fsck_replay_begin(struct io *io, struct fsck_replay **ret) WARN_UNUSED;
/* Replays the next file of the log and fills in its edits.  Returns 0 or -errno.  -EPROTONOSUPPORT:
 * it has a record that this version does not know, named in 'diag'.  -ENOMEM, or -errno of a read.
 */
int fsck_replay_file(struct fsck_replay *c, struct fsck_file *file, struct diag *diag) WARN_UNUSED;
/* Finds the names that cannot be read whole, after all files. */
int fsck_replay_names(struct fsck_replay *c, struct fsck_names *ret) WARN_UNUSED;
void fsck_replay_end(struct fsck_replay *c);

/* --- fsck/repair.c --- */

/* Salvages the last file first.  If this process is killed, the losses in earlier files can still
 * be recognised, and so can the later commits that do not fit because of them. */
int fsck_salvage_all(struct fsck *f) WARN_UNUSED;

/* --- fsck/old.c --- */

/* Restores the files among 'names' whose older version is still in the log, and stores their
 * number.  The store in 'datadir' must not be in use, and must be one that can be opened.  The
 * commits are durable on return.  Returns 0, or -errno with a message in 'diag'. */
int fsck_old(const char *datadir, const struct fsck_names *names, uint64_t *ret_restored,
	     struct diag *diag) WARN_UNUSED;

#endif
