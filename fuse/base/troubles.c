/* SPDX-License-Identifier: MIT */
#include "fuse/base/troubles.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PATH_SHOWN_MAX 500 /* bytes of a path in a message; of a longer path it shows the end */

void troubles_init(struct troubles *t, const char *mountpoint)
{
	*t = (struct troubles){ .mountpoint = mountpoint };
	mutex_init(&t->lock);
}

void troubles_destroy(struct troubles *t)
{
	mutex_destroy(&t->lock);
}

static const char *what_happened(enum trouble_kind kind)
{
	switch (kind) {
	case TROUBLE_READ:
		return "cannot be read";
	case TROUBLE_COMMIT:
		return "the value was not committed";
	case TROUBLE_SCRUB:
		return "scrub: the record is damaged";
	case TROUBLE_ROTATE:
	case TROUBLE_KINDS:
		break;
	}
	return "trouble";
}

/* Formats a path as one line of text; control characters become '?'. */
static void print_path(const struct trouble *t, char out[PATH_SHOWN_MAX + 8])
{
	size_t skip = t->path_bytes > PATH_SHOWN_MAX ? t->path_bytes - PATH_SHOWN_MAX : 0;
	char *p = out;

	if (t->path_bytes == 0) {
		(void)snprintf(out, PATH_SHOWN_MAX + 8, "(no path)");
		return;
	}
	if (skip > 0)
		p = stpcpy(p, "...");
	for (size_t i = skip; i < t->path_bytes; i++) {
		char c = t->path[i];

		*p++ = (unsigned char)c < ' ' || c == '\x7f' ? '?' : c;
	}
	*p = '\0';
}

static bool was_told_locked(const struct troubles *t, const struct trouble *trouble)
	REQUIRES(t->lock, troubles_class)
{
	size_t n = t->told < TROUBLES_RECENT ? (size_t)t->told : TROUBLES_RECENT;

	for (size_t i = 0; trouble->segment != 0 && i < n; i++)
		if (t->recent[i].kind == trouble->kind &&
		    t->recent[i].segment == trouble->segment &&
		    t->recent[i].file_offset == trouble->file_offset)
			return true;
	return false;
}

/* Returns whether one more message may be printed, and stores how many were left out before it. */
static bool may_tell_locked(struct troubles *t, const struct trouble *trouble, uint64_t now_ns,
			    uint64_t *ret_untold) REQUIRES(t->lock, troubles_class)
{
	size_t slot;

	if (t->window_ns == 0 || now_ns - t->window_ns >= TROUBLES_WINDOW_NS) {
		t->window_ns = now_ns;
		t->told = 0;
	}
	if (t->told >= TROUBLES_MAX || was_told_locked(t, trouble)) {
		t->untold++;
		return false;
	}
	slot = t->told++ % TROUBLES_RECENT;
	t->recent[slot].kind = trouble->kind;
	t->recent[slot].segment = trouble->segment;
	t->recent[slot].file_offset = trouble->file_offset;
	*ret_untold = t->untold;
	t->untold = 0;
	return true;
}

bool troubles_line(struct troubles *t, const struct trouble *trouble, uint64_t now_ns,
		   char line[TROUBLES_LINE_MAX])
{
	char path[PATH_SHOWN_MAX + 8], place[80] = "", before[80] = "";
	uint64_t untold = 0;
	bool may;

	atomic_fetch_add(&t->counts[trouble->kind], 1);
	may = WITH_LOCK(troubles, t, may_tell_locked(t, trouble, now_ns, &untold));
	if (!may)
		return false;
	if (trouble->kind == TROUBLE_ROTATE) {
		(void)snprintf(line, TROUBLES_LINE_MAX,
			       "%s: the log cannot go on in a new file, so active.data grows past "
			       "segment_size: %s",
			       t->mountpoint, trouble->reason);
		return true;
	}
	print_path(trouble, path);
	if (trouble->segment != 0)
		(void)snprintf(place, sizeof(place), " (segment %" PRIu64 ", offset %" PRIu64 ")",
			       trouble->segment, trouble->file_offset);
	if (untold > 0)
		(void)snprintf(before, sizeof(before),
			       "; %" PRIu64 " messages before this one were left out", untold);
	(void)snprintf(line, TROUBLES_LINE_MAX, "%s: keys/%s: %s: %s%s%s", t->mountpoint, path,
		       what_happened(trouble->kind),
		       trouble->reason != NULL ? trouble->reason : "unknown error", place, before);
	return true;
}

bool troubles_refusal(struct troubles *t, const char *name, const char *why, uint64_t now_ns,
		      char line[TROUBLES_LINE_MAX])
{
	const struct trouble named = { .path = name, .path_bytes = strlen(name) };
	char path[PATH_SHOWN_MAX + 8];
	bool may;

	troubles_lock(t);
	may = t->refusal_ns == 0 || now_ns - t->refusal_ns >= REFUSALS_PAUSE_NS;
	if (may)
		t->refusal_ns = now_ns;
	troubles_unlock(t);
	if (!may)
		return false;
	print_path(&named, path);
	(void)snprintf(line, TROUBLES_LINE_MAX, "%s/%s: refused: %s", t->mountpoint, path, why);
	return true;
}
