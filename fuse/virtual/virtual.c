/* SPDX-License-Identifier: MIT */
#include "fuse/virtual/virtual.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/mount/reply.h"

/* The words that /control accepts, and the text that a read of /control returns. */
#define CONTROL_WORDS "sync, rotate, compact, scrub"
#define CONTROL_TEXT  "sync\nrotate\ncompact\nscrub\n"

/* The text of /status, /metrics or /control at the time of its open. */
struct snapshot {
	char *text; /* owned */
	size_t bytes;
};

static struct snapshot *snapshot_of(const struct fuse_file_info *fi)
{
	return (struct snapshot *)(uintptr_t)fi->fh;
}

void virtual_stat(struct fs *fs, fuse_ino_t ino, struct stat *ret)
{
	*ret = (struct stat){
		.st_ino = ino,
		.st_nlink = 1,
		.st_uid = fs->uid,
		.st_gid = fs->gid,
		.st_blksize = 4096,
		.st_atim = fs->mounted_at,
		.st_mtim = fs->mounted_at,
		.st_ctim = fs->mounted_at,
	};
	switch (ino) {
	case FS_INO_ROOT:
		ret->st_mode = S_IFDIR | 0555;
		ret->st_nlink = 4;
		break;
	case FS_INO_STATUS:
	case FS_INO_METRICS:
		ret->st_mode = S_IFREG | 0444;
		break;
	default:
		ret->st_mode = S_IFREG | 0600;
		break;
	}
}

bool virtual_entry(struct fs *fs, size_t i, const char **ret_name, struct fuse_entry_param *ret)
{
	static const struct {
		const char *name;
		fuse_ino_t ino; /* 0: the root of the store */
	} entries[] = {
		{ "keys", 0 },
		{ "status", FS_INO_STATUS },
		{ "control", FS_INO_CONTROL },
		{ "history", FS_INO_HISTORY },
		{ "metrics", FS_INO_METRICS },
	};

	if (i >= ARRAY_SIZE(entries))
		return false;
	*ret_name = entries[i].name;
	*ret = (struct fuse_entry_param){ .ino = entries[i].ino,
					  .attr_timeout = FS_CACHE_SECONDS,
					  .entry_timeout = FS_CACHE_SECONDS };
	if (ret->ino == 0)
		fs_entry(fs, store_root(fs->store), ret);
	else if (ret->ino == FS_INO_HISTORY)
		history_stat_of(fs, ret->ino, &ret->attr);
	else
		virtual_stat(fs, ret->ino, &ret->attr);
	return true;
}

/* Replies: entry (also a negative one), err. */
void virtual_lookup(fuse_req_t req, const char *name)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param entry;
	const char *entry_name;

	for (size_t i = 0; virtual_entry(fs, i, &entry_name, &entry); i++) {
		if (strcmp(entry_name, name) == 0) {
			reply_entry(req, &entry, REPLY_AS_CONFIGURED, 0);
			return;
		}
	}
	entry = (struct fuse_entry_param){ .entry_timeout = FS_CACHE_SECONDS };
	(void)fuse_reply_entry(req, &entry); /* without pins, so a failed reply needs no cleanup */
}

/* Replies: attr, err.  It succeeds on /control, because a shell whose open(2) does not pass O_TRUNC
 * on truncates it first. */
void virtual_setattr(fuse_req_t req, fuse_ino_t ino, const struct stat *attr, int to_set)
{
	struct stat st;

	if (ino != FS_INO_CONTROL || (to_set & ~FUSE_SET_ATTR_SIZE) != 0 || attr->st_size != 0) {
		reply_err(req, -EPERM);
		return;
	}
	virtual_stat(fs_of(req), ino, &st);
	(void)fuse_reply_attr(req, &st, FS_CACHE_SECONDS);
}

static int take_snapshot(struct fs *fs, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	int err;

	if (s == NULL)
		return -ENOMEM;
	if (ino == FS_INO_STATUS) {
		err = status_text(fs, &s->text, &s->bytes);
	} else if (ino == FS_INO_METRICS) {
		err = metrics_text(fs, &s->text, &s->bytes);
	} else {
		s->text = strdup(CONTROL_TEXT);
		s->bytes = strlen(CONTROL_TEXT);
		err = s->text == NULL ? -ENOMEM : 0;
	}
	if (err < 0) {
		free(s);
		return err;
	}
	fi->fh = (uint64_t)(uintptr_t)s;
	return 0;
}

static void drop_snapshot(struct fuse_file_info *fi)
{
	struct snapshot *s = snapshot_of(fi);

	if (s != NULL)
		free(s->text);
	free(s);
}

/* Replies: open, err.  The size of these files is unknown before the open, so they bypass the page
 * cache. */
void virtual_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	int err = 0;

	fi->fh = 0;
	fi->direct_io = 1;
	fi->noflush = 1;
	if ((fi->flags & O_ACCMODE) == O_RDONLY)
		err = take_snapshot(fs_of(req), ino, fi);
	else if (ino != FS_INO_CONTROL)
		err = -EACCES;
	if (err < 0)
		reply_err(req, err);
	else if (fuse_reply_open(req, fi) < 0)
		drop_snapshot(fi);
}

/* Replies: buf, err. */
void virtual_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	const struct snapshot *s = snapshot_of(fi);
	size_t n = 0;
	char *copy;

	if (s != NULL && (uint64_t)off < s->bytes)
		n = s->bytes - (size_t)off;
	if (n > size)
		n = size;
	/* Copy the text: another thread may release the handle as soon as the kernel has the reply.
	 */
	copy = malloc(n + 1);
	if (copy == NULL) {
		reply_err(req, -ENOMEM);
		return;
	}
	if (n > 0)
		memcpy(copy, s->text + off, n);
	(void)fuse_reply_buf(req, copy, n);
	free(copy);
}

static bool is_word(const char *buf, size_t n, const char *word)
{
	return n == strlen(word) && memcmp(buf, word, n) == 0;
}

/* Replies: write, err. */
void virtual_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size)
{
	struct store *s = fs_of(req)->store;
	size_t n = size;

	if (ino != FS_INO_CONTROL) {
		reply_err(req, -EACCES);
		return;
	}
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	if (is_word(buf, n, "sync")) {
		reply_written(req, 0, size, REPLY_DURABLE, store_end(s));
	} else if (is_word(buf, n, "rotate")) {
		reply_written(req, store_rotate(s), size, REPLY_AS_CONFIGURED, 0);
	} else if (is_word(buf, n, "scrub")) {
		reply_written(req, store_scrub(s), size, REPLY_AS_CONFIGURED, 0);
	} else if (is_word(buf, n, "compact")) {
		reply_compacted(req, size);
	} else {
		fs_tell_refused(fs_of(req), "control", "it takes one of the words " CONTROL_WORDS);
		reply_err(req, -EINVAL);
	}
}

/* Replies: err. */
void virtual_release(fuse_req_t req, struct fuse_file_info *fi)
{
	drop_snapshot(fi);
	reply_err(req, 0);
}
