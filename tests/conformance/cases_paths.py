# SPDX-License-Identifier: MIT
"""What every call says to a path: that leads nowhere, that is too long, that may not be searched, that
ends in something of another type."""
import ctypes
import itertools
import os
import stat

import lab
from lab import LIBC, OTHER, OWNER, PLACES, ROOT, checked, make, opened, remove, tell

NOW = (1_000_000_000_123_456_789, 1_100_000_000_987_654_321)

# Calls that take a path to something.
USES = {
    "stat": lambda p: lab.shown(os.stat(p)),
    "lstat": lambda p: lab.shown(os.lstat(p)),
    "chmod": lambda p: os.chmod(p, 0o640),
    "chown": lambda p: os.chown(p, 65531, 65532),
    "lchown": lambda p: os.lchown(p, 65531, 65532),
    "utimens": lambda p: os.utime(p, ns=NOW),
    "lutimens": lambda p: os.utime(p, ns=NOW, follow_symlinks=False),
    "truncate": lambda p: os.truncate(p, 5),
    "read": lambda p: opened(p, os.O_RDONLY),
    "write": lambda p: opened(p, os.O_WRONLY),
    "create": lambda p: opened(p, os.O_WRONLY | os.O_CREAT, 0o640),
    "exclusive": lambda p: opened(p, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640),
    "empty": lambda p: opened(p, os.O_RDWR | os.O_TRUNC),
    "nofollow": lambda p: opened(p, os.O_RDONLY | os.O_NOFOLLOW),
    "opendir": lambda p: opened(p, os.O_RDONLY | os.O_DIRECTORY),
    "path": lambda p: opened(p, os.O_PATH),
    "listdir": lambda p: sorted(os.listdir(p)),
    "readlink": os.readlink,
    "access": lambda p: checked(LIBC.faccessat(lab.AT_FDCWD, os.fsencode(p), os.W_OK, 0x200)),
    "chdir": lambda p: os.close(os.open(p + "/.", os.O_PATH)),
    "setxattr": lambda p: os.setxattr(p, "user.a", b"v"),
    "getxattr": lambda p: os.getxattr(p, "user.a"),
    "listxattr": lambda p: len(os.listxattr(p)),
    "removexattr": lambda p: os.removexattr(p, "user.a"),
    "statvfs": lambda p: os.statvfs(p).f_namemax,
    "unlink": os.unlink,
    "rmdir": os.rmdir,
    "mkdir": lambda p: os.mkdir(p, 0o750),
    "mkfifo": lambda p: os.mkfifo(p, 0o640),
    "mknod": lambda p: os.mknod(p, stat.S_IFCHR | 0o640, os.makedev(1, 3)),
    "mkreg": lambda p: os.mknod(p, stat.S_IFREG | 0o640),
    "symlink": lambda p: os.symlink("target.file", p),
    "link from": lambda p: os.link(p, "new.name", follow_symlinks=False),
    "link follow": lambda p: lab.link(p, "new.name"),
    "link to": lambda p: os.link("old.name", p),
    "rename from": lambda p: os.rename(p, "new.name"),
    "rename to": lambda p: os.rename("old.name", p),
    "rename dir to": lambda p: os.rename("old.dir", p),
    "exchange": lambda p: lab.renameat2("old.name", p, lab.EXCHANGE),
    "noreplace": lambda p: lab.renameat2("old.name", p, lab.NOREPLACE),
}
AROUND = ("old.name", "old.dir", "new.name", "target.file", "target.dir")


def surroundings():
    """What the calls above need beside their path, as new."""
    remove(*AROUND)
    make("regular", "old.name", 0o666)
    make("dir", "old.dir", 0o777)
    make("regular", "target.file", 0o666)
    make("dir", "target.dir", 0o777)


def each_use(label, path, build, who=ROOT, look=(), times=()):
    """Every call on "path", each on what build() made.  A call that fails has changed nothing."""
    surroundings()
    build()
    for use, call in USES.items():
        if not lab.failed(tell(f"{label} {use}", call, path, who=who, look=look, times=times)):
            surroundings()
            build()


def types():
    """The path is of each type; what becomes of it, and which times change."""
    for kind in PLACES:
        def build(kind=kind):
            remove("thing")
            make(kind, "thing", 0o666)
        each_use(f"{kind}", "thing", build, look=("thing", "new.name", "target.file"),
                 times=("thing", ".", "target.file"))
        remove("thing")
    for kind, end in itertools.product(PLACES, ("/", "/.", "/..", "/x", "//", "/./x")):
        def build(kind=kind):
            remove("thing")
            make(kind, "thing", 0o666)
        each_use(f"{kind}{end}", "thing" + end, build)
        remove("thing")


def no_build():
    remove("thing")


