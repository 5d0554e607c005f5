# SPDX-License-Identifier: MIT
"""What the conformance cases are made of: users, things to do it to, and how a result is told.

Each assertion is one line of output, the same on every file system that does as POSIX and Linux say.
Nothing in it depends on the clock, on inode numbers or on where the tree is.
"""
import ctypes
import errno
import mmap as python_mmap
import os
import stat
import time

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
NOREPLACE, EXCHANGE = 1, 2

# (user, group, further groups)
ROOT = (0, 0, [])
OWNER = (65534, 65534, [65533, 65532])
MEMBER = (65531, 65533, [65530])  # not the owner; in the group 65533
OTHER = (65529, 65529, [65528])
CALLERS = {"root": ROOT, "owner": OWNER, "member": MEMBER, "other": OTHER}

# Longer than the clock of any file system stands still.
TICK_SECONDS = 0.011

KINDS = ("regular", "dir", "fifo", "char", "block", "socket", "link")
# Further things that a name may be.
PLACES = KINDS + ("none", "full", "dirlink", "dangling", "loop")


class As:
    """with As(user): what is done inside is done by that user."""

    def __init__(self, who):
        self.who = who

    def __enter__(self):
        uid, gid, groups = self.who
        if self.who != ROOT:
            os.setgroups(groups)
            os.setegid(gid)
            os.seteuid(uid)

    def __exit__(self, *_):
        if self.who != ROOT:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups([])


def name_of(error):
    return errno.errorcode.get(error.errno, str(error.errno))


def failed(result):
    """Says whether tell() or outcome() returned an error."""
    return isinstance(result, str) and result in errno.errorcode.values()


def checked(result):
    """What a libc function returned; OSError when that is -1."""
    if result == -1:
        raise OSError(ctypes.get_errno(), "")
    return result


def make(kind, name, mode=0o644, uid=0, gid=0):
    """Makes one of PLACES."""
    if kind in ("regular", "full", "dir"):
        if kind == "regular":
            with open(name, "wb") as file:
                file.write(b"content of a file")
        else:
            os.mkdir(name)
        if kind == "full":
            os.mkdir(name + "/inside")
    elif kind == "link":
        os.symlink("target.file", name)
    elif kind == "dirlink":
        os.symlink("target.dir", name)
    elif kind == "dangling":
        os.symlink("not.there", name)
    elif kind == "loop":
        os.symlink(os.path.basename(name), name)
    elif kind != "none":
        node = {"fifo": stat.S_IFIFO, "char": stat.S_IFCHR, "block": stat.S_IFBLK,
                "socket": stat.S_IFSOCK}[kind]
        device = {"char": os.makedev(1, 3), "block": os.makedev(700, 70000)}.get(kind, 0)
        os.mknod(name, node | mode, device)
    if kind in ("none", "link", "dirlink", "dangling", "loop"):
        if kind != "none":
            os.lchown(name, uid, gid)
        return
    os.chown(name, uid, gid)
    os.chmod(name, mode | 0o111 if kind in ("dir", "full") and mode == 0o644 else mode)


def remove(*names):
    """Whatever is there, goes."""
    for name in names:
        try:
            os.unlink(name)
        except IsADirectoryError:
            os.chmod(name, 0o700)
            for inside in os.listdir(name):
                remove(name + "/" + inside)
            os.rmdir(name)
        except OSError as error:  # nothing that could be there
            if name_of(error) not in ("ENOENT", "ENOTDIR", "ENAMETOOLONG"):
                raise


def shown(found):
    """A stat in short."""
    text = f"{stat.filemode(found.st_mode)[0]}{stat.S_IMODE(found.st_mode):04o} n{found.st_nlink} " \
           f"{found.st_uid}:{found.st_gid}"
    if not stat.S_ISDIR(found.st_mode):
        text += f" s{found.st_size}"
    if found.st_rdev:
        text += f" r{os.major(found.st_rdev)},{os.minor(found.st_rdev)}"
    return text


def state(path):
    """What is at a path, or the open file of a number."""
    try:
        if isinstance(path, int):
            return shown(os.fstat(path))
        found = os.lstat(path)
        text = shown(found)
        if stat.S_ISLNK(found.st_mode):
            target = os.readlink(path)
            text += " -> " + (target if len(target) < 40 else f"{len(target)} bytes")
        elif stat.S_ISDIR(found.st_mode):
            text += " " + ",".join(sorted(os.listdir(path)))
        return text
    except OSError as error:
        return name_of(error)


def stat_of(path):
    try:
        return os.fstat(path) if isinstance(path, int) else os.lstat(path)
    except OSError:
        return None


def changed(before, after):
    """Which of mtime and ctime are later now, as letters; "!" when one is earlier."""
    if before is None or after is None:
        return "-"
    if before.st_ino != after.st_ino:
        return "another"
    text = ""
    for letter, key in (("m", "st_mtime_ns"), ("c", "st_ctime_ns")):
        one, other = getattr(before, key), getattr(after, key)
        text += letter if other > one else "!" if other < one else ""
    return text or "same"


def outcome(call, *arguments, who=ROOT, **named):
    """The result of a call by a user, or the name of its error."""
    with As(who):
        try:
            result = call(*arguments, **named)
        except OSError as error:
            result = name_of(error)
    return result


def tell(label, call, *arguments, who=ROOT, look=(), times=(), **named):
    """One assertion: the result of a call, what is then at the paths in "look", and which times of those
    in "times" it changed."""
    if times:
        before = [stat_of(path) for path in times]
        time.sleep(TICK_SECONDS)
    result = outcome(call, *arguments, who=who, **named)
    parts = [str(result)] + [state(path) for path in look]
    if times:
        parts += [changed(was, stat_of(path)) for was, path in zip(before, times)]
    print(f"{label}: " + "; ".join(parts))
    return result


def opened(path, flags, mode=0o666):
    """open(2) and close(2)."""
    os.close(os.open(path, flags | os.O_NONBLOCK, mode))


def link(old, new, follow=True):
    """linkat(2).  (Python's own does not follow when it says so.)"""
    checked(LIBC.linkat(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), 0x400 if follow else 0))


def renameat2(old, new, flags):
    checked(LIBC.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags))


def closed(fd):
    if isinstance(fd, int):
        os.close(fd)


def mmap(fd):
    """A shared mapping of an open file."""
    return python_mmap.mmap(fd, 0)
