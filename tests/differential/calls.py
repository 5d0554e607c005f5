# SPDX-License-Identifier: MIT
"""The calls of the differential test.  An operation is a tuple (worker, name, arguments...) of plain
literals.  Each is a method of Side, which does it in one of the two trees and returns what a program
sees of it: a value, or ("error", NAME).

A path is bytes below the root of the tree, or (slot, bytes): below an open directory of the worker.
"""
import ctypes
import errno
import fcntl
import hashlib
import mmap
import os
import random
import re
import socket
import stat
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.getxattr.restype = LIBC.listxattr.restype = ctypes.c_ssize_t
LIBC.syscall.restype = ctypes.c_long
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_int64)
LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
LIBC.msync.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
MAP_FAILED = ctypes.c_void_p(-1).value
MS_SYNC = 4
AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_SYMLINK_FOLLOW = 0x400
UTIME_NOW = (1 << 30) - 1
UTIME_OMIT = (1 << 30) - 2
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
SYS_GETDENTS64 = 217
SEEK_DATA, SEEK_HOLE = 3, 4


class TimeSpec(ctypes.Structure):
    _fields_ = [("tv_sec", ctypes.c_int64), ("tv_nsec", ctypes.c_int64)]


def checked(result):
    """What a libc function returned; OSError when that is -1."""
    if result == -1:
        raise OSError(ctypes.get_errno(), "")
    return result


def pattern(seed, size):
    """Bytes that differ from seed to seed and from place to place."""
    return random.Random(seed).randbytes(size)


def drop_set_id(path_fd):
    """Takes setuid and setgid away from a file of ext4, which leaves them there when a mapping has
    written: in the mount nobody's mapping does (freyjafs(8), LIMITS)."""
    mode = stat.S_IMODE(os.fstat(path_fd).st_mode)
    if not mode & (stat.S_ISUID | stat.S_ISGID):
        return
    uid = os.geteuid()
    if uid != 0 and os.getresuid()[2] == 0:
        os.seteuid(0)  # as the kernel does it in the mount: whoever the owner is
    os.chmod(f"/proc/self/fd/{path_fd}", mode & ~(stat.S_ISUID | stat.S_ISGID))
    os.seteuid(uid)


def digest(data):
    """Data in short, as it goes into a report."""
    return (len(data), hashlib.blake2b(data, digest_size=8).hexdigest(), bytes(data[:24]))


def times_of(pair):
    """(access, modification) in ns since the epoch, "now" or "omit", for utimensat(2)."""
    specs = (TimeSpec * 2)()
    for spec, time in zip(specs, pair):
        if time in ("now", "omit"):
            spec.tv_nsec = UTIME_NOW if time == "now" else UTIME_OMIT
        else:
            spec.tv_sec, spec.tv_nsec = divmod(time, 10 ** 9)
    return specs


def dirents(fd, buffer_size):
    """Yields (inode number, next position, type, name) of the rest of the directory."""
    buffer = ctypes.create_string_buffer(buffer_size)
    while True:
        got = checked(LIBC.syscall(SYS_GETDENTS64, fd, buffer, buffer_size))
        if got == 0:
            return
        at = 0
        while at < got:
            ino, position, length, kind = struct.unpack_from("=QqHB", buffer.raw, at)
            yield ino, position, kind, buffer.raw[at + 19:at + length].split(b"\0")[0]
            at += length


class Slot:
    """An open file and what was said at its opening."""

    def __init__(self, fd, flags):
        self.fd = fd
        self.flags = flags
        mode = os.fstat(fd).st_mode
        self.kind = "d" if stat.S_ISDIR(mode) else "f" if stat.S_ISREG(mode) else "o"


