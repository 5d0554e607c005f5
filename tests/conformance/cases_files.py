# SPDX-License-Identifier: MIT
"""Content and attributes: open(2) and its flags, sizes, allocation, modes, owners, times, extended
attributes; what each changes, who may, and that a failure changes nothing."""
import errno
import itertools
import os
import resource
import shutil
import stat
import subprocess
import time

import lab
from lab import (CALLERS, KINDS, LIBC, OTHER, OWNER, PLACES, ROOT, TICK_SECONDS, changed, checked, make,
                 opened, remove, state, tell)

MODES = (0o644, 0o666, 0o777, 0o6755, 0o4711, 0o2755, 0o2644, 0o6666, 0o1755, 0o7777)
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2


def targets():
    remove("target.file", "target.dir")
    make("regular", "target.file")
    make("dir", "target.dir")


def opens():
    """open(2): all flags on all types."""
    flags = (os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_APPEND, os.O_DIRECTORY, os.O_NOFOLLOW)
    for kind in PLACES:
        targets()
        make(kind, "thing")
        for access, *chosen in itertools.product((os.O_RDONLY, os.O_WRONLY, os.O_RDWR, 3),
                                                 *(((0, flag) for flag in flags))):
            bits = access | sum(chosen)
            result = tell(f"{kind} {bits:o}", opened, "thing", bits, 0o640, look=("thing", "target.file"))
            if not lab.failed(result) and bits & (os.O_CREAT | os.O_TRUNC):
                targets()
                remove("thing")
                if kind == "dangling":
                    remove("not.there")
                make(kind, "thing")
        remove("thing", "not.there")


def opens_permitted():
    """open(2): each mode for each user; with O_TRUNC and O_CREAT."""
    for mode, (who, caller) in itertools.product(range(8), CALLERS.items()):
        for shift in (6, 3, 0):
            remove("thing")
            make("regular", "thing", mode << shift, OWNER[0], 65533)
            for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_TRUNC,
                          os.O_RDONLY | os.O_CREAT, os.O_WRONLY | os.O_APPEND, 3, os.O_PATH):
                tell(f"{mode << shift:o} by {who} {flags:o}", opened, "thing", flags, who=caller, look=("thing",))
            tell(f"{mode << shift:o} executed by {who}", checked_access, "thing", os.X_OK, who=caller)
    remove("thing")
    for kind, (who, caller), mode in itertools.product(("dir", "fifo", "char"), CALLERS.items(), range(8)):
        for shift in (6, 3, 0):
            remove("thing")
            make(kind, "thing", mode << shift, OWNER[0], 65533)
            for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
                tell(f"{kind} {mode << shift:o} by {who} {flags:o}", opened, "thing", flags, who=caller)
            for wanted in (os.R_OK, os.W_OK, os.X_OK):
                tell(f"{kind} {mode << shift:o} for {who} {wanted}", checked_access, "thing", wanted, who=caller)
    # In sticky directories fifos and files of others are protected by the kernel, as sysctl says.
    for kind, who in itertools.product(("regular", "fifo"), (OWNER, OTHER, ROOT)):
        remove("thing", "sticky")
        make("dir", "sticky")
        os.chmod("sticky", 0o1777)
        make(kind, "sticky/thing", 0o666, *OWNER[:2])
        tell(f"{kind} in a sticky directory", opened, "sticky/thing", os.O_RDWR | os.O_CREAT, who=who)
    remove("sticky")


def checked_access(path, mode):
    """As the effective user."""
    checked(LIBC.faccessat(lab.AT_FDCWD, os.fsencode(path), mode, 0x200))


def opens_times():
    """Which times open(2) changes, of the file and its directory."""
    for flags in (os.O_RDONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
                  os.O_RDWR | os.O_CREAT | os.O_EXCL):
        for kind in ("none", "regular"):
            remove("thing")
            make(kind, "thing")
            tell(f"{kind} {flags:o}", opened, "thing", flags, look=("thing",), times=("thing", "."))
            tell("again", opened, "thing", flags, look=("thing",), times=("thing", "."))
    remove("thing")


