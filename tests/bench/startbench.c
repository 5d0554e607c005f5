/* SPDX-License-Identifier: MIT */
/* Memory for each key, and how long a store takes to open.
 *
 * "startbench make DATADIR KEYS DIRS VALUE_BYTES" puts so many keys into so many directories (0:
 * all into the root).  "startbench open DATADIR" opens and closes it, and prints one line: keys,
 * hints that were read, seconds to open (and processor time), memory of the process for each key,
 * the same without the names, the most there was of it, and seconds to close.  "startbench find
 * DATADIR LOOKUPS THREADS" opens it and looks names up at random. */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "writer/store.h"

#define KEY_BYTES_MAX	64
#define VALUE_BYTES_MAX 65536

static double now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Bytes of memory that the process has, and the most it has had. */
static uint64_t resident(uint64_t *ret_peak)
{
	FILE *f = fopen("/proc/self/status", "r");
	uint64_t kib = 0, peak = 0;
	char line[256];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		(void)sscanf(line, "VmRSS: %" SCNu64, &kib);
		(void)sscanf(line, "VmHWM: %" SCNu64, &peak);
	}
	if (f != NULL)
		(void)fclose(f);
	*ret_peak = peak * 1024;
	return kib * 1024;
}

static int die(const char *what, int err)
{
	(void)fprintf(stderr, "startbench: %s: %s\n", what, strerror(-err));
	return 1;
}

static struct store *open_store(const char *dir)
{
	struct store_config config = {
		.dir_path = dir,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.buffer_size_bytes = 1 << 20,
		.umask = 022,
	};
	struct store *s = NULL;
	struct diag diag = { .text = "" };
	int err = store_open(&config, &s, &diag);

	if (err < 0)
		(void)fprintf(stderr, "startbench: %s\n", diag.text);
	return err < 0 ? NULL : s;
}

static int make_key(char *key, uint64_t i, uint64_t dirs)
{
	if (dirs == 0)
		return snprintf(key, KEY_BYTES_MAX, "file%09" PRIu64, i);
	return snprintf(key, KEY_BYTES_MAX, "dir%05" PRIu64 "/file%09" PRIu64, i % dirs, i / dirs);
}

static int make(const char *dir, uint64_t keys, uint64_t dirs, size_t value_bytes)
{
	static uint8_t value[VALUE_BYTES_MAX];
	struct store *s = open_store(dir);
	char key[KEY_BYTES_MAX];
	int err = s == NULL ? -EIO : 0;

	memset(value, 'v', sizeof(value));
	for (uint64_t i = 0; err == 0 && i < keys; i++)
		err = store_put(s, key, (size_t)make_key(key, i, dirs), value, value_bytes, NULL);
	if (store_close(s) < 0 && err == 0)
		err = -EIO;
	return err < 0 ? die("make", err) : 0;
}

/* The names of the tree, which are counted one directory after the other. */
struct walk {
	struct node **dirs;
	size_t count, capacity;
	uint64_t name_bytes;
};

static int walk_entry(void *arg, const struct store_dirent *entry)
{
	struct walk *w = arg;

	w->name_bytes += entry->name_bytes;
	if (!S_ISDIR(entry->attr.mode))
		return 0;
	if (w->count == w->capacity) {
		w->capacity = w->capacity * 2 + 16;
		w->dirs = reallocarray(w->dirs, w->capacity, sizeof(w->dirs[0]));
		if (w->dirs == NULL)
			return -ENOMEM;
	}
	store_pin_in_list(entry->node);
	w->dirs[w->count++] = entry->node;
	return 0;
}

static uint64_t count_name_bytes(struct store *s)
{
	struct walk w = { 0 };
	int err = store_list(s, store_root(s), 0, walk_entry, &w);

	for (size_t i = 0; err == 0 && i < w.count; i++) {
		err = store_list(s, w.dirs[i], 0, walk_entry, &w);
		store_unpin(s, w.dirs[i], 1);
	}
	free(w.dirs);
	return w.name_bytes;
}

static int open_and_close(const char *dir)
{
	uint64_t peak, before = resident(&peak), after;
	double at = now(), used = cpu(), opened, closed;
	struct store *s = open_store(dir);
	struct store_stats stats;
	double keys, names;

	if (s == NULL)
		return 1;
	opened = now() - at;
	used = cpu() - used;
	(void)malloc_trim(0); /* what was there for the time of the loading only */
	after = resident(&peak);
	store_stats(s, &stats);
	keys = (double)stats.files;
	names = (double)count_name_bytes(s);
	at = now();
	if (store_close(s) < 0)
		return 1;
	closed = now() - at;
	(void)printf("keys %" PRIu64 " hints %" PRIu64 " open %.3f s cpu %.3f s memory %.1f B/key "
		     "without names %.1f peak %.1f close %.3f s\n",
		     stats.files, (uint64_t)stats.recovery.hints, opened, used,
		     (double)(after - before) / keys, ((double)(after - before) - names) / keys,
		     ((double)(peak - before) - names) / keys, closed);
	return 0;
}

/* --- looking up --- */

struct finder {
	struct store *s;
	uint64_t keys, dirs, lookups, seed;
	pthread_t thread;
};

static void *find_main(void *arg)
{
	struct finder *f = arg;
	char name[KEY_BYTES_MAX];

	for (uint64_t i = 0; i < f->lookups; i++) {
		struct node *n, *dir = store_root(f->s);
		struct store_attr attr;
		uint64_t at;

		f->seed = f->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		at = (f->seed >> 20) % f->keys;
		if (f->dirs > 0) {
			int len = snprintf(name, sizeof(name), "dir%05" PRIu64, at % f->dirs);

			if (store_lookup(f->s, dir, name, (size_t)len, &dir, NULL) < 0)
				abort();
			at /= f->dirs;
		}
		if (store_lookup(f->s, dir, name,
				 (size_t)snprintf(name, sizeof(name), "file%09" PRIu64, at), &n,
				 &attr) < 0)
			abort();
		store_unpin(f->s, n, 1);
		store_unpin(f->s, dir, 1);
	}
	return NULL;
}

static int find(const char *dir, uint64_t lookups, unsigned int threads)
{
	struct store *s = open_store(dir);
	struct store_stats stats;
	struct finder *f;
	double at;

	f = calloc(threads, sizeof(*f));
	if (s == NULL || f == NULL)
		return 1;
	store_stats(s, &stats);
	at = now();
	for (unsigned int i = 0; i < threads; i++) {
		f[i] = (struct finder){ s, stats.files, stats.directories, lookups, i, 0 };
		if (pthread_create(&f[i].thread, NULL, find_main, &f[i]) != 0)
			abort();
	}
	for (unsigned int i = 0; i < threads; i++)
		(void)pthread_join(f[i].thread, NULL);
	(void)printf("lookups %.2f M/s\n", (double)lookups * threads / (now() - at) / 1e6);
	free(f);
	return store_close(s) < 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "make") == 0)
		return make(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10),
			    strtoull(argv[5], NULL, 10));
	if (argc == 3 && strcmp(argv[1], "open") == 0)
		return open_and_close(argv[2]);
	if (argc == 5 && strcmp(argv[1], "find") == 0)
		return find(argv[2], strtoull(argv[3], NULL, 10),
			    (unsigned int)strtoul(argv[4], NULL, 10));
	(void)fprintf(stderr, "usage: startbench make DATADIR KEYS DIRS VALUE_BYTES\n"
			      "       startbench open DATADIR\n"
			      "       startbench find DATADIR LOOKUPS THREADS\n");
	return 2;
}
