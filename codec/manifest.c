/* SPDX-License-Identifier: MIT */
#include "codec/manifest.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "codec/array.h"
#include "codec/crc32.h"
#include "codec/le.h"
#include "codec/record.h"

#define MAGIC	       "freyjafs manifest "
#define CRC_LINE       "crc32 "
#define CRC_LINE_BYTES (strlen(CRC_LINE) + 8 + 1)
#define WORD_BYTES     24 /* of a number in decimal, and a NUL */

/* --- memory --- */

void manifest_free(struct manifest *m)
{
	free(m->segments);
	free(m->obsolete);
	*m = (struct manifest){ 0 };
}

bool manifest_add(struct manifest *m, const struct manifest_segment *seg)
{
	if (ARRAY_RESERVE(m->segments, m->count + 1, m->capacity) < 0)
		return false;
	m->segments[m->count++] = *seg;
	return true;
}

bool manifest_add_obsolete(struct manifest *m, struct segment_id id)
{
	if (ARRAY_RESERVE(m->obsolete, m->obsolete_count + 1, m->obsolete_capacity) < 0)
		return false;
	m->obsolete[m->obsolete_count++] = id;
	return true;
}

bool manifest_copy(const struct manifest *m, struct manifest *ret)
{
	struct manifest copy = *m;
	bool ok = true;

	copy.segments = NULL;
	copy.obsolete = NULL;
	copy.count = copy.capacity = copy.obsolete_count = copy.obsolete_capacity = 0;
	for (size_t i = 0; ok && i < m->count; i++)
		ok = manifest_add(&copy, &m->segments[i]);
	for (size_t i = 0; ok && i < m->obsolete_count; i++)
		ok = manifest_add_obsolete(&copy, m->obsolete[i]);
	if (ok)
		*ret = copy;
	else
		manifest_free(&copy);
	return ok;
}

struct manifest_segment *manifest_find(const struct manifest *m, uint64_t number)
{
	for (size_t i = m->count; i > 0; i--) /* mostly one of the last */
		if (m->segments[i - 1].id.number == number)
			return &m->segments[i - 1];
	return NULL;
}

bool manifest_remove_below(struct manifest *m, uint64_t number)
{
	size_t gone = 0;

	while (gone < m->count && m->segments[gone].id.number < number)
		if (!manifest_add_obsolete(m, m->segments[gone++].id))
			return false;
	m->count -= gone;
	if (gone > 0)
		memmove(m->segments, m->segments + gone, m->count * sizeof(m->segments[0]));
	return true;
}

/* --- text --- */

/* Text that grows. */
struct text {
	char *bytes; /* owned */
	size_t used, capacity;
	bool failed;
};

static void add_text(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void add_text(struct text *t, const char *fmt, ...)
{
	char line[512]; /* more than the longest */
	va_list args;
	int len;

	va_start(args, fmt);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): not where it is called twice */
	len = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	t->failed = t->failed || ARRAY_RESERVE(t->bytes, t->used + (size_t)len, t->capacity) < 0;
	if (t->failed)
		return;
	memcpy(t->bytes + t->used, line, (size_t)len);
	t->used += (size_t)len;
}

static void add_segment(struct text *t, const struct manifest_segment *seg)
{
	char name[SEGMENT_NAME_BYTES];

	segment_name(seg->id, name);
	add_text(t,
		 "segment %s bytes=%" PRIu64 " records=%" PRIu64 " first=%" PRIu64 " last=%" PRIu64,
		 name, seg->bytes, seg->facts.records, seg->facts.first_timestamp_ns,
		 seg->facts.last_timestamp_ns);
	if (seg->facts.has_digest)
		add_text(t, " digest=%016" PRIx64, seg->facts.digest);
	add_text(t, "%s\n", seg->is_base ? " base" : "");
}

char *manifest_format(const struct manifest *m, size_t *ret_bytes)
{
	char name[SEGMENT_NAME_BYTES];
	struct text t = { .bytes = NULL };

	add_text(&t, MAGIC "%d\nstore ", MANIFEST_VERSION);
	for (size_t i = 0; i < MANIFEST_STORE_ID_BYTES; i++)
		add_text(&t, "%02x", m->store_id[i]);
	add_text(&t, "\nnumbered_from %" PRIu64 "\n", m->numbered_from);
	for (size_t i = 0; i < m->count; i++)
		add_segment(&t, &m->segments[i]);
	for (size_t i = 0; i < m->obsolete_count; i++) {
		segment_name(m->obsolete[i], name);
		add_text(&t, "obsolete %s\n", name);
	}
	add_text(&t, "active %" PRIu64 "\ndurable %" PRIu64 " %" PRIu64 "\n", m->active_number,
		 m->durable_number, m->durable_offset);
	if (!t.failed)
		add_text(&t, CRC_LINE "%08" PRIx32 "\n", crc32_extend(0, t.bytes, t.used));
	if (t.failed) {
		free(t.bytes);
		return NULL;
	}
	*ret_bytes = t.used;
	return t.bytes;
}

