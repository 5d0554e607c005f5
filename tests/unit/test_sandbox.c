/* SPDX-License-Identifier: MIT */
/* The daemon's sandbox, in child processes, because nothing takes it away again. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/base/sandbox.h"

enum verdict {
	VERDICT_ALLOWED = 10,
	VERDICT_REFUSED,
	VERDICT_ERROR, /* the sandbox itself */
};

static void need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("SKIPPED: the sandbox is for root's daemon\n");
	skip();
}

static bool accepts_foreign; /* an option of the daemon */

/* Runs 'body' in a child that is in the sandbox.  Returns the status that it exits with, or
 * VERDICT_REFUSED if a signal of the filter kills it. */
static int in_sandbox(const char *dir, bool filtered, int (*body)(const void *arg), const void *arg)
{
	struct diag diag = { "" };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (sandbox_drop(dir, accepts_foreign, &diag) < 0 ||
		    (filtered && sandbox_filter(&diag) < 0))
			_exit(VERDICT_ERROR);
		_exit(body(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGSYS);
		return VERDICT_REFUSED;
	}
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), VERDICT_ERROR);
	return WEXITSTATUS(status);
}

/* --- privileges --- */

static int no_new_privileges(const void *arg)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

/* The filter sets it, too, where there is one: it must not depend on that. */
static void test_no_new_privileges(void **state)
{
	need_root();
	assert_int_equal(in_sandbox(*state, false, no_new_privileges, NULL), 1);
	assert_int_equal(in_sandbox(*state, true, no_new_privileges, NULL), 1);
}

static const int kept[] = { CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE };

static bool is_kept(int cap, bool foreign)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (kept[i] == cap)
			return true;
	return foreign && cap == CAP_DAC_OVERRIDE;
}

/* Returns 1 plus the first capability that is not as it should be; 0 if all are. */
static int first_wrong_capability(const void *arg)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	bool foreign = *(const bool *)arg;

	if (syscall(SYS_capget, &head, data) < 0)
		return VERDICT_ERROR;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		uint32_t bit = UINT32_C(1) << (cap % 32);
		bool wanted = is_kept(cap, foreign);

		if (((data[cap / 32].permitted & bit) != 0) != wanted ||
		    ((data[cap / 32].effective & bit) != 0) != wanted ||
		    (data[cap / 32].inheritable & bit) != 0 ||
		    (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1) != wanted)
			return 100 + cap;
	}
	return 0;
}

static void test_capabilities(void **state)
{
	bool foreign = false;

	need_root();
	assert_int_equal(in_sandbox(*state, false, first_wrong_capability, &foreign), 0);
	/* One that it does not own it could not write to, nor one that lets nobody in. */
	foreign = true;
	accepts_foreign = true; /* files in it may be another user's */
	assert_int_equal(in_sandbox(*state, false, first_wrong_capability, &foreign), 0);
	accepts_foreign = false;
	assert_int_equal(chown(*state, 65534, 65534), 0);
	assert_int_equal(in_sandbox(*state, false, first_wrong_capability, &foreign), 0);
	assert_int_equal(in_sandbox(unit_path("%s/data", (char *)*state), false,
				    first_wrong_capability, &foreign),
			 0);
	assert_int_equal(chown(*state, geteuid(), getegid()), 0);
	assert_int_equal(chmod(*state, 0500), 0);
	assert_int_equal(in_sandbox(*state, false, first_wrong_capability, &foreign), 0);
	assert_int_equal(chmod(*state, 0700), 0);
}

/* --- system calls --- */

/* The arguments of a call.  Those of the forbidden ones make it fail in any case, so that a filter
 * that lets one through does no harm. */
struct call {
	const char *name;
	long number;
	long first, second;
};

#define CALL(name)                          \
	{                                   \
#name, SYS_##name, -1L, -1L \
	}

