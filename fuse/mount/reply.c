/* SPDX-License-Identifier: MIT */
#include "fuse/mount/reply.h"

#include <errno.h>
#include <stdlib.h>

enum kind {
	KIND_OK,
	KIND_WRITTEN,
	KIND_ATTR,
	KIND_ENTRY,
};

/* A late reply with its payload. */
struct reply {
	fuse_req_t req;
	struct fs *fs;
	enum kind kind;
	union {
		size_t written_bytes;
		struct stat attr;
		struct fuse_entry_param entry;
	};
};

void reply_err(fuse_req_t req, int err)
{
	(void)fuse_reply_err(req, -err); /* fails only when nobody waits for the reply any more */
}

static void send_error(const struct reply *r, int err)
{
	if (r->kind == KIND_ENTRY)
		fs_unpin(r->fs, r->entry.ino, 1);
	reply_err(r->req, err);
}

static void send_reply(const struct reply *r)
{
	switch (r->kind) {
	case KIND_OK:
		reply_err(r->req, 0);
		break;
	case KIND_WRITTEN:
		(void)fuse_reply_write(r->req, r->written_bytes);
		break;
	case KIND_ATTR:
		(void)fuse_reply_attr(r->req, &r->attr, fs_attr_seconds(&r->attr));
		break;
	case KIND_ENTRY:
		if (fuse_reply_entry(r->req, &r->entry) < 0)
			fs_unpin(r->fs, r->entry.ino, 1);
		break;
	}
}

/* Called by the store when the commit is durable, or the wait has failed. */
static void on_durable(void *arg, int err)
{
	struct reply *r = arg;

	if (err < 0)
		send_error(r, err);
	else
		send_reply(r);
	free(r);
}

static void reply(const struct reply *r, enum reply_when when, uint64_t end)
{
	struct reply *late;
	int err;

	if (end == 0 || (when == REPLY_AS_CONFIGURED && !store_is_synchronous(r->fs->store))) {
		send_reply(r);
		return;
	}
	late = malloc(sizeof(*late));
	if (late == NULL) {
		send_error(r, -ENOMEM);
		return;
	}
	*late = *r;
	err = store_sync_async(r->fs->store, end, on_durable, late);
	if (err < 0) {
		free(late);
		send_error(r, err);
	}
}

void reply_done(fuse_req_t req, int err, enum reply_when when, uint64_t end)
{
	struct reply r = { .req = req, .fs = fs_of(req), .kind = KIND_OK };

	if (err < 0)
		reply_err(req, err);
	else
		reply(&r, when, end);
}

void reply_written(fuse_req_t req, int err, size_t n, enum reply_when when, uint64_t end)
{
	struct reply r = { .req = req, .fs = fs_of(req), .kind = KIND_WRITTEN, .written_bytes = n };

	if (err < 0)
		reply_err(req, err);
	else
		reply(&r, when, end);
}

void reply_attr(fuse_req_t req, const struct stat *attr, enum reply_when when, uint64_t end)
{
	struct reply r = { .req = req, .fs = fs_of(req), .kind = KIND_ATTR, .attr = *attr };

	reply(&r, when, end);
}

void reply_entry(fuse_req_t req, const struct fuse_entry_param *entry, enum reply_when when,
		 uint64_t end)
{
	struct reply r = { .req = req, .fs = fs_of(req), .kind = KIND_ENTRY, .entry = *entry };

	reply(&r, when, end);
}

void reply_compacted(fuse_req_t req, size_t n)
{
	struct reply *late = malloc(sizeof(*late));
	int err = -ENOMEM;

	if (late != NULL) {
		*late = (struct reply){
			.req = req, .fs = fs_of(req), .kind = KIND_WRITTEN, .written_bytes = n
		};
		err = store_compact_async(late->fs->store, on_durable, late);
	}
	if (err < 0) {
		free(late);
		reply_err(req, err);
	}
}
