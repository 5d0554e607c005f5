# SPDX-License-Identifier: MIT
"""Making, linking, moving and removing names: who may, what becomes of what was there, link counts,
owners, and the times of all concerned."""
import itertools
import os
import socket
import stat
import subprocess

import lab
from lab import CALLERS, KINDS, OTHER, OWNER, closed, make, opened, remove, tell

STATES = ("none", "regular", "dir", "full", "link", "dirlink", "fifo", "char", "socket")
TEMPORARY = getattr(os, "O_TMPFILE", 0)


def targets():
    remove("target.file", "target.dir")
    make("regular", "target.file")
    make("dir", "target.dir")


def hold(path):
    """A descriptor of what is there, which it does not need to be able to read; None if nothing is."""
    try:
        return os.open(path, os.O_PATH | os.O_NOFOLLOW)
    except OSError:
        return None


def renames():
    """Everything over everything, in one directory and into another."""
    targets()
    places = {"one directory": ("from", "to"), "two": ("a/from", "b/to")}
    for (where, (old, new)), flags in itertools.product(places.items(),
                                                        (0, lab.NOREPLACE, lab.EXCHANGE)):
        for one, other in itertools.product(STATES, STATES):
            remove("a", "b", old, new)
            make("dir", "a")
            make("dir", "b")
            make(one, old)
            make(other, new)
            held = hold(new)
            dirs = {os.path.dirname(path) or "." for path in (old, new)}
            look = (old, new, *sorted(dirs)) + ((held,) if held is not None else ())
            times = (*sorted(dirs), new)
            call = os.rename if flags == 0 else lambda o, n: lab.renameat2(o, n, flags)
            ticks = times if flags == 0 or one in ("regular", "dir") else ()
            tell(f"rename {where} {flags} {one} {other}", call, old, new, look=look, times=ticks)
            closed(held)
    remove("a", "b", "from", "to")


def renames_odd():
    """Names of one file, itself, below itself, flags that nobody knows."""
    for flags in (0, 1, 2, 3, 6, 8, 1 << 20):
        for old, new in (("one", "one"), ("one", "two"), ("dir", "dir"), ("dir", "dir/sub"), ("dir", "dir/new"),
                         ("dir/sub", "dir"), ("dir", "dir/sub/new"), ("dir/.", "new"), ("dir/..", "new"),
                         ("one", "dir/."), ("one", "dir/.."), ("dir/", "new"), ("dir/", "new/"), ("one/", "new"),
                         ("one", "new/"), ("one", "dir/"), ("dir", "one/"), ("sub.link", "new"),
                         ("dir.link/", "new"), ("dir.link", "new"), ("dir/sub", "new"), ("dir", "sub.link/new")):
            remove("one", "two", "new", "dir", "sub.link", "dir.link")
            make("regular", "one")
            os.link("one", "two")
            make("dir", "dir")
            make("dir", "dir/sub")
            os.symlink("dir/sub", "sub.link")
            os.symlink("dir", "dir.link")
            call = os.rename if flags == 0 else lambda o, n: lab.renameat2(o, n, flags)
            tell(f"rename {flags} {old} {new}", call, old, new, look=("one", "two", "new", "dir", "dir.link", "."))
    remove("one", "two", "new", "dir", "sub.link", "dir.link")


def renamed_open():
    """What is renamed or renamed over stays what it is for who has it open."""
    for flags in (0, lab.EXCHANGE):
        for kind in ("regular", "dir"):
            make(kind, "from")
            make(kind, "to")
            fds = [os.open(name, os.O_RDONLY) for name in ("from", "to")]
            call = os.rename if flags == 0 else lambda o, n: lab.renameat2(o, n, flags)
            tell(f"{kind} {flags}", call, "from", "to", look=(*fds, "from", "to"), times=(*fds, "."))
            print([os.path.basename(os.readlink(f"/proc/self/fd/{fd}")) for fd in fds])
            for fd in fds:
                if kind == "regular":
                    print(os.pread(fd, 100, 0))
                    tell("chmod", os.fchmod, fd, 0o400, look=(fd, "to", "from"), times=(fd,))
                else:
                    tell("list", os.listdir, fd)
                    tell("create", lambda fd=fd: os.close(os.open("x", os.O_CREAT, dir_fd=fd)), look=(fd,))
                os.close(fd)
            remove("from", "to")
    for kind in KINDS:
        make(kind, "from")
        before = os.lstat("from").st_ino
        tell(f"{kind} moves", os.rename, "from", "to", look=("from", "to"), times=(".",))
        print(before == os.lstat("to").st_ino)
        remove("to")