static const struct call forbidden[] = {
	/* other programs, and other processes */
	CALL(execve),
	CALL(execveat),
	CALL(kill),
	CALL(tkill),
	CALL(ptrace),
	CALL(process_vm_readv),
	CALL(process_vm_writev),
	CALL(setpgid),
	/* other identities, and other owners */
	CALL(setuid),
	CALL(setgid),
	CALL(setresuid),
	CALL(setgroups),
	CALL(capset),
	CALL(fchown),
	CALL(fchownat),
	CALL(mknodat),
	CALL(personality),
	/* other trees of files */
	CALL(mount),
	CALL(move_mount),
	CALL(open_tree),
	CALL(fsopen),
	CALL(pivot_root),
	CALL(chroot),
	CALL(setns),
	CALL(unshare),
	CALL(open_by_handle_at),
	CALL(name_to_handle_at),
	/* the kernel */
	CALL(bpf),
	CALL(perf_event_open),
	CALL(userfaultfd),
	CALL(keyctl),
	CALL(add_key),
	CALL(init_module),
	CALL(finit_module),
	CALL(delete_module),
	CALL(kexec_load),
	CALL(swapon),
	CALL(acct),
	CALL(quotactl),
	CALL(settimeofday),
	CALL(clock_settime),
	CALL(sethostname),
	/* networks */
	{ "socket of IPv4", SYS_socket, AF_INET, SOCK_STREAM },
	{ "socket of IPv6", SYS_socket, AF_INET6, SOCK_DGRAM },
	{ "socket of netlink", SYS_socket, AF_NETLINK, SOCK_RAW },
	{ "socket of packets", SYS_socket, AF_PACKET, SOCK_RAW },
};

static int make_call(const void *arg)
{
	const struct call *c = arg;

	return syscall(c->number, c->first, c->second, -1L, -1L, -1L, -1L) < 0 && errno == ENOSYS
		       ? VERDICT_REFUSED
		       : VERDICT_ALLOWED;
}

static void test_forbidden_calls(void **state)
{
	size_t allowed = 0;

	need_root();
#ifndef HAVE_SECCOMP
	print_message("SKIPPED: built without seccomp\n");
	skip();
#endif
	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
		if (in_sandbox(*state, true, make_call, &forbidden[i]) == VERDICT_REFUSED)
			continue;
		print_error("%s is allowed\n", forbidden[i].name);
		allowed++;
	}
	assert_int_equal(allowed, 0);
}

static int use_unix_socket(const void *arg)
{
	return socket(AF_UNIX, SOCK_DGRAM, 0) >= 0 && getpid() > 0 && access("/", F_OK) == 0
		       ? VERDICT_ALLOWED
		       : VERDICT_REFUSED;
}

/* tests/mounted has all that the daemon does. */
static void test_allowed_calls(void **state)
{
	need_root();
	assert_int_equal(in_sandbox(*state, true, use_unix_socket, NULL), VERDICT_ALLOWED);
}

static int has_text(const void *arg)
{
	return strcmp(sandbox_text(), arg) == 0;
}

static void test_text(void **state)
{
	const char *filtered = "capabilities, no new privileges, system calls";
	const char *dropped = "capabilities, no new privileges";

	need_root();
	assert_int_equal(in_sandbox(*state, false, has_text, dropped), 1);
#ifdef HAVE_SECCOMP
	assert_int_equal(in_sandbox(*state, true, has_text, filtered), 1);
#else
	assert_int_equal(in_sandbox(*state, true, has_text, dropped), 1);
	(void)filtered;
#endif
}

#define SANDBOX_TEST(test) \
	cmocka_unit_test_setup_teardown(test, unit_setup_tmpdir, unit_teardown_tmpdir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(test_no_new_privileges),
		SANDBOX_TEST(test_capabilities),
		SANDBOX_TEST(test_forbidden_calls),
		SANDBOX_TEST(test_allowed_calls),
		SANDBOX_TEST(test_text),
	};

	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