/* The lines of a text that ends with a NUL. */
struct lines {
	char *line; /* the one that is looked at, without its newline */
	char *rest;
};

static void next_line(struct lines *l)
{
	l->line = l->rest;
	l->rest += strcspn(l->rest, "\n");
	if (*l->rest == '\n')
		*l->rest++ = '\0';
}

static bool is(const struct lines *l, const char *word)
{
	return strncmp(l->line, word, strlen(word)) == 0;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_store(struct lines *l, struct manifest *m)
{
	const char *p = l->line + strlen("store ");

	if (!is(l, "store "))
		return false;
	for (size_t i = 0; i < MANIFEST_STORE_ID_BYTES; i++, p += 2) {
		int high = hex_value(p[0]), low = high < 0 ? -1 : hex_value(p[1]);

		if (low < 0)
			return false;
		m->store_id[i] = (uint8_t)(high << 4 | low);
	}
	next_line(l);
	return true;
}

/* Reads 'word' and one number, or two. */
static bool parse_numbers(struct lines *l, const char *word, uint64_t *ret, uint64_t *ret_second)
{
	uint64_t unused;
	int count;

	if (!is(l, word))
		return false;
	/* NOLINTNEXTLINE(cert-err34-c): see parse() */
	count = sscanf(l->line + strlen(word), "%" SCNu64 " %" SCNu64, ret,
		       ret_second != NULL ? ret_second : &unused);
	next_line(l);
	return count == (ret_second != NULL ? 2 : 1);
}

static bool parse_segment(struct lines *l, struct manifest *m)
{
	struct manifest_segment seg = { .bytes = 0 };
	char name[SEGMENT_NAME_BYTES];
	int used = 0, digest_used = 0;

	/* NOLINTNEXTLINE(cert-err34-c): see parse() */
	if (sscanf(l->line,
		   "segment %63s bytes=%" SCNu64 " records=%" SCNu64 " first=%" SCNu64
		   " last=%" SCNu64 "%n",
		   name, &seg.bytes, &seg.facts.records, &seg.facts.first_timestamp_ns,
		   &seg.facts.last_timestamp_ns, &used) != 5)
		return false;
	/* NOLINTNEXTLINE(cert-err34-c): see parse() */
	seg.facts.has_digest = sscanf(l->line + used, " digest=%16" SCNx64 "%n", &seg.facts.digest,
				      &digest_used) == 1;
	seg.is_base = strcmp(l->line + used + digest_used, " base") == 0;
	if (!segment_name_parse(name, &seg.id) || seg.id.number >= UINT64_MAX / 2)
		return false;
	if (m->count > 0 && (m->segments[m->count - 1].id.number >= seg.id.number || seg.is_base))
		return false;
	next_line(l);
	return manifest_add(m, &seg);
}

static bool parse_obsolete(struct lines *l, struct manifest *m)
{
	char name[SEGMENT_NAME_BYTES];
	const struct manifest_segment *seg;
	struct segment_id id;

	if (sscanf(l->line, "obsolete %63s", name) != 1 || !segment_name_parse(name, &id))
		return false;
	seg = manifest_find(m, id.number);
	if (seg != NULL && seg->id.generation == id.generation)
		return false;
	next_line(l);
	return manifest_add_obsolete(m, id);
}

/* Takes whatever sscanf() takes: the caller writes the result again and compares.  'text' is
 * changed. */
static bool parse(char *text, struct manifest *m)
{
	struct lines l = { .rest = text };

	next_line(&l); /* the first one was checked */
	next_line(&l);
	if (!parse_store(&l, m) || !parse_numbers(&l, "numbered_from ", &m->numbered_from, NULL))
		return false;
	while (is(&l, "segment "))
		if (!parse_segment(&l, m))
			return false;
	while (is(&l, "obsolete "))
		if (!parse_obsolete(&l, m))
			return false;
	return parse_numbers(&l, "active ", &m->active_number, NULL) &&
	       parse_numbers(&l, "durable ", &m->durable_number, &m->durable_offset);
}

/* Returns whether what it says can be. */
static bool is_possible(const struct manifest *m)
{
	uint64_t last = m->count == 0 ? 0 : m->segments[m->count - 1].id.number;

	return m->numbered_from > 0 && m->active_number > last &&
	       m->durable_number >= m->active_number && m->durable_number < UINT64_MAX / 2;
}

/* Checks the first and the last line. */
static enum manifest_error check_frame(const char *text, size_t bytes)
{
	char crc_line[sizeof(CRC_LINE) + WORD_BYTES], version[WORD_BYTES];
	size_t body;

	if (bytes < strlen(MAGIC) + CRC_LINE_BYTES || bytes > MANIFEST_BYTES_MAX)
		return MANIFEST_ERROR_DAMAGED;
	body = bytes - CRC_LINE_BYTES;
	(void)snprintf(crc_line, sizeof(crc_line), CRC_LINE "%08" PRIx32 "\n",
		       crc32_extend(0, text, body));
	if (memcmp(text + body, crc_line, CRC_LINE_BYTES) != 0 ||
	    memcmp(text, MAGIC, strlen(MAGIC)) != 0 || memchr(text, '\0', bytes) != NULL)
		return MANIFEST_ERROR_DAMAGED;
	(void)snprintf(version, sizeof(version), "%d\n", MANIFEST_VERSION);
	return strncmp(text + strlen(MAGIC), version, strlen(version)) == 0
		       ? MANIFEST_OK
		       : MANIFEST_ERROR_VERSION;
}

static enum manifest_error parse_copy(const char *text, size_t bytes, char *copy,
				      struct manifest *m)
{
	size_t again_bytes = 0;
	bool same;
	char *again;

	if (!parse(copy, m))
		return MANIFEST_ERROR_VALUE;
	again = manifest_format(m, &again_bytes);
	if (again == NULL)
		return MANIFEST_ERROR_MEMORY;
	same = again_bytes == bytes && memcmp(again, text, bytes) == 0;
	free(again);
	return same && is_possible(m) ? MANIFEST_OK : MANIFEST_ERROR_VALUE;
}

enum manifest_error manifest_parse(const char *text, size_t bytes, struct manifest *ret)
{
	struct manifest m = { .count = 0 };
	enum manifest_error error = check_frame(text, bytes);
	char *copy;

	if (error != MANIFEST_OK)
		return error;
	copy = strndup(text, bytes);
	if (copy == NULL)
		return MANIFEST_ERROR_MEMORY;
	error = parse_copy(text, bytes, copy, &m);
	free(copy);
	if (error == MANIFEST_OK)
		*ret = m;
	else
		manifest_free(&m);
	return error;
}

const char *manifest_error_text(enum manifest_error error)
{
	switch (error) {
	case MANIFEST_OK:
		return "nothing is wrong with it";
	case MANIFEST_ERROR_MEMORY:
		return "out of memory";
	case MANIFEST_ERROR_VERSION:
		return "it was written by a later version of freyjafs";
	case MANIFEST_ERROR_DAMAGED:
		return "it is damaged: its CRC does not match";
	case MANIFEST_ERROR_VALUE:
		return "it says something that cannot be";
	}
	return "unknown error";
}

/* --- facts --- */

void manifest_scan_init(struct manifest_scan *s, bool with_digest)
{
	*s = (struct manifest_scan){ .state = with_digest ? XXH3_createState() : NULL };
	if (s->state != NULL)
		(void)XXH3_64bits_reset(s->state); /* fails for NULL alone */
}

void manifest_scan_add(struct manifest_scan *s, uint64_t offset, uint32_t crc,
		       const struct record *rec)
{
	uint8_t bytes[8 + RECORD_HEADER_BYTES];

	if (s->facts.records++ == 0)
		s->facts.first_timestamp_ns = rec->timestamp_ns;
	if (rec->timestamp_ns > s->facts.last_timestamp_ns)
		s->facts.last_timestamp_ns = rec->timestamp_ns;
	if (s->state == NULL)
		return;
	le64_store(bytes, offset);
	le32_store(bytes + 8 + RECORD_CRC_OFFSET, crc);
	le32_store(bytes + 8 + RECORD_KEY_SIZE_OFFSET, rec->key_bytes);
	le32_store(bytes + 8 + RECORD_VALUE_SIZE_OFFSET, rec->value_bytes);
	le64_store(bytes + 8 + RECORD_TIMESTAMP_OFFSET, rec->timestamp_ns);
	(void)XXH3_64bits_update(s->state, bytes, sizeof(bytes)); /* fails for NULL alone */
}

struct manifest_facts manifest_scan_finish(struct manifest_scan *s)
{
	struct manifest_facts facts = s->facts;

	facts.has_digest = s->state != NULL;
	if (s->state != NULL)
		facts.digest = XXH3_64bits_digest(s->state);
	(void)XXH3_freeState(s->state);
	s->state = NULL;
	return facts;
}