def busy():
    """A program that runs cannot be written to, and what is open for writing cannot be run."""
    shutil.copy(shutil.which("sleep"), "program")
    os.chmod("program", 0o755)
    with subprocess.Popen(["./program", "100"]) as child:
        time.sleep(0.05)
        for use, call in (("write", lambda: opened("program", os.O_WRONLY)), ("read", lambda: opened("program", 0)),
                          ("truncate", lambda: os.truncate("program", 10)),
                          ("empty", lambda: opened("program", os.O_WRONLY | os.O_TRUNC)),
                          ("chmod", lambda: os.chmod("program", 0o700)),
                          ("rename", lambda: os.rename("program", "renamed")),
                          ("unlink", lambda: os.unlink("renamed"))):
            tell(f"while it runs {use}", call)
        child.kill()
    shutil.copy(shutil.which("true"), "program")
    os.chmod("program", 0o755)
    fd = os.open("program", os.O_WRONLY)
    tell("run while written", lambda: subprocess.run(["./program"], check=False).returncode)
    os.close(fd)
    tell("run", lambda: subprocess.run(["./program"], check=False).returncode)
    os.chmod("program", 0o644)
    tell("run without permission", lambda: subprocess.run(["./program"], check=False).returncode)
    with open("script", "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexit 7\n")
    os.chmod("script", 0o755)
    tell("run a script", lambda: subprocess.run(["./script"], check=False).returncode)
    os.chmod("script", 0o4755)
    remove("program", "script")
    os.mkfifo("pipe")
    tell("fifo nobody reads", opened, "pipe", os.O_WRONLY)
    fd = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    tell("fifo somebody reads", opened, "pipe", os.O_WRONLY)
    os.close(fd)
    remove("pipe")


# --- sizes ---


def sizes():
    """truncate(2) and ftruncate(2)."""
    for size, kind in itertools.product((0, 1, 17, 18, 4096, 100000, -1, -(1 << 63)), PLACES):
        targets()
        remove("thing", "not.there")
        make(kind, "thing")
        tell(f"truncate {kind} {size}", os.truncate, "thing", size, look=("thing", "target.file"), times=("thing", ".")
             if kind in ("regular", "link") else ())
    remove("thing")
    for size, flags in itertools.product((0, 1, 17, 18, 4096, 100000, -1), (os.O_RDONLY, os.O_WRONLY, os.O_RDWR,
                                                                            os.O_WRONLY | os.O_APPEND)):
        remove("thing")
        make("regular", "thing")
        fd = os.open("thing", flags)
        tell(f"ftruncate {flags:o} {size}", os.ftruncate, fd, size, look=(fd, "thing"), times=(fd, "."))
        os.close(fd)
        print(open("thing", "rb").read(30), os.path.getsize("thing"))
    for mode, (who, caller) in itertools.product(MODES, CALLERS.items()):
        remove("thing")
        make("regular", "thing", mode | 0o222, OWNER[0], 65533)
        tell(f"truncate {mode:o} by {who}", os.truncate, "thing", 5, who=caller, look=("thing",))
        os.chmod("thing", mode & ~0o222)
        tell(f"truncate {mode:o} read-only by {who}", os.truncate, "thing", 3, who=caller, look=("thing",))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    remove("thing")
    make("regular", "thing")
    tell("truncate over the limit", os.truncate, "thing", 1001, look=("thing",), times=("thing",))
    fd = os.open("thing", os.O_RDWR)
    tell("ftruncate over the limit", os.ftruncate, fd, 1001, look=("thing",))
    tell("write over the limit", os.pwrite, fd, b"x" * 100, 990, look=("thing",))
    tell("write at the limit", os.pwrite, fd, b"x" * 100, 1000, look=("thing",))
    tell("allocate over the limit", os.posix_fallocate, fd, 0, 2000, look=("thing",))
    os.close(fd)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    remove("thing")