def sticky():
    """Who may remove and rename in a directory with the sticky bit, and in one without."""
    owners = ((0, 0), (OWNER[0], OWNER[1]), (OTHER[0], OTHER[1]))
    for bits, of_dir, of_thing, kind in itertools.product((0o1777, 0o777, 0o1775), owners, owners,
                                                          ("regular", "dir", "fifo", "link")):
        label = f"{bits:o} dir of {of_dir[0]}, {kind} of {of_thing[0]}"
        for name in ("unlink", "rmdir", "rename", "rename out", "rename over", "exchange", "link"):
            remove("sticky", "out")
            make("dir", "sticky")
            make("dir", "out", 0o777)
            make(kind, "sticky/thing", 0o666, *of_thing)
            make(kind, "out/own", 0o666, *OWNER[:2])
            os.chown("sticky", *of_dir)
            os.chmod("sticky", bits)
            call = {"unlink": lambda: os.unlink("sticky/thing"), "rmdir": lambda: os.rmdir("sticky/thing"),
                    "rename": lambda: os.rename("sticky/thing", "sticky/other"),
                    "rename out": lambda: os.rename("sticky/thing", "out/thing"),
                    "rename over": lambda: os.rename("out/own", "sticky/thing"),
                    "exchange": lambda: lab.renameat2("out/own", "sticky/thing", lab.EXCHANGE),
                    "link": lambda: os.link("sticky/thing", "out/new", follow_symlinks=False)}[name]
            tell(f"{label} {name}", call, who=OWNER, look=("sticky", "out"))
    remove("sticky", "out")


def directories_moved():
    """A directory whose owner is another may not get another parent."""
    for mode, owner in itertools.product((0o777, 0o755, 0o1777), (OWNER[:2], OTHER[:2], (0, 0))):
        for kind in ("dir", "full", "regular"):
            for name in ("a/moved", "b/moved"):
                remove("a", "b")
                make("dir", "a", 0o777)
                make("dir", "b", 0o777)
                make(kind, "a/thing", 0o755, *owner)
                os.chmod("a/thing", mode)
                tell(f"{kind} {mode:o} of {owner[0]} to {name}", os.rename, "a/thing", name, who=OWNER,
                     look=("a", "b", "a/thing", name))
    remove("a", "b")


def links():
    """link(2): counts, times, and who may."""
    targets()
    for kind in KINDS:
        make(kind, "one")
        make("dir", "sub")
        tell(f"{kind}", os.link, "one", "sub/two", look=("one", "sub/two", "sub", "."), times=("one", "sub", "."),
             follow_symlinks=False)
        tell(f"{kind} again", os.link, "one", "sub/two", look=("one",), times=("one", "sub"), follow_symlinks=False)
        tell("third", os.link, "sub/two", "three", look=("one", "three"), times=("one",), follow_symlinks=False)
        tell("chmod", os.chmod, "three", 0o600, look=("one", "sub/two"))
        tell("unlink", os.unlink, "one", look=("one", "three"), times=("three", "."))
        tell("unlink", os.unlink, "sub/two", look=("three",), times=("three", "sub", "."))
        remove("one", "sub", "three")
    for (who, caller), kind, mode in itertools.product(CALLERS.items(), KINDS, (0o644, 0o666, 0o600, 0o4755)):
        make("dir", "open", 0o777)
        make("dir", "closed", 0o755)
        make(kind, "one", mode, OWNER[0], 65533)
        tell(f"{kind} {mode:o} by {who}", os.link, "one", "open/two", who=caller, look=("one", "open/two"),
             follow_symlinks=False)
        tell(f"{kind} {mode:o} by {who} to closed", os.link, "one", "closed/two", who=caller, look=("one", "closed"),
             follow_symlinks=False)
        remove("one", "open", "closed")


