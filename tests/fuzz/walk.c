/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/walk.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define DIGEST_SEED UINT64_C(14695981039346656037)
#define DEPTH_MAX   100
#define READ_BYTES  4096

static uint64_t unreadable;

/* The order in which a directory is listed may differ: each node has a digest of its own, over its
 * path too, and they are added up. */
struct walk {
	struct store *s;
	uint64_t digest;
	int depth;
	bool show; /* FUZZ_SHOW is set: for a person who looks at a finding */
};

static void mix(uint64_t *digest, const void *data, size_t bytes)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < bytes; i++)
		*digest = (*digest ^ p[i]) * UINT64_C(1099511628211);
}

struct child {
	struct child *next;
	struct node *node;
	bool is_dir;
	uint64_t bytes;
	uint64_t path_digest, digest;
};

struct listing {
	struct walk *w;
	uint64_t path_digest;
	struct child *children;
};

static void show_entry(const struct walk *w, const struct store_dirent *e)
{
	if (w->show)
		fprintf(stderr, "%*s%.*s ino %llu mode %o size %llu mtime %lld ctime %lld\n",
			4 * w->depth, "", (int)e->name_bytes, e->name,
			(unsigned long long)e->attr.ino, e->attr.mode,
			(unsigned long long)e->attr.size_bytes, (long long)e->attr.mtime.tv_sec,
			(long long)e->attr.ctime.tv_sec);
}

static int on_entry(void *arg, const struct store_dirent *e)
{
	struct listing *l = arg;
	struct child *c = malloc(sizeof(*c));

	FUZZ_CHECK(c != NULL);
	FUZZ_CHECK(e->name_bytes > 0 && e->attr.committed);
	*c = (struct child){ l->children,	 e->node,	 S_ISDIR(e->attr.mode),
			     e->attr.size_bytes, l->path_digest, 0 };
	mix(&c->path_digest, e->name, e->name_bytes);
	mix(&c->path_digest, "", 1);
	c->digest = c->path_digest;
	mix(&c->digest, &e->attr.mode, sizeof(e->attr.mode));
	mix(&c->digest, &e->attr.uid, sizeof(e->attr.uid));
	mix(&c->digest, &e->attr.size_bytes, sizeof(e->attr.size_bytes));
	if (!c->is_dir) { /* the log does not have the times of a directory */
		mix(&c->digest, &e->attr.mtime.tv_sec, sizeof(e->attr.mtime.tv_sec));
		mix(&c->digest, &e->attr.atime.tv_sec, sizeof(e->attr.atime.tv_sec));
		mix(&c->digest, &e->attr.ctime.tv_sec, sizeof(e->attr.ctime.tv_sec));
	}
	show_entry(l->w, e);
	store_pin_in_list(e->node);
	l->children = c;
	return 0;
}

static void read_some(const struct walk *w, struct child *c, uint64_t offset)
{
	static uint8_t value[READ_BYTES];
	ssize_t got = store_read(w->s, c->node, value, sizeof(value), offset);

	FUZZ_CHECK(got >= 0 || got == -EIO);
	if (w->show)
		fprintf(stderr, "%*sread: %zd\n", 4 * w->depth, "", got);
	unreadable += got < 0;
	mix(&c->digest, &got, sizeof(got));
	if (got > 0)
		mix(&c->digest, value, (size_t)got);
}

static void walk_dir(struct walk *w, struct node *dir, uint64_t path_digest)
{
	struct listing l = { .w = w, .path_digest = path_digest };
	struct child *next;

	FUZZ_CHECK(w->depth++ < DEPTH_MAX);
	FUZZ_CHECK(store_list(w->s, dir, 0, on_entry, &l) == 0);
	for (struct child *c = l.children; c != NULL; c = next) {
		next = c->next;
		if (c->is_dir) {
			walk_dir(w, c->node, c->path_digest);
		} else {
			read_some(w, c, 0);
			if (c->bytes > READ_BYTES)
				read_some(w, c, c->bytes - READ_BYTES);
		}
		w->digest += c->digest;
		store_unpin(w->s, c->node, 1);
		free(c);
	}
	w->depth--;
}

uint64_t walk_digest(struct store *s)
{
	struct walk w = { .s = s, .digest = DIGEST_SEED, .show = getenv("FUZZ_SHOW") != NULL };
	struct store_stats stats;

	unreadable = 0;
	store_stats(s, &stats);
	mix(&w.digest, &stats.files, sizeof(stats.files));
	mix(&w.digest, &stats.directories, sizeof(stats.directories));
	mix(&w.digest, &stats.unnamed_keys, sizeof(stats.unnamed_keys));
	if (w.show)
		fprintf(stderr, "%llu files, %llu directories, %llu other keys\n",
			(unsigned long long)stats.files, (unsigned long long)stats.directories,
			(unsigned long long)stats.unnamed_keys);
	walk_dir(&w, store_root(s), DIGEST_SEED);
	return w.digest;
}

uint64_t walk_unreadable(void)
{
	return unreadable;
}
