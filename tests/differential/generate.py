# SPDX-License-Identifier: MIT
"""Random operations for the differential test.  The same seed and the same answers of the file
system give the same operations."""
import fcntl
import os
import stat

import calls
from worker import WHO

SLOTS = 6
MAPS = 2
NAMES = [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h", b"100%", b" ", b"-n", b"*", b"\xff\xfe\x80",
         b"new\nline", b".hid", b"n" * 255, b".fuse_hidden1"]
ODD = [b"", b".", b"..", b"x" * 256, b"a/", b"a//b", b"./a", b"a/../b", b"a/.", b"\xff" * 255,
       b"z/" * 2100, b"no/such", b"y" * 255 + b"/" + b"y" * 255]
TARGETS = [b"a", b"b", b"c", b"./d", b"../a", b"..", b".", b"a/b", b"no/such", b"loop", b"e" * 4095,
           b"q" * 255, b" ", b"f/g"]
XATTRS = [b"user.a", b"user.b", b"user.long." + b"n" * 200, b"trusted.t", b"user.\xff"]
ODD_XATTRS = [b"user.", b"a", b"nothing.x", b"user." + b"n" * 251, b"user.no", b"", b"system.x"]
# ext4 keeps the years 1901 to 2446, the store those to 2262.
TIMES = [0, 1, 10 ** 9 - 1, 1 << 60, -10 ** 9, -1, 981173106789012345, (1 << 31) * 10 ** 9,
         9223372035 * 10 ** 9, -(1 << 31) * 10 ** 9, "now", "now", "omit", "omit"]
UIDS = [-1, 0, 1001, 1002]
GIDS = [-1, 0, 1001, 1002, 2000, 2001]
DEVICES = [os.makedev(1, 3), os.makedev(300, 70000), 0]

# How often each operation comes.
WEIGHTS = {
    "open": 130, "reopen": 8, "close": 40, "dup": 4, "read": 15, "pread": 20, "write": 45,
    "pwrite": 45, "writev": 8, "lseek": 8, "seek_data": 12, "truncate": 15, "ftruncate": 15,
    "fallocate": 20, "fsync": 2, "fdatasync": 2, "copy_file_range": 10, "sendfile": 3, "flock": 4,
    "lock": 4, "mmap": 12, "map_read": 12, "map_write": 12, "unmap": 6, "mkdir": 40, "rmdir": 18,
    "unlink": 40, "rename": 60, "renameat2": 30, "link": 30, "link_fd": 6, "symlink": 25,
    "readlink": 8, "mknod": 10, "mkfifo": 6, "bind": 5, "readdir": 12, "seekdir": 6, "getcwd": 5,
    "fd_path": 5, "chmod": 25, "fchmod": 8, "chown": 20, "fchown": 8, "utimens": 25, "futimens": 8,
    "umask": 3, "setxattr": 20, "fsetxattr": 6, "getxattr": 12, "fgetxattr": 5, "listxattr": 8,
    "removexattr": 10, "stat": 6, "lstat": 5, "fstat": 6, "access": 8, "statvfs": 2,
}