def lengths():
    """255 bytes are a name and 4095 a path."""
    for size in (255, 256):
        for path in ("n" * size, "target.dir/" + "n" * size, "n" * size + "/x"):
            def build(path=path):
                remove(path.split("/")[0] if not path.startswith("target") else path)
            each_use(f"name of {size} in {len(path)}", path, build)
            remove(path.split("/")[0] if not path.startswith("target") else path)
    for size in (1022, 1023, 1024, 4094, 4095, 4096, 4097):
        path = "./" * ((size - 5) // 2) + "/" * ((size - 5) % 2) + "thing"
        for kind in ("none", "regular", "dir"):
            def build(kind=kind):
                remove("thing")
                make(kind, "thing")
            each_use(f"path of {len(path)} to {kind}", path, build)
            remove("thing")
    for size in (0, 1, 4095, 4096):
        remove("thing")
        tell(f"symlink to {size}", os.symlink, "t" * size, "thing", look=("thing",))
    remove("thing")


def nowhere():
    for path in ("", ".", "..", "/", "not.there/x", "dangling/x", "loop/x", "loop.a", "loop.a/x",
                 "chain.39", "chain.40", "chain.41"):
        def build():
            remove("dangling", "loop", "loop.a", "loop.b")
            os.symlink("not.there", "dangling")
            make("loop", "loop")
            os.symlink("loop.b", "loop.a")
            os.symlink("loop.a", "loop.b")
            remove(*(f"chain.{number}" for number in range(42)))
            os.symlink("target.file", "chain.0")
            for number in range(1, 42):
                os.symlink(f"chain.{number - 1}", f"chain.{number}")
        if path == "/":  # some would work there
            continue
        each_use(f"{path!r}", path, build)


def searches():
    """A directory on the way with each mode, owned by each."""
    for mode, (uid, gid) in itertools.product((0, 1, 2, 3, 4, 5, 6, 7), ((65534, 0), (0, 65533), (0, 0))):
        bits = mode << (6 if uid else 3 if gid else 0)

        def build(bits=bits, uid=uid, gid=gid):
            remove("way")
            make("dir", "way", 0o777)
            make("regular", "way/thing", 0o666, uid, gid)
            os.chown("way", uid, gid)
            os.chmod("way", bits)
            os.chmod("old.name", 0o666)
        os.chmod(".", 0o777)
        for path in ("way/thing", "way/new"):
            each_use(f"{bits:04o} {uid}:{gid} {path}", path, build, who=OWNER, look=(path,))
    remove("way")


def bad_addresses():
    """A pointer to nowhere."""
    bad, good = ctypes.c_void_p(1), ctypes.c_char_p(b"target.file")
    fd = os.open("target.file", os.O_RDWR | os.O_CREAT)
    cases = [
        ("chmod", bad, 0o644), ("chown", bad, 0, 0), ("lchown", bad, 0, 0), ("truncate", bad, 5),
        ("open", bad, 0), ("unlink", bad), ("rmdir", bad), ("mkdir", bad, 0o755), ("mkfifo", bad, 0o644),
        ("mknod", bad, 0o100644, 0), ("symlink", bad, good), ("symlink", good, bad), ("link", bad, good),
        ("link", good, bad), ("rename", bad, good), ("rename", good, bad), ("access", bad, 0),
        ("readlink", bad, bad, 10), ("utimensat", lab.AT_FDCWD, bad, None, 0),
        ("utimensat", lab.AT_FDCWD, good, bad, 0), ("setxattr", good, b"user.a", bad, 5, 0),
        ("getxattr", good, bad, None, 0), ("listxattr", bad, None, 0), ("pread", fd, bad, 5, 0),
        ("pwrite", fd, bad, 5, 0), ("read", fd, bad, 5), ("write", fd, bad, 5), ("chdir", bad),
        ("statfs", bad, bad), ("statfs", good, bad), ("getdents64", fd, bad, 100),
    ]
    for number, (name, *arguments) in enumerate(cases):
        tell(f"bad address {number} {name}", lambda n=name, a=arguments: checked(getattr(LIBC, n)(*a)))
    os.close(fd)


def not_permitted():
    """What needs root, or the owner."""
    for use in ("mknod", "chown", "lchown"):
        for who, caller in (("owner", OWNER), ("other", OTHER)):
            surroundings()
            remove("thing")
            if use != "mknod":
                make("regular", "thing", 0o666, 65534, 65534)
            tell(f"{use} by {who}", USES[use], "thing", who=caller, look=("thing",), times=("thing", "."))
    remove("thing")


def read_only():
    """All calls on what is there already, where nothing may be written.  Only by name."""
    for kind in PLACES:
        for who, caller in lab.CALLERS.items():
            for use, call in USES.items():
                tell(f"{kind} {use} by {who}", call, f"things/{kind}", who=caller, look=(f"things/{kind}",))


def read_only_things():
    """What that needs."""
    surroundings()
    os.mkdir("things")
    for kind in PLACES:
        make(kind, f"things/{kind}", 0o666)
    os.chdir("things")
    surroundings()


SECTIONS = (types, lengths, nowhere, searches, bad_addresses, not_permitted)