def removals():
    """unlink(2) and rmdir(2): counts and times of what is open still."""
    targets()
    for kind in KINDS + ("full", "dirlink", "dangling"):
        for name, call in (("unlink", os.unlink), ("rmdir", os.rmdir)):
            make("dir", "holder")
            make(kind, "holder/thing")
            held = hold("holder/thing")
            tell(f"{name} {kind}", call, "holder/thing", look=("holder/thing", "holder", held),
                 times=("holder", held))
            closed(held)
            remove("holder")
    make("dir", "empty")
    fd = os.open("empty", os.O_RDONLY)
    tell("rmdir", os.rmdir, "empty", look=(fd,), times=(fd, "."))
    for use, call in (("create", lambda: opened(f"/proc/self/fd/{fd}/x", os.O_CREAT)),
                      ("mkdir", lambda: os.mkdir("x", dir_fd=fd)), ("list", lambda: os.listdir(fd)),
                      ("up", lambda: lab.shown(os.stat("..", dir_fd=fd))),
                      ("link", lambda: os.link("target.file", "x", dst_dir_fd=fd)),
                      ("rename", lambda: os.rename("target.file", "x", dst_dir_fd=fd)),
                      ("symlink", lambda: os.symlink("y", "x", dir_fd=fd)), ("chmod", lambda: os.fchmod(fd, 0o700)),
                      ("utimens", lambda: os.utime(fd)), ("fsync", lambda: os.fsync(fd))):
        tell(f"in a removed directory {use}", call, look=(fd,))
    os.close(fd)
    fd = os.open("file", os.O_RDWR | os.O_CREAT)
    os.unlink("file")
    for use, call in (("write", lambda: os.write(fd, b"text")), ("read", lambda: os.pread(fd, 10, 0)),
                      ("truncate", lambda: os.ftruncate(fd, 100)), ("chmod", lambda: os.fchmod(fd, 0o601)),
                      ("chown", lambda: os.fchown(fd, 1, 2)), ("utimens", lambda: os.utime(fd, ns=(10**18, 10**18))),
                      ("link", lambda: lab.link(f"/proc/self/fd/{fd}", "again")),
                      ("reopen", lambda: opened(f"/proc/self/fd/{fd}", os.O_RDWR)),
                      ("setxattr", lambda: os.setxattr(fd, "user.a", b"b"))):
        tell(f"a removed file {use}", call, look=(fd, "again"), times=(fd, "."))
    os.close(fd)
    deep = "deep"
    for number in range(5):
        make("dir", deep)
        tell(f"depth {number}", lambda: None, look=("deep", os.path.dirname(deep) or ".", deep))
        deep += "/x"
    remove("deep")


def mount_points():
    """What is mounted on stays."""
    for kind in ("regular", "dir"):
        make(kind, "point")
        make(kind, "mounted")
        make(kind, "new")
        subprocess.run(["mount", "--bind", "mounted", "point"], check=True)
        try:
            for use, call in (("unlink", lambda: os.unlink("point")), ("rmdir", lambda: os.rmdir("point")),
                              ("rename", lambda: os.rename("point", "other")),
                              ("rename over", lambda: os.rename("new", "point")),
                              ("exchange", lambda: lab.renameat2("new", "point", lab.EXCHANGE)),
                              ("link", lambda: os.link("point", "other")),
                              ("link out", lambda: os.link("point/.." if kind == "dir" else "point", "other"))):
                tell(f"mount point {kind} {use}", call, look=("point", "new", "."), times=("point", "."))
        finally:
            subprocess.run(["umount", "point"], check=True)
        remove("point", "mounted", "new")