class Generator:
    """Chooses operations."""

    def __init__(self, rng):
        self.rng = rng
        self.names = list(WEIGHTS)
        self.weights = list(WEIGHTS.values())
        self.paths = {}
        self.slots = {}
        self.seed = 0

    def saw(self, paths):
        """Takes note of what the tree holds: path -> one of "fdlo"."""
        self.paths = paths
        self.by_kind = {kind: sorted(p for p, k in paths.items() if k == kind) for kind in "fdlo"}
        self.by_kind["d"].append(b".")

    def has(self, worker, slots):
        """Takes note of what a worker has open: slots and mappings."""
        self.slots[worker] = slots

    def batch(self, worker):
        """A few operations that one worker does in a row."""
        count = min(int(self.rng.expovariate(0.25)) + 1, 12)
        return [(worker, *self.one(worker)) for _ in range(count)]

    def one(self, worker):
        choice = self.rng.random()
        # The tree stays of a size where operations meet.
        if len(self.paths) > 120 and choice < 0.2:
            name = "unlink" if choice < 0.14 else "rmdir"
        else:
            name = self.rng.choices(self.names, self.weights)[0]
        return (name, *getattr(self, "gen_" + name)(worker))

    # --- parts ---

    def chance(self, probability):
        return self.rng.random() < probability

    def pick(self, *kinds):
        """A path that is there, if there is one of the kinds."""
        known = [path for kind in kinds for path in self.by_kind[kind]]
        return self.rng.choice(known) if known else self.rng.choice(NAMES)

    def fresh(self):
        """A path that may or may not be there, in a directory that is."""
        directory = self.pick("d") if self.chance(0.95) else self.pick("l")
        name = self.rng.choice(NAMES)
        # Deep trees come of themselves, and wide ones at the top.
        if directory == b"." or directory.count(b"/") > 6:
            return name
        return directory + b"/" + name

    def path(self, kinds="fdlo", there=0.8):
        choice = self.rng.random()
        if choice < 0.03:
            path = self.rng.choice(ODD)
            if self.chance(0.5):
                path = self.pick("d", "f", "l") + b"/" + path
        elif choice < 0.05:
            path = self.pick(*kinds) + b"/"
        elif choice < 0.05 + 0.95 * there:
            path = self.pick(*kinds)
        else:
            path = self.fresh()
        return path

    def based(self, worker, path):
        """The same path, or at times one below a directory that is open."""
        if self.chance(0.05):
            slot = self.slot(worker, "d")
            return (slot, self.rng.choice(NAMES) if self.chance(0.8) else path)
        return path

    def new(self, worker):
        return self.based(worker, self.path("fdlo", 0.15))

    def slot(self, worker, kinds="f", wanted=None):
        slots = self.slots.get(worker, ({}, []))[0]
        able = [number for number, (kind, flags) in sorted(slots.items())
                if kind in kinds and (wanted is None or flags & os.O_ACCMODE in wanted)]
        if able and self.chance(0.95):
            return self.rng.choice(able)
        return self.rng.randrange(SLOTS)

    def reading(self, worker):
        return self.slot(worker, "f", (os.O_RDONLY, os.O_RDWR))

    def writing(self, worker):
        return self.slot(worker, "f", (os.O_WRONLY, os.O_RDWR))

    def size(self):
        choice = self.rng.random()
        if choice < 0.1:
            return 0
        if choice < 0.6:
            return self.rng.randrange(1, 200)
        if choice < 0.8:
            return self.rng.choice([4095, 4096, 4097, 8192, 512])
        if choice < 0.98:
            return self.rng.randrange(1, 20000)
        return self.rng.randrange(100000, 300000)

    def offset(self):
        choice = self.rng.random()
        if choice < 0.2:
            return 0
        if choice < 0.6:
            return self.rng.randrange(0, 5000)
        if choice < 0.8:
            return 4096 * self.rng.randrange(0, 20)
        if choice < 0.99:
            return self.rng.randrange(0, 60000)
        return self.rng.randrange(0, 1000000)

    def next_seed(self):
        self.seed += 1
        return self.seed

    def mode(self):
        mode = self.rng.choice([0o777, 0o666, 0o755, 0o700, 0o644, 0o600, 0o444, 0o770, 0o000, 0o711])
        if self.chance(0.3):
            mode |= self.rng.choice([0o2000, 0o4000, 0o1000, 0o6000, 0o7000, 0o2010])
        return mode

    def times(self):
        pair = [self.rng.choice(TIMES) for _ in range(2)]
        return tuple(pair)

    # --- files ---

    def gen_open(self, worker):
        flags = self.rng.choice([os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR, os.O_RDWR])
        create = self.chance(0.6)
        if create:
            flags |= os.O_CREAT
        for flag, probability in ((os.O_EXCL, 0.15 if create else 0), (os.O_TRUNC, 0.15),
                                  (os.O_APPEND, 0.2), (os.O_SYNC, 0.02), (os.O_DSYNC, 0.02),
                                  (os.O_NOFOLLOW, 0.1), (os.O_DIRECTORY, 0.03)):
            if self.chance(probability):
                flags |= flag
        if self.chance(0.05):
            return (self.rng.randrange(SLOTS), self.based(worker, self.path("dddf", 0.95)),
                    self.rng.choice([os.O_RDWR, os.O_RDWR, os.O_WRONLY, os.O_RDONLY]) | os.O_TMPFILE
                    | (os.O_EXCL if self.chance(0.2) else 0), self.mode())
        if not create and self.chance(0.25):
            path, flags = self.path("d"), os.O_RDONLY | os.O_DIRECTORY
        else:
            path = self.path("fffflo", 0.5 if create else 0.95)
        return self.rng.randrange(SLOTS), self.based(worker, path), flags, self.mode()

    def gen_reopen(self, worker):
        flags = self.rng.choice([os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
        if self.chance(0.3):
            flags |= self.rng.choice([os.O_TRUNC, os.O_APPEND, os.O_CREAT])
        return self.rng.randrange(SLOTS), self.slot(worker, "fd"), flags

    def gen_close(self, worker):
        return (self.slot(worker, "fdo"),)

    def gen_dup(self, worker):
        return self.rng.randrange(SLOTS), self.slot(worker, "fd")

    def gen_read(self, worker):
        return self.reading(worker) if self.chance(0.95) else self.slot(worker, "fdo"), self.size()

    def gen_pread(self, worker):
        return self.reading(worker), self.size(), self.offset()

    def gen_write(self, worker):
        return self.writing(worker), self.size(), self.next_seed()

    def gen_pwrite(self, worker):
        return self.writing(worker), self.size(), self.offset(), self.next_seed()

    def gen_writev(self, worker):
        sizes = tuple(self.size() for _ in range(self.rng.randrange(1, 5)))
        flags = self.rng.choice([0, 0, 0, os.RWF_APPEND, os.RWF_DSYNC])
        return self.writing(worker), sizes, self.offset(), self.next_seed(), flags

    def gen_lseek(self, worker):
        return self.slot(worker), self.rng.choice([0, 10, 5000, -1]), self.rng.randrange(3)

    def gen_seek_data(self, worker):
        whence = self.rng.choice([calls.SEEK_DATA, calls.SEEK_HOLE])
        return self.reading(worker), self.offset(), whence

    def gen_truncate(self, worker):
        return self.based(worker, self.path("fffl", 0.95)), self.some_size()

    def gen_ftruncate(self, worker):
        return self.writing(worker), self.some_size()

    def some_size(self):
        return -1 if self.chance(0.02) else 0 if self.chance(0.2) else self.offset()

    def gen_fallocate(self, worker):
        mode = self.rng.choice([0, calls.KEEP_SIZE, calls.PUNCH_HOLE | calls.KEEP_SIZE,
                                calls.PUNCH_HOLE | calls.KEEP_SIZE, calls.ZERO_RANGE,
                                calls.ZERO_RANGE | calls.KEEP_SIZE])
        slot = self.writing(worker) if self.chance(0.95) else self.slot(worker, "fdo")
        return slot, mode, self.offset(), self.size()

    def gen_fsync(self, worker):
        return (self.slot(worker, "fd"),)

    def gen_fdatasync(self, worker):
        return (self.slot(worker, "fd"),)

    def gen_copy_file_range(self, worker):
        source_at, target_at = (None if self.chance(0.2) else self.offset() for _ in range(2))
        return self.reading(worker), source_at, self.writing(worker), target_at, self.size()

    def gen_sendfile(self, worker):
        return self.reading(worker), self.offset(), self.writing(worker), self.size()

    def gen_flock(self, worker):
        return self.slot(worker, "fd"), self.rng.choice([fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN])

    def gen_lock(self, worker):
        how = self.rng.choice([fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN])
        return self.slot(worker), how, self.offset(), self.size()

    def gen_mmap(self, worker):
        shared, writable = self.chance(0.7), self.chance(0.7)
        slot = self.slot(worker, "f", (os.O_RDWR,) if writable else (os.O_RDONLY, os.O_RDWR))
        return self.rng.randrange(MAPS), slot, shared, writable

    def mapping(self, worker):
        maps = self.slots.get(worker, ({}, []))[1]
        return self.rng.choice(maps) if maps else self.rng.randrange(MAPS)

    def gen_map_read(self, worker):
        return self.mapping(worker), self.offset(), self.size()

    def gen_map_write(self, worker):
        return self.mapping(worker), self.offset(), self.size(), self.next_seed()

    def gen_unmap(self, worker):
        return self.gen_map_write(worker)

    # --- names ---

    def gen_mkdir(self, worker):
        return self.new(worker), self.mode() if self.chance(0.4) else 0o777

    def gen_rmdir(self, worker):
        return (self.based(worker, self.path("dddddf", 0.95)),)

    def gen_unlink(self, worker):
        return (self.based(worker, self.path("ffffffloood", 0.95)),)

    def gen_rename(self, worker):
        old = self.based(worker, self.path("ffddlo", 0.95))
        if self.chance(0.04) and not isinstance(old, tuple):
            return old, old + b"/" + self.rng.choice(NAMES)
        return old, self.based(worker, self.path("fdlo", 0.4))

    def gen_renameat2(self, worker):
        flags = self.rng.choice([0, calls.NOREPLACE, calls.EXCHANGE, calls.EXCHANGE,
                                 calls.NOREPLACE | calls.EXCHANGE, 64])
        there = 0.9 if flags == calls.EXCHANGE else 0.4
        return (self.based(worker, self.path("ffddlo", 0.95)),
                self.based(worker, self.path("fdlo", there)), flags)

    def gen_link(self, worker):
        return self.based(worker, self.path("ffffffldo", 0.95)), self.new(worker), self.chance(0.2)

    def gen_link_fd(self, worker):
        return self.slot(worker, "fffd"), self.new(worker)

    def gen_symlink(self, worker):
        target = self.rng.choice(TARGETS)
        if self.chance(0.4):
            target = self.pick("f", "d", "l")
        return target, self.new(worker)

    def gen_readlink(self, worker):
        return (self.based(worker, self.path("lllf", 0.95)),)

    def gen_mknod(self, worker):
        kind = self.rng.choice([stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
        device = self.rng.choice(DEVICES)
        if kind == stat.S_IFBLK:
            device = os.makedev(700, 70000)  # nothing that could be opened
        return self.new(worker), kind | self.mode(), device

    def gen_mkfifo(self, worker):
        return self.new(worker), self.mode()

    def gen_bind(self, worker):
        return (self.new(worker),)

    def gen_readdir(self, worker):
        return self.based(worker, self.path("dddddfl", 0.97)), self.rng.choice([300, 1000, 32768])

    def gen_seekdir(self, worker):
        return self.path("d", 0.97), self.rng.random()

    def gen_getcwd(self, worker):
        return (self.based(worker, self.path("ddl", 0.97)),)

    def gen_fd_path(self, worker):
        return (self.slot(worker, "fd"),)

    # --- attributes ---

    def target(self, worker):
        return self.based(worker, self.path("ffddlo", 0.95))

    def gen_chmod(self, worker):
        path = self.target(worker)
        # Often enough the other users must get in.
        return path, self.mode() if self.chance(0.5) else 0o777

    def gen_fchmod(self, worker):
        return self.slot(worker, "fd"), self.mode()

    def owners(self, worker):
        """A user and a group.  The kernel does not tell chown(path, -1, -1) from its own taking
        away of setgid at a write, so a stranger is not refused it, as ext4 does."""
        uid, gid = self.rng.choice(UIDS), self.rng.choice(GIDS)
        if (uid, gid) == (-1, -1) and WHO[worker][0] != 0:
            return 1001, -1
        return uid, gid

    def gen_chown(self, worker):
        return self.target(worker), *self.owners(worker), self.chance(0.6)

    def gen_fchown(self, worker):
        return self.slot(worker, "fd"), *self.owners(worker)

    def gen_utimens(self, worker):
        return self.target(worker), self.times(), self.chance(0.7)

    def gen_futimens(self, worker):
        return self.slot(worker, "fd"), self.times()

    def gen_umask(self, worker):
        return (self.rng.choice([0, 0o022, 0o002, 0o077, 0o027]),)

    def xattr(self):
        return self.rng.choice(XATTRS if self.chance(0.95) else ODD_XATTRS)

    def xattr_size(self):
        choice = self.rng.random()
        return 0 if choice < 0.1 else 65537 if choice < 0.12 else self.rng.randrange(1, 300)

    def gen_setxattr(self, worker):
        flags = self.rng.choice([0, 0, 0, os.XATTR_CREATE, os.XATTR_REPLACE, 3])
        return (self.path("ffdlo", 0.95), self.xattr(), self.xattr_size(), self.next_seed(), flags,
                self.chance(0.8))

    def gen_fsetxattr(self, worker):
        flags = self.rng.choice([0, 0, os.XATTR_CREATE, os.XATTR_REPLACE])
        return (self.slot(worker, "fd"), self.xattr(), self.xattr_size(), self.next_seed(), flags)

    def gen_getxattr(self, worker):
        return self.path("ffdlo", 0.95), self.xattr(), self.rng.choice([0, 1, 50, 300, 65536, 65537])

    def gen_fgetxattr(self, worker):
        return self.slot(worker, "fd"), self.xattr()

    def gen_listxattr(self, worker):
        return self.path("ffdlo", 0.95), self.rng.choice([0, 1, 30, 1000, 65536, 65537])

    def gen_removexattr(self, worker):
        return self.path("ffdlo", 0.95), self.xattr(), self.chance(0.8)

    def gen_stat(self, worker):
        return (self.based(worker, self.path("fdl", 0.9)),)

    def gen_lstat(self, worker):
        return (self.based(worker, self.path("fdlo", 0.9)),)

    def gen_fstat(self, worker):
        return (self.slot(worker, "fdo"),)

    def gen_access(self, worker):
        return self.target(worker), self.rng.randrange(8), self.chance(0.5)

    def gen_statvfs(self, worker):
        return (self.target(worker),)
