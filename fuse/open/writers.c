/* SPDX-License-Identifier: MIT */
#include "fuse/open/writers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES	64
#define TEXT_BYTES	1024 /* the fields that are needed are at the beginning */
#define DESCRIPTORS_MAX 1024 /* further descriptors of a process are not read */

/* Returns whether /proc shows the process numbers of this process's own PID namespace. */
static bool proc_is_ours(void)
{
	char target[PATH_BYTES];
	ssize_t n = readlink("/proc/self", target, sizeof(target) - 1);

	if (n <= 0)
		return false;
	target[n] = '\0';
	return strtol(target, NULL, 10) == getpid();
}

static bool is_visible(pid_t thread)
{
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)thread);
	return access(path, F_OK) == 0;
}

static bool are_of_one_process(pid_t a, pid_t b)
{
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d", (int)a, (int)b);
	return access(path, F_OK) == 0;
}

/* Reads a small file of /proc; stores "" if that fails. */
static void read_text(int dir_fd, const char *path, char text[TEXT_BYTES])
{
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	if (fd >= 0) {
		n = read(fd, text, TEXT_BYTES - 1);
		(void)close(fd); /* opened only for reading */
	}
	text[n > 0 ? n : 0] = '\0';
}

/* Parses the number in a line "NAME<blanks>NUMBER". */
static bool read_field(const char *text, const char *name, int base, uint64_t *ret)
{
	const char *line = strstr(text, name);
	char *end;

	if (line == NULL)
		return false;
	line += strlen(name);
	*ret = strtoull(line, &end, base);
	return end != line;
}

/* Returns the process of a thread; 0: unknown. */
static pid_t process_of(pid_t thread)
{
	char path[PATH_BYTES], text[TEXT_BYTES];
	uint64_t process;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	read_text(AT_FDCWD, path, text);
	return read_field(text, "\nTgid:", 10, &process) ? (pid_t)process : 0;
}

void writers_add(struct writers *w, pid_t thread, pid_t opener)
{
	for (unsigned int i = 0; i < w->count && i < WRITERS_MAX; i++) {
		if (w->writers[i].thread == thread)
			return;
	}
	if (w->count < WRITERS_MAX) {
		w->writers[w->count].thread = thread;
		w->writers[w->count].process = 0;
		if (thread != 0 && thread != opener && proc_is_ours())
			w->writers[w->count].process = process_of(thread);
	}
	if (w->count <= WRITERS_MAX)
		w->count++;
}

enum writers_answer writers_include(const struct writers *w, pid_t thread)
{
	enum writers_answer answer = w->count == 0 ? WRITERS_MAYBE : WRITERS_NO;

	if (w->count > WRITERS_MAX)
		return WRITERS_MAYBE;
	for (unsigned int i = 0; i < w->count; i++) {
		if (w->writers[i].thread == thread)
			return WRITERS_YES;
	}
	if (!proc_is_ours() || (thread != 0 && !is_visible(thread)))
		return WRITERS_MAYBE;
	for (unsigned int i = 0; i < w->count; i++) {
		const struct writers_thread *it = &w->writers[i];
		pid_t writer = it->process != 0 ? it->process : it->thread;

		/* A visible thread and one of another PID namespace belong to different processes.
		 */
		if (writer == 0 || thread == 0)
			continue;
		if (are_of_one_process(thread, writer))
			return WRITERS_YES;
		if (!is_visible(writer))
			answer = WRITERS_MAYBE;
	}
	return answer;
}

/* --- other descriptors --- */

/* Returns whether the descriptor is open on the file with that inode number, and writable. */
static bool can_write_to(int dir_fd, const char *number, uint64_t ino)
{
	uint64_t flags, its_ino;
	char text[TEXT_BYTES];

	read_text(dir_fd, number, text);
	return read_field(text, "flags:", 8, &flags) && (flags & O_ACCMODE) != O_RDONLY &&
	       read_field(text, "\nino:", 10, &its_ino) && its_ino == ino;
}

bool writers_has_another(pid_t thread, uint64_t ino)
{
	struct dirent *entry;
	char path[PATH_BYTES];
	bool found = false;
	int count = 0;
	DIR *dir;

	if (thread == 0 || !proc_is_ours())
		return false;
	/* fdinfo comes from the kernel's own table, so no filesystem gets a request. */
	(void)snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int)thread);
	dir = opendir(path);
	if (dir == NULL)
		return false;
	while (!found && count++ < DESCRIPTORS_MAX && (entry = readdir(dir)) != NULL)
		found = can_write_to(dirfd(dir), entry->d_name, ino);
	(void)closedir(dir);
	return found;
}