class Side:
    """One of the two trees, as one worker sees it."""

    def __init__(self, root_fd, of_mount):
        self.root_fd = root_fd
        self.of_mount = of_mount
        self.slots = {}
        self.maps = {}

    def run(self, name, arguments):
        try:
            return getattr(self, "op_" + name)(*arguments)
        except OSError as error:
            return ("error", errno.errorcode.get(error.errno, error.errno))

    def close_all(self):
        """Before the tree goes away.  A killed daemon makes that fail, which is as it should be."""
        for mapping in list(self.maps):
            self.drop_map(mapping)
        for slot in self.slots.values():
            try:
                os.close(slot.fd)
            except OSError:
                pass
        self.slots = {}

    def fd(self, number):
        if number not in self.slots:
            raise OSError(errno.EBADF, "")
        return self.slots[number].fd

    def is_dir(self, number):
        """Positions in a directory are the file system's own."""
        self.fd(number)
        return self.slots[number].kind == "d"

    def is_special(self, number):
        """A write to a fifo changes its times on ext4 only: FUSE has no request for it."""
        self.fd(number)
        return self.slots[number].kind == "o"

    def at(self, path):
        """Goes where "path" starts and returns the rest."""
        if isinstance(path, tuple):
            os.fchdir(self.fd(path[0]))
            return path[1]
        os.fchdir(self.root_fd)
        return path

    def two(self, one, other):
        """Two paths as (fd, path) each, for the *at calls."""
        return [(self.fd(p[0]), p[1]) if isinstance(p, tuple) else (self.root_fd, p)
                for p in (one, other)]

    def put(self, number, fd, flags):
        old = self.slots.pop(number, None)
        self.slots[number] = Slot(fd, flags)
        if old:
            os.close(old.fd)

    # --- stat ---

    def look(self, what):
        """The stat of a path (not followed) or of a slot (an int); None when there is none."""
        try:
            if isinstance(what, int):
                return os.fstat(self.fd(what))
            return os.lstat(self.at(what))
        except OSError:
            return None

    def op_stat(self, path):
        return visible(os.stat(self.at(path)))

    def op_lstat(self, path):
        return visible(os.lstat(self.at(path)))

    def op_fstat(self, number):
        return visible(os.fstat(self.fd(number)))

    def op_access(self, path, mode, effective):
        return os.access(self.at(path), mode, effective_ids=effective)

    def op_statvfs(self, path):
        return os.statvfs(self.at(path)).f_namemax

    # --- files ---

    def op_open(self, number, path, flags, mode):
        self.put(number, os.open(self.at(path), flags | os.O_NONBLOCK, mode), flags)
        return self.slots[number].kind

    def op_reopen(self, number, old, flags):
        self.put(number, os.open(f"/proc/self/fd/{self.fd(old)}", flags | os.O_NONBLOCK), flags)

    def op_close(self, number):
        fd = self.fd(number)
        del self.slots[number]
        os.close(fd)

    def op_dup(self, number, old):
        fd = os.dup(self.fd(old))
        self.put(number, fd, self.slots[old].flags)

    def op_read(self, number, size):
        return digest(os.read(self.fd(number), size))

    def op_pread(self, number, size, offset):
        return digest(os.pread(self.fd(number), size, offset))

    def op_write(self, number, size, seed):
        if self.is_special(number):
            return "a fifo or device"
        return os.write(self.fd(number), pattern(seed, size))

    def op_pwrite(self, number, size, offset, seed):
        if self.is_special(number):
            return "a fifo or device"
        return os.pwrite(self.fd(number), pattern(seed, size), offset)

    def op_writev(self, number, sizes, offset, seed, flags):
        if self.is_special(number):
            return "a fifo or device"
        data = [pattern(seed + i, size) for i, size in enumerate(sizes)]
        return os.pwritev(self.fd(number), data, offset, flags)

    def op_lseek(self, number, offset, whence):
        if self.is_dir(number):
            return "a directory"
        return os.lseek(self.fd(number), offset, whence)

    def op_seek_data(self, number, offset, whence):
        """Where data and holes are is the file system's choice, within what is true."""
        fd = self.fd(number)
        if self.is_dir(number):
            return "a directory"
        place = os.lseek(fd, 0, os.SEEK_CUR)
        size = os.fstat(fd).st_size
        try:
            found = os.lseek(fd, offset, whence)
        except OSError as error:
            found = size if error.errno == errno.ENXIO and offset < size else None
            if found is None or whence == SEEK_HOLE:
                raise
        finally:
            os.lseek(fd, place, os.SEEK_SET)
        if not offset <= found <= size:
            return ("wrong place", offset, found, size)
        with os.fdopen(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY), "rb") as file:
            file.seek(offset)
            skipped = file.read(found - offset)
        if whence == SEEK_DATA and skipped.strip(b"\0"):
            return ("data in a hole", offset, found, size)
        return "right"

    def op_truncate(self, path, size):
        os.truncate(self.at(path), size)

    def op_ftruncate(self, number, size):
        os.ftruncate(self.fd(number), size)

    def op_fallocate(self, number, mode, offset, size):
        checked(LIBC.fallocate(self.fd(number), mode, ctypes.c_int64(offset), ctypes.c_int64(size)))

    def op_fsync(self, number):
        os.fsync(self.fd(number))

    def op_fdatasync(self, number):
        os.fdatasync(self.fd(number))

    def op_copy_file_range(self, source, source_at, target, target_at, size):
        done = os.copy_file_range(self.fd(source), self.fd(target), size, source_at, target_at)
        return done

    def op_sendfile(self, source, source_at, target, size):
        if self.is_special(target):
            return "a fifo or device"
        if os.path.sameopenfile(self.fd(source), self.fd(target)):
            return "to itself"  # what is read while it is written is not defined
        return os.sendfile(self.fd(target), self.fd(source), source_at, size)

    def op_flock(self, number, how):
        fcntl.flock(self.fd(number), how | fcntl.LOCK_NB)

    def op_lock(self, number, how, start, size):
        how |= 0 if how == fcntl.LOCK_UN else fcntl.LOCK_NB
        fcntl.lockf(self.fd(number), how, size, start)

    # --- mappings ---

    def op_mmap(self, mapping, number, shared, writable):
        """A mapping that outlives the descriptor (Python's own would keep one open)."""
        fd = self.fd(number)
        if self.is_dir(number):
            return "a directory"
        size = os.fstat(fd).st_size
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        kind = mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE
        address = LIBC.mmap(None, size, protection, kind, fd, 0)
        checked(-1 if address == MAP_FAILED else 0)
        guard = os.open(f"/proc/self/fd/{fd}", os.O_PATH)
        if mapping in self.maps:
            self.drop_map(mapping)
        self.maps[mapping] = (address, size, guard, writable, shared)

    def drop_map(self, mapping):
        address, size, guard = self.maps.pop(mapping)[:3]
        LIBC.munmap(address, size)
        os.close(guard)

    def mapped(self, mapping, offset, size):
        """Address and size of the part of the range that is within the file now."""
        if mapping not in self.maps:
            raise OSError(errno.EBADF, "")
        address, mapped_size, guard = self.maps[mapping][:3]
        end = min(mapped_size, os.fstat(guard).st_size, offset + size)
        return address + offset, max(end - offset, 0)

    def op_map_read(self, mapping, offset, size):
        address, size = self.mapped(mapping, offset, size)
        return digest(ctypes.string_at(address, size))

    def scribble(self, mapping, offset, size, seed):
        address, size = self.mapped(mapping, offset, size)
        guard, writable, shared = self.maps[mapping][2:]
        if writable:
            ctypes.memmove(address, pattern(seed, size), size)
        if writable and shared and size > 0 and not self.of_mount:
            drop_set_id(guard)
        return size

    def op_map_write(self, mapping, offset, size, seed):
        size = self.scribble(mapping, offset, size, seed)
        address, mapped_size = self.maps[mapping][:2]
        checked(LIBC.msync(address, mapped_size, MS_SYNC))
        return size

    def op_unmap(self, mapping, offset, size, seed):
        """Written to, and unmapped without msync(2)."""
        size = self.scribble(mapping, offset, size, seed)
        self.drop_map(mapping)
        return size

    # --- names ---

    def op_mkdir(self, path, mode):
        os.mkdir(self.at(path), mode)

    def op_rmdir(self, path):
        os.rmdir(self.at(path))

    def op_unlink(self, path):
        os.unlink(self.at(path))

    def op_rename(self, old, new):
        (old_fd, old), (new_fd, new) = self.two(old, new)
        os.rename(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd)

    def op_renameat2(self, old, new, flags):
        (old_fd, old), (new_fd, new) = self.two(old, new)
        checked(LIBC.renameat2(old_fd, old, new_fd, new, flags))

    def op_link(self, old, new, follow):
        (old_fd, old), (new_fd, new) = self.two(old, new)
        checked(LIBC.linkat(old_fd, old, new_fd, new, AT_SYMLINK_FOLLOW if follow else 0))

    def op_link_fd(self, number, new):
        old = f"/proc/self/fd/{self.fd(number)}".encode()
        new_fd, new = self.two(new, new)[0]
        checked(LIBC.linkat(AT_FDCWD, old, new_fd, new, AT_SYMLINK_FOLLOW))

    def op_symlink(self, target, path):
        os.symlink(target, self.at(path))

    def op_readlink(self, path):
        return os.readlink(self.at(path))

    def op_mknod(self, path, mode, device):
        os.mknod(self.at(path), mode, device)

    def op_mkfifo(self, path, mode):
        os.mkfifo(self.at(path), mode)

    def op_bind(self, path):
        with socket.socket(socket.AF_UNIX) as unix:
            try:
                unix.bind(self.at(path))
            except OSError as error:
                if error.errno is None:  # the path is too long for an address
                    return "long"
                raise

    def op_readdir(self, path, buffer_size):
        fd = os.open(self.at(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            found = sorted((name, kind) for _, _, kind, name in dirents(fd, buffer_size))
            return found
        finally:
            os.close(fd)

    def op_seekdir(self, path, part):
        """Back to any place: what came after it comes again."""
        fd = os.open(self.at(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            first = list(dirents(fd, 600))
            place = int(part * (len(first) - 1))
            os.lseek(fd, first[place][1] if place else 0, os.SEEK_SET)
            rest = first[place + 1:] if place else first
            again = list(dirents(fd, 600))
            if [entry[3] for entry in again] != [entry[3] for entry in rest]:
                return ("another rest", place, rest, again)
            return len(first)
        finally:
            os.close(fd)

    def op_getcwd(self, path):
        os.chdir(self.at(path))
        here = os.getcwdb()
        os.fchdir(self.root_fd)
        return os.path.relpath(here, os.getcwdb())

    def op_fd_path(self, number):
        root = os.readlink(f"/proc/self/fd/{self.root_fd}")
        path = os.path.relpath(os.readlink(f"/proc/self/fd/{self.fd(number)}"), root)
        return re.sub(r"(^|/)(#\d+)? \(deleted\)$", r"\1unnamed", path)  # O_TMPFILE

    # --- attributes ---

    def op_chmod(self, path, mode):
        os.chmod(self.at(path), mode)

    def op_fchmod(self, number, mode):
        os.fchmod(self.fd(number), mode)

    def op_chown(self, path, uid, gid, follow):
        os.chown(self.at(path), uid, gid, follow_symlinks=follow)

    def op_fchown(self, number, uid, gid):
        os.fchown(self.fd(number), uid, gid)

    def op_utimens(self, path, pair, follow):
        flags = 0 if follow else AT_SYMLINK_NOFOLLOW
        path = self.at(path)
        checked(LIBC.utimensat(AT_FDCWD, path, times_of(pair), flags))
        now = os.stat(path, follow_symlinks=follow)
        return explicit_times(now, pair)

    def op_futimens(self, number, pair):
        fd = self.fd(number)
        checked(LIBC.futimens(fd, times_of(pair)))
        return explicit_times(os.fstat(fd), pair)

    def op_umask(self, mask):
        os.umask(mask)

    def op_setxattr(self, path, name, size, seed, flags, follow):
        os.setxattr(self.at(path), name, pattern(seed, size), flags, follow_symlinks=follow)

    def op_fsetxattr(self, number, name, size, seed, flags):
        os.setxattr(self.fd(number), name, pattern(seed, size), flags)

    def op_getxattr(self, path, name, size):
        buffer = ctypes.create_string_buffer(max(size, 1))
        got = checked(LIBC.getxattr(self.at(path), name, buffer, size))
        return got, buffer.raw[:got] if size else b""

    def op_fgetxattr(self, number, name):
        return os.getxattr(self.fd(number), name)

    def op_listxattr(self, path, size):
        buffer = ctypes.create_string_buffer(max(size, 1))
        got = checked(LIBC.listxattr(self.at(path), buffer, size))
        return got, sorted(buffer.raw[:got].split(b"\0")) if size else b""

    def op_removexattr(self, path, name, follow):
        os.removexattr(self.at(path), name, follow_symlinks=follow)


def visible(found):
    """What two file systems have to agree on in a stat."""
    size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
    return (oct(found.st_mode), found.st_nlink, found.st_uid, found.st_gid, found.st_rdev, size)


def explicit_times(found, pair):
    """The times in a stat that utimensat(2) was told."""
    return tuple(got if isinstance(wanted, int) else None
                 for got, wanted in zip((found.st_atime_ns, found.st_mtime_ns), pair))


# Which paths (by the position of the argument) and slots each operation may change: looked at
# before and after.
PATHS = {
    "open": (1,), "truncate": (0,), "mkdir": (0,), "rmdir": (0,), "unlink": (0,), "rename": (0, 1),
    "renameat2": (0, 1), "link": (0, 1), "link_fd": (1,), "symlink": (1,), "mknod": (0,),
    "mkfifo": (0,), "bind": (0,), "chmod": (0,), "chown": (0,), "utimens": (0,), "setxattr": (0,),
    "removexattr": (0,), "stat": (0,), "readdir": (0,),
}
SLOTS = {
    "open": (0,), "reopen": (1,), "write": (0,), "pwrite": (0,), "writev": (0,), "ftruncate": (0,),
    "fallocate": (0,), "fsync": (0,), "copy_file_range": (0, 2), "sendfile": (0, 2),
    "link_fd": (0,), "fchmod": (0,), "fchown": (0,), "futimens": (0,), "fsetxattr": (0,),
    "read": (0,), "pread": (0,), "close": (0,),
}
# Every slot of the worker is looked at as well: the file may be open.
NAMES_GO = {"unlink", "rmdir", "rename", "renameat2", "link"}


def parent(path):
    """The directory that holds a path."""
    base, rest = path if isinstance(path, tuple) else (None, path)
    rest = rest.rstrip(b"/").rpartition(b"/")[0] or b"."
    return rest if base is None else (base, rest)


def watched(name, arguments, slots):
    """What to look at before and after an operation."""
    things = []
    for position in PATHS.get(name, ()):
        path = arguments[position]
        things += [path, parent(path)]
    things += [arguments[position] for position in SLOTS.get(name, ())]
    if name in NAMES_GO:
        things += [number for number in slots if number not in things]
    return things