def allocation():
    """posix_fallocate(3), fallocate(2)."""
    for offset, size, flags in itertools.product((0, 10, 5000, -1), (1, 17, 100000, 0, -1),
                                                 (os.O_RDONLY, os.O_WRONLY, os.O_RDWR)):
        remove("thing")
        make("regular", "thing")
        fd = os.open("thing", flags)
        tell(f"posix_fallocate {offset} {size} {flags:o}", os.posix_fallocate, fd, offset, size, look=(fd,),
             times=(fd, "."))
        os.close(fd)
        print(open("thing", "rb").read(20))
    for kind in ("dir", "fifo", "char"):
        remove("thing")
        make(kind, "thing")
        fd = os.open("thing", (os.O_RDONLY if kind == "dir" else os.O_RDWR) | os.O_NONBLOCK)
        tell(f"posix_fallocate of {kind}", os.posix_fallocate, fd, 0, 10)
        os.close(fd)
    for mode, (who, caller) in itertools.product((0o4777, 0o2777, 0o2767, 0o6666), CALLERS.items()):
        for use in ("allocate", "punch", "zero", "write", "append", "truncate", "mapped", "sendfile", "empty",
                    "truncate by name", "setxattr"):
            remove("thing")
            make("regular", "thing", mode, OWNER[0], 65533)
            with lab.As(caller):
                fd = os.open("thing", os.O_RDWR | (os.O_APPEND if use == "append" else 0))
            call = {"allocate": lambda: os.posix_fallocate(fd, 0, 100), "write": lambda: os.write(fd, b"x"),
                    "punch": lambda: checked(LIBC.fallocate(fd, 3, lab.ctypes.c_int64(2), lab.ctypes.c_int64(5))),
                    "zero": lambda: checked(LIBC.fallocate(fd, 16, lab.ctypes.c_int64(2), lab.ctypes.c_int64(5))),
                    "append": lambda: os.write(fd, b"x"), "truncate": lambda: os.ftruncate(fd, 3),
                    "mapped": lambda: mapped(fd), "sendfile": lambda: copied(fd),
                    "empty": lambda: opened("thing", os.O_WRONLY | os.O_TRUNC),
                    "truncate by name": lambda: os.truncate("thing", 3),
                    "setxattr": lambda: os.setxattr(fd, "user.a", b"v")}[use]
            tell(f"{use} {mode:o} by {who}", call, who=caller, look=(fd, "thing"))
            os.close(fd)
    remove("thing")


def mapped(fd):
    with lab.mmap(fd) as mapping:
        mapping[0] = 65


def copied(fd):
    """sendfile(2) and copy_file_range(2) out of another file."""
    source = os.open("/proc/self/exe", os.O_RDONLY)
    try:
        return os.sendfile(fd, source, 0, 10)
    finally:
        os.close(source)


def writes():
    """Offsets, results and times of write(2) and read(2)."""
    make("regular", "thing")
    fd = os.open("thing", os.O_RDWR)
    for use, call in (("write of nothing", lambda: os.write(fd, b"")), ("pwrite", lambda: os.pwrite(fd, b"ab", 3)),
                      ("write", lambda: os.write(fd, b"cd")), ("negative", lambda: os.pwrite(fd, b"x", -1)),
                      ("read", lambda: os.read(fd, 5)), ("pread", lambda: os.pread(fd, 5, 2)),
                      ("beyond", lambda: os.pread(fd, 5, 1000)), ("hole", lambda: os.pwrite(fd, b"x", 9000)),
                      ("in the hole", lambda: os.pread(fd, 5, 5000)), ("seek", lambda: os.lseek(fd, -1, os.SEEK_END)),
                      ("read the end", lambda: os.read(fd, 5)), ("seek", lambda: os.lseek(fd, -1, os.SEEK_SET)),
                      ("seek", lambda: os.lseek(fd, 0, 99)), ("same size", lambda: os.ftruncate(fd, 9001)),
                      ("fsync", lambda: os.fsync(fd)), ("punch", lambda: checked(LIBC.fallocate(fd, 3, 0, 5)))):
        tell(use, call, look=(fd,), times=(fd, "."))
    os.close(fd)
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_APPEND, os.O_WRONLY | os.O_SYNC, os.O_PATH):
        fd = os.open("thing", flags)
        for use, call in (("read", lambda: os.read(fd, 5)), ("write", lambda: os.write(fd, b"yz")),
                          ("pwrite", lambda: os.pwrite(fd, b"yz", 1)), ("where", lambda: os.lseek(fd, 0, 1)),
                          ("truncate", lambda: os.ftruncate(fd, 50)), ("chmod", lambda: os.fchmod(fd, 0o640)),
                          ("chown", lambda: os.fchown(fd, 7, 8)), ("utime", lambda: os.utime(fd, ns=(10**9, 10**9))),
                          ("fsync", lambda: os.fsync(fd)), ("setxattr", lambda: os.setxattr(fd, "user.a", b"1")),
                          ("list", lambda: os.listdir(fd)), ("chdir", lambda: os.fchdir(fd))):
            tell(f"{flags:o} {use}", call, look=("thing",), times=("thing",))
        os.close(fd)
    remove("thing")


