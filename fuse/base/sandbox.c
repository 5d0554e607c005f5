/* SPDX-License-Identifier: MIT */
#include "fuse/base/sandbox.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

/* Written before there are other threads. */
static struct {
	bool dropped, filtered;
} state;

#define CAP_BIT(cap) (UINT64_C(1) << (cap))

/* --- capabilities --- */

/* Returns whether the daemon can write to DATADIR, or make it if it is missing, without
 * CAP_DAC_OVERRIDE. */
static bool is_own(const char *datadir)
{
	char parent[PATH_MAX];
	struct stat st;

	if (stat(datadir, &st) < 0) {
		(void)snprintf(parent, sizeof(parent), "%s", datadir);
		if (stat(dirname(parent), &st) < 0)
			return false; /* store_open() reports the error with more detail */
	}
	return st.st_uid == geteuid() && (st.st_mode & S_IRWXU) == S_IRWXU;
}

static int set_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].permitted &= (uint32_t)(keep >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

int sandbox_drop(const char *datadir, bool accepts_foreign, struct diag *diag)
{
	uint64_t keep =
		CAP_BIT(CAP_SYS_ADMIN) | CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_SYS_PTRACE);
	int err;

	if (geteuid() != 0)
		return 0;
	if (accepts_foreign || !is_own(datadir))
		keep |= CAP_BIT(CAP_DAC_OVERRIDE);
	/* An execve(2) by root would bring back the capabilities of the bounding set.  Dropping one
	 * from it needs CAP_SETPCAP; without that, no_new_privs has the same effect. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if ((keep & CAP_BIT(cap)) == 0)
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return diag_set(diag, -errno, "no new privileges: %s", strerror(errno));
	err = set_capabilities(keep);
	if (err < 0)
		return diag_set(diag, err, "capabilities: %s", strerror(-err));
	state.dropped = true;
	return 0;
}

/* --- system calls --- */

#ifdef HAVE_SECCOMP

/* The tests define SANDBOX_DENIAL as an action that kills the daemon, so that they notice a call
 * which is missing in the list below. */
#ifndef SANDBOX_DENIAL
#define SANDBOX_DENIAL SCMP_ACT_ERRNO(ENOSYS)
#endif

/* The system calls that the daemon and its libraries make while it serves requests, and
 * alternatives to them that other versions of a library may use.  SCMP_SYS() is __NR_SCMP_ERROR for
 * a call that this version of libseccomp does not know; allow() skips it. */
static const int allowed[] = {
	/* files */
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(preadv2),
	SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pwrite64), SCMP_SYS(pwritev),
	SCMP_SYS(pwritev2), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(close),
	SCMP_SYS(close_range), SCMP_SYS(lseek), SCMP_SYS(_llseek), SCMP_SYS(fstat),
	SCMP_SYS(fstat64), SCMP_SYS(stat), SCMP_SYS(stat64), SCMP_SYS(lstat), SCMP_SYS(lstat64),
	SCMP_SYS(newfstatat), SCMP_SYS(fstatat64), SCMP_SYS(statx), SCMP_SYS(statfs),
	SCMP_SYS(statfs64), SCMP_SYS(fstatfs), SCMP_SYS(fstatfs64), SCMP_SYS(access),
	SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
	SCMP_SYS(getdents), SCMP_SYS(getdents64), SCMP_SYS(mkdir), SCMP_SYS(mkdirat),
	SCMP_SYS(rmdir), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat),
	SCMP_SYS(renameat2), SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(fchmod), SCMP_SYS(fchmodat),
	SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(syncfs), SCMP_SYS(sync_file_range),
	SCMP_SYS(ftruncate), SCMP_SYS(ftruncate64), SCMP_SYS(fallocate), SCMP_SYS(fadvise64),
	SCMP_SYS(fadvise64_64), SCMP_SYS(readahead), SCMP_SYS(copy_file_range), SCMP_SYS(splice),
	SCMP_SYS(vmsplice), SCMP_SYS(tee), SCMP_SYS(flock), SCMP_SYS(fcntl), SCMP_SYS(fcntl64),
	SCMP_SYS(ioctl), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(pipe),
	SCMP_SYS(pipe2), SCMP_SYS(eventfd2), SCMP_SYS(memfd_create), SCMP_SYS(getcwd),
	SCMP_SYS(chdir), SCMP_SYS(umask), SCMP_SYS(umount2),

	/* requests, and the journal */
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6),
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
	SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept4), SCMP_SYS(send),
	SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
	SCMP_SYS(shutdown), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),

	/* memory */
	SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(munmap), SCMP_SYS(mremap),
	SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(mincore), SCMP_SYS(msync),
	SCMP_SYS(membarrier),

	/* threads, signals, time */
	SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(set_robust_list), SCMP_SYS(get_robust_list),
	SCMP_SYS(rseq), SCMP_SYS(futex), SCMP_SYS(futex_time64), SCMP_SYS(exit),
	SCMP_SYS(exit_group), SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(getppid),
	SCMP_SYS(tgkill), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_setaffinity), SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler),
	SCMP_SYS(setpriority), SCMP_SYS(getpriority), SCMP_SYS(ioprio_set), SCMP_SYS(getcpu),
	SCMP_SYS(prctl), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigtimedwait), SCMP_SYS(rt_sigtimedwait_time64), SCMP_SYS(rt_sigpending),
	SCMP_SYS(sigaltstack), SCMP_SYS(signalfd4), SCMP_SYS(restart_syscall), SCMP_SYS(wait4),
	SCMP_SYS(waitid), SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64),
	SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(clock_nanosleep_time64),
	SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),

	/* users, limits, the machine */
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
	SCMP_SYS(getrlimit), SCMP_SYS(prlimit64), SCMP_SYS(getrusage), SCMP_SYS(getrandom),
	SCMP_SYS(uname), SCMP_SYS(sysinfo)
};

static int allow(scmp_filter_ctx filter)
{
	int err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	if (err == 0)
		(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1); /* Linux 4.14 */
	if (err == 0) /* a binary tree: most calls need few comparisons */
		(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; err == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (allowed[i] != __NR_SCMP_ERROR)
			err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	/* syslog(3) needs a local socket.  Sockets of networks stay forbidden. */
	if (err == 0)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				       SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	return err == 0 ? seccomp_load(filter) : err;
}

int sandbox_filter(struct diag *diag)
{
	scmp_filter_ctx filter;
	int err;

	if (!state.dropped)
		return 0;
	filter = seccomp_init(SANDBOX_DENIAL);
	if (filter == NULL)
		return diag_set(diag, -ENOMEM, "seccomp: out of memory");
	err = allow(filter);
	seccomp_release(filter);
	if (err < 0)
		return diag_set(diag, err, "seccomp: %s", strerror(-err));
	state.filtered = true;
	return 0;
}

#else

int sandbox_filter(struct diag *diag)
{
	(void)diag;
	return 0;
}

#endif

const char *sandbox_text(void)
{
	if (!state.dropped)
		return "none (the daemon is not root's)";
	return state.filtered ? "capabilities, no new privileges, system calls"
			      : "capabilities, no new privileges";
}
