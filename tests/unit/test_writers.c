/* SPDX-License-Identifier: MIT */
/* Which processes have written: threads of one, others, ones that are gone; and whether a process
 * has another descriptor of a file. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/open/writers.h"
#include "writer/base/thread.h"

static pid_t start_process(void)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends with a test that fails */
		for (;;)
			(void)pause();
	}
	return child;
}

static void end_process(pid_t child)
{
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

/* A second thread of this process. */
struct second {
	pthread_t thread;
	sem_t begun, may_end;
	pid_t id;
};

static void *second_main(void *arg)
{
	struct second *s = arg;

	s->id = (pid_t)syscall(SYS_gettid);
	assert_int_equal(sem_post(&s->begun), 0);
	while (sem_wait(&s->may_end) < 0)
		continue; /* a signal */
	return NULL;
}

static void start_second(struct second *s)
{
	assert_int_equal(sem_init(&s->begun, 0, 0), 0);
	assert_int_equal(sem_init(&s->may_end, 0, 0), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, second_main, s), 0);
	assert_int_equal(sem_wait(&s->begun), 0);
}

static void end_second(struct second *s)
{
	char path[64];

	assert_int_equal(sem_post(&s->may_end), 0);
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d", (int)s->id);
	while (access(path, F_OK) == 0) /* pthread_join() returns a moment before that */
		continue;
}

static void test_processes(void **state)
{
	pid_t child = start_process(), other = start_process();
	struct writers w = { 0 };

	assert_int_equal(writers_include(&w, getpid()), WRITERS_MAYBE); /* nobody knows */
	writers_add(&w, getpid(), getpid());
	assert_int_equal(writers_include(&w, getpid()), WRITERS_YES);
	assert_int_equal(writers_include(&w, child), WRITERS_NO);
	writers_add(&w, child, child);
	assert_int_equal(writers_include(&w, child), WRITERS_YES);
	assert_int_equal(writers_include(&w, other), WRITERS_NO);
	end_process(child); /* for all that is known it was a thread of 'other' */
	assert_int_equal(writers_include(&w, other), WRITERS_MAYBE);
	assert_int_equal(writers_include(&w, getpid()), WRITERS_YES);
	end_process(other);
}

static void test_threads(void **state)
{
	pid_t child = start_process();
	struct writers w = { 0 };
	struct second s;

	start_second(&s);
	writers_add(&w, s.id, s.id);
	assert_int_equal(writers_include(&w, s.id), WRITERS_YES);
	assert_int_equal(writers_include(&w, getpid()), WRITERS_YES);
	assert_int_equal(writers_include(&w, child), WRITERS_NO);
	end_second(&s);
	assert_int_equal(writers_include(&w, getpid()), WRITERS_MAYBE);

	/* Of a thread that has not opened the file the process is known when it is gone. */
	w.count = 0;
	start_second(&s);
	writers_add(&w, s.id, getpid());
	end_second(&s);
	assert_int_equal(writers_include(&w, getpid()), WRITERS_YES);
	assert_int_equal(writers_include(&w, child), WRITERS_NO);

	w.count = 0;
	writers_add(&w, getpid(), getpid());
	start_second(&s);
	assert_int_equal(writers_include(&w, s.id), WRITERS_YES);
	end_second(&s);
	end_process(child);
}

/* A process that the daemon cannot see has the number 0. */
static void test_invisible(void **state)
{
	struct writers w = { 0 };

	writers_add(&w, 0, 0);
	assert_int_equal(writers_include(&w, 0), WRITERS_YES);
	assert_int_equal(writers_include(&w, getpid()), WRITERS_NO);
	w.count = 0;
	writers_add(&w, getpid(), getpid());
	assert_int_equal(writers_include(&w, 0), WRITERS_NO);
}

static void test_many(void **state)
{
	pid_t child = start_process();
	struct writers w = { 0 };

	for (pid_t i = 0; i < 2 * WRITERS_MAX; i++)
		writers_add(&w, 1, 1); /* one all the time */
	assert_int_equal(w.count, 1);
	assert_int_equal(writers_include(&w, child), WRITERS_NO);
	for (pid_t i = 0; i < 2 * WRITERS_MAX; i++)
		writers_add(&w, i + 1, 1);
	assert_int_equal(writers_include(&w, child), WRITERS_MAYBE);
	end_process(child);
}

static void test_descriptors(void **state)
{
	char path[] = "/tmp/freyjafs-test.XXXXXX";
	int fd = mkstemp(path), copy, reads;
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(writers_has_another(getpid(), st.st_ino));
	assert_false(writers_has_another(getpid(), st.st_ino + 1));
	copy = dup(fd);
	assert_true(copy >= 0);
	assert_int_equal(close(fd), 0);
	assert_true(writers_has_another(getpid(), st.st_ino));
	reads = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(reads >= 0);
	assert_int_equal(close(copy), 0);
	assert_false(writers_has_another(getpid(), st.st_ino)); /* it can only read */
	assert_false(writers_has_another(0, st.st_ino));
	assert_int_equal(close(reads), 0);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_processes),   cmocka_unit_test(test_threads),
		cmocka_unit_test(test_invisible),   cmocka_unit_test(test_many),
		cmocka_unit_test(test_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