# --- attributes ---


def modes():
    """chmod(2): every type, by everybody."""
    targets()
    for kind, (who, caller), mode in itertools.product(KINDS, CALLERS.items(), MODES + (0, 0o111, 0o100644)):
        for gid in (65533, 65534):
            remove("thing")
            make(kind, "thing", 0o644, OWNER[0], gid)
            timed = gid == 65533 and mode in (0o6755, 0o644)
            tell(f"{kind} of {gid} to {mode:o} by {who}", os.chmod, "thing", mode, who=caller,
                 look=("thing", "target.file"), times=("thing", ".") if timed else ())
            if kind in ("regular", "dir"):
                fd = os.open("thing", os.O_RDONLY)
                tell("fchmod", os.fchmod, fd, mode ^ 0o7, who=caller, look=("thing",))
                os.close(fd)
    remove("thing")
    for kind in PLACES:
        make(kind, "thing")
        tell(f"not followed {kind}", lambda: checked(LIBC.fchmodat(lab.AT_FDCWD, b"thing", 0o600, 0x100)),
             look=("thing", "target.file"))
        remove("thing")


def owners():
    """chown(2) and lchown(2): every type, by everybody, with what becomes of setuid and setgid."""
    targets()
    ids = [(-1, -1), (65534, -1), (-1, 65533), (-1, 65532), (-1, 65530), (65534, 65533), (65529, -1), (0, 0), (1, 2)]
    for kind, mode, (who, caller), (uid, gid) in itertools.product(KINDS, MODES, CALLERS.items(), ids):
        if (uid, gid) == (-1, -1) and who in ("member", "other") and mode & 0o6000:
            continue  # with FUSE, as if the kernel took setuid and setgid away at a write
        remove("thing")
        make(kind, "thing", mode, OWNER[0], 65533)
        if kind == "link" and mode != 0o644:
            continue
        call = os.lchown if kind == "link" else os.chown
        tell(f"{kind} {mode:o} to {uid}:{gid} by {who}", call, "thing", uid, gid, who=caller, look=("thing",),
             times=("thing", ".") if mode == 0o644 else ())
    for kind, mode, (uid, gid) in itertools.product(("regular", "dir"), MODES, ids):
        remove("thing", "to")
        make(kind, "thing", mode, OWNER[0], 65533)
        os.symlink("thing", "to")
        tell(f"by a link {kind} {mode:o} to {uid}:{gid}", os.chown, "to", uid, gid, who=OWNER, look=("thing", "to"))
        fd = os.open("thing", os.O_RDONLY)
        tell("fchown", os.fchown, fd, 65534, 65532, who=OWNER, look=("thing",))
        tell("fchown back", os.fchown, fd, -1, -1, look=("thing",))
        os.close(fd)
    remove("thing", "to")


def times():
    """utimensat(2): by everybody, with each kind of time, on each type; exactly what was asked for."""
    targets()
    stamps = [("now", "now"), ("omit", "omit"), ("now", "omit"), ("omit", "now"), (1, 2), (1, "now"), ("omit", 3), None,
              (1 << 31, 1 << 32), (-1, -2), (3_500_000_000, 9_000_000_000), (0, 0)]
    for kind, mode, (who, caller), pair in itertools.product(KINDS, (0o666, 0o644), CALLERS.items(), stamps):
        remove("thing")
        make(kind, "thing", mode, OWNER[0], 65533)
        moments = pair in stamps[:8] and mode == 0o644 and kind in ("regular", "dir", "link")
        tell(f"{kind} {mode:o} {pair} by {who}", lambda: set_times("thing", pair, False), who=caller, look=("thing",),
             times=("thing", ".") if moments else ())
    for nsec in (0, 1, 999_999_999, 10**9, 10**9 + 1, -1, (1 << 30) - 3, UTIME_NOW, UTIME_OMIT):
        remove("thing")
        make("regular", "thing")
        result = tell(f"nsec {nsec}", lambda: raw_times("thing", (5, nsec), (7, 123), 0), look=("thing",))
        found = os.stat("thing")
        if not lab.failed(result):
            print(found.st_mtime_ns, found.st_atime_ns if nsec < 10**9 else "")
    for flags in (0, 0x100, 0x1000, 0x200, 0x1100):
        for kind in ("regular", "link", "dangling"):
            remove("thing")
            make(kind, "thing")
            tell(f"flags {flags:x} {kind}", lambda: raw_times("thing", (5, 6), (7, 8), flags), look=("thing",))
            print(os.lstat("thing").st_mtime_ns == 7_000_000_008)
    remove("thing")