def made():
    """New things: mode, umask, owner, group of the directory; by whom, in a directory of which mode."""
    creators = {
        "open": lambda mode: opened("in/new", os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode),
        "mkdir": lambda mode: os.mkdir("in/new", mode),
        "mkfifo": lambda mode: os.mkfifo("in/new", mode),
        "mknod": lambda mode: os.mknod("in/new", stat.S_IFREG | mode),
        "sock": lambda mode: os.mknod("in/new", stat.S_IFSOCK | mode),
        "char": lambda mode: os.mknod("in/new", stat.S_IFCHR | mode, os.makedev(300, 70000)),
        "symlink": lambda mode: os.symlink("x", "in/new"),
        "bind": lambda mode: bind("in/new"),
    }
    for bits, gid, (who, caller) in itertools.product((0o777, 0o2777, 0o1777, 0o3777, 0o755, 0o2775),
                                                      (0, 65533), CALLERS.items()):
        remove("in")
        make("dir", "in")
        os.chown("in", 0, gid)
        os.chmod("in", bits)
        for (use, call), mode, mask in itertools.product(creators.items(), (0o644, 0o2755, 0o7777, 0o2745, 0),
                                                         (0, 0o027)):
            if use in ("symlink", "bind") and mode != 0o644:
                continue
            os.umask(mask)
            tell(f"{bits:o} {gid} {who} {use} {mode:o} {mask:o}", call, mode, who=caller, look=("in/new",))
            remove("in/new")
    os.umask(0)
    for use, call in creators.items():
        remove("in")
        make("dir", "in", 0o777)
        for who, caller in CALLERS.items():
            tell(f"{use} by {who}", call, 0o640, who=caller, look=("in", "in/new"), times=("in", "in/new"))
        remove("in/new")
        tell(f"times of {use}", lambda c=call: fresh_times(c))
    remove("in")


def bind(path):
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(path)


def fresh_times(call):
    """Says whether the new thing and its directory have times from now."""
    before = os.stat("in")
    lab.time.sleep(lab.TICK_SECONDS)
    call(0o640)
    parent, new = os.stat("in"), os.lstat("in/new")
    return (before.st_mtime_ns < parent.st_mtime_ns, before.st_ctime_ns < parent.st_ctime_ns,
            all(before.st_mtime_ns < time for time in (new.st_atime_ns, new.st_mtime_ns, new.st_ctime_ns)))


def unnamed():
    """O_TMPFILE: a file without a name, which may get one."""
    make("dir", "in", 0o777)
    make("regular", "file")
    for flags in (os.O_RDWR, os.O_WRONLY, os.O_RDONLY, os.O_RDWR | os.O_EXCL, os.O_RDWR | os.O_CREAT):
        for where in ("in", "file", "not.there", "in/not.there", ""):
            tell(f"{flags:o} in {where}", lambda: opened(where, flags | TEMPORARY, 0o640), times=("in",), look=("in",))
    for (who, caller), bits in itertools.product(CALLERS.items(), (0o777, 0o2777, 0o755, 0o1777)):
        os.chown("in", 0, 65533)
        os.chmod("in", bits)
        fd = lab.outcome(lambda: os.open("in", os.O_RDWR | TEMPORARY, 0o640), who=caller)
        if lab.failed(fd):
            print(f"{who} {bits:o}: {fd}")
            continue
        tell(f"{who} {bits:o}", os.write, fd, b"without a name", look=(fd, "in"), times=(fd, "in"))
        tell("link", lab.link, f"/proc/self/fd/{fd}", "in/named", look=(fd, "in/named", "in"), times=(fd, "in"))
        tell("read", lambda: os.pread(fd, 100, 0))
        tell("unlink", os.unlink, "in/named", look=(fd, "in"))
        tell("link again", lab.link, f"/proc/self/fd/{fd}", "in/named", look=(fd, "in"))
        os.close(fd)
    fd = lab.outcome(lambda: os.open("in", os.O_RDWR | os.O_EXCL | TEMPORARY, 0o640))
    if not lab.failed(fd):
        tell("exclusive", lab.link, f"/proc/self/fd/{fd}", "in/named", look=(fd, "in"))
        os.close(fd)
    remove("in", "file")


SECTIONS = (renames, renames_odd, renamed_open, sticky, directories_moved, links, removals, mount_points,
            made, unnamed)