def raw_times(path, access, modification, flags):
    specs = (lab.ctypes.c_int64 * 4)(*access, *modification)
    checked(LIBC.utimensat(lab.AT_FDCWD, os.fsencode(path), specs, flags))


def set_times(path, pair, follow):
    """Sets, and returns what then differs from what was asked."""
    specs = None
    if pair is not None:
        numbers = [{"now": (0, UTIME_NOW), "omit": (0, UTIME_OMIT)}.get(one, (one, 123_456_789)) for one in pair]
        specs = (lab.ctypes.c_int64 * 4)(*numbers[0], *numbers[1])
    checked(LIBC.utimensat(lab.AT_FDCWD, os.fsencode(path), specs, 0 if follow else 0x100))
    with lab.As(ROOT):
        found = os.lstat(path)
    got = (found.st_atime_ns, found.st_mtime_ns)
    return [time_ns for time_ns, one in zip(got, pair or ()) if isinstance(one, int)]


def attributes():
    """Extended attributes: each class, on each type, by everybody."""
    names = ("user.a", "trusted.a", "security.a", "user.", "a", "system.a", "user." + "n" * 250, "user." + "n" * 251,
             "other.a", "")
    for kind, (who, caller), name in itertools.product(KINDS, CALLERS.items(), names):
        for mode in (0o644, 0o600, 0o1777):
            if kind != "dir" and mode == 0o1777:
                continue
            remove("thing")
            make(kind, "thing", mode, OWNER[0], 65533)
            label = f"{kind} {mode:o} {name[:20]} by {who}"
            for use, call in (("set", lambda: os.setxattr("thing", name, b"one", follow_symlinks=False)),
                              ("create", lambda: os.setxattr("thing", name, b"2", 1, follow_symlinks=False)),
                              ("replace", lambda: os.setxattr("thing", name, b"three", 2, follow_symlinks=False)),
                              ("both", lambda: os.setxattr("thing", name, b"three", 3, follow_symlinks=False)),
                              ("get", lambda: os.getxattr("thing", name, follow_symlinks=False)),
                              ("list", lambda: sorted(os.listxattr("thing", follow_symlinks=False))),
                              ("remove", lambda: os.removexattr("thing", name, follow_symlinks=False)),
                              ("again", lambda: os.removexattr("thing", name, follow_symlinks=False))):
                tell(f"{label} {use}", call, who=caller)
    remove("thing")
    for kind in ("regular", "dir"):
        make(kind, "thing")
        for use, call in (("set", lambda: os.setxattr("thing", "user.a", b"v")),
                          ("other", lambda: os.setxattr("thing", "user.a", b"w")),
                          ("fails", lambda: os.setxattr("thing", "user.a", b"w", 1)),
                          ("get", lambda: os.getxattr("thing", "user.a")),
                          ("small", lambda: checked(LIBC.getxattr(b"thing", b"user.a", bytes(8), 0))),
                          ("remove", lambda: os.removexattr("thing", "user.a"))):
            tell(f"{kind} {use}", call, look=("thing",), times=("thing", "."))
        remove("thing")


def written_times():
    """No call but the right ones changes times, however often it is asked."""
    make("regular", "thing")
    before = os.stat("thing")
    time.sleep(TICK_SECONDS)
    for call in (os.stat, os.listxattr, lambda p: open(p, "rb").read(), lambda p: opened(p, os.O_RDWR),
                 lambda p: os.truncate(p, 17) or None, lambda p: os.access(p, os.W_OK)):
        call("thing")
    print(changed(before, os.stat("thing")))
    remove("thing")
    with open("thing", "wb") as file:
        file.write(b"x")
        file.flush()
        first = os.stat("thing")
        time.sleep(TICK_SECONDS)
    print(changed(first, os.stat("thing")), state("thing"))
    remove("thing")
    tell("name too long", lambda: os.pathconf(".", "PC_NAME_MAX"))
    tell("loops", lambda: errno.errorcode[errno.ELOOP])


SECTIONS = (opens, opens_permitted, opens_times, busy, sizes, allocation, writes, modes, owners, times, attributes,
            written_times)
