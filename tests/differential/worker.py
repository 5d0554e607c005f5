# SPDX-License-Identifier: MIT
"""A process of the differential test: does each operation in both trees and compares all that can
be seen of it.  It runs only while the others wait, so the order of all operations is one.
"""
import os
import signal
import socket
import stat
import time
import traceback

import calls
import wire

# User, group, further groups, umask of each worker.
WHO = [(0, 0, [], 0o022), (1001, 1001, [2000], 0o022), (1002, 1002, [2000, 2001], 0o002),
       (0, 0, [2000], 0o077)]


def start(number):
    """Starts a worker; returns its pid and the socket to it."""
    ours, its = socket.socketpair()
    pid = os.fork()
    if pid:
        its.close()
        return pid, ours
    status = 1
    try:
        ours.close()
        for number_of in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number_of, signal.SIG_DFL)
        serve(number, its)
        status = 0
    except (EOFError, ConnectionError):
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def serve(number, link):
    """Does what comes over the socket until it is closed."""
    if os.getuid() == 0:
        uid, gid, groups, mask = WHO[number]
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, 0)  # see calls.drop_set_id()
        os.umask(mask)
    sides = []
    while True:
        verb, argument, fds = wire.receive(link)
        if verb == "roots":
            sides = [calls.Side(fd, of_mount) for fd, of_mount in zip(fds, (False, True))]
            wire.send(link, "ready")
        elif verb == "close":
            for side in sides:
                side.close_all()
                os.close(side.root_fd)
            sides = []
            os.chdir("/")
            wire.send(link, "closed")
        elif verb == "sync":
            wire.send(link, "synced", sync_all(sides))
        else:
            wire.send(link, "did", do_all(sides, argument))


def sync_all(sides):
    """Syncs every open file; returns what was wrong."""
    for side in sides:
        for number, slot in side.slots.items():
            if slot.kind != "o":
                result = side.run("fsync", (number,))
                if result is not None:
                    return f"fsync of slot {number}: {result}"
    return None


def do_all(sides, batch):
    """Does operations until two results differ.  Returns how many agreed, what differed, and what
    is open."""
    for i, operation in enumerate(batch):
        wrong = do(sides, operation[1], operation[2:])
        if wrong:
            return i, wrong, {}
    slots = {number: (slot.kind, slot.flags) for number, slot in sides[0].slots.items()}
    return len(batch), None, (slots, list(sides[0].maps))


def do(sides, name, arguments):
    """Does one operation in both trees.  Returns what differs, or None."""
    things = calls.watched(name, arguments, sides[0].slots)
    seen = []
    for side in sides:
        before = [side.look(thing) for thing in things]
        began_ns = time.time_ns()
        result = side.run(name, arguments)
        after = [side.look(thing) for thing in things]
        seen.append((result, before, after))
    (want, *want_looks), (got, *got_looks) = seen
    if want != got:
        return f"result: ext4 {want}, mount {got}"
    for i, thing in enumerate(things):
        wrong = compare_looks([looks[i] for looks in want_looks], [looks[i] for looks in got_looks],
                              began_ns)
        if wrong:
            return f"{thing!r} after it: {wrong}"
    return None


def compare_looks(want, got, began_ns):
    """Compares the stat of one thing before and after, in both trees.  In the mount a directory gets
    the time of the first commit of a file in it, and the kernel may hear of that with any later
    operation: this time is before "began_ns", when the operation began in the mount."""
    for i, when in enumerate(("before", "after")):
        pair = [calls.visible(look[i]) if look[i] else None for look in (want, got)]
        if pair[0] != pair[1]:
            return f"{when}: ext4 {pair[0]}, mount {pair[1]}"
    if not (want[0] and want[1]):
        return None
    changes = [what_changed(*look) for look in (want, got)]
    if stat.S_ISDIR(got[1].st_mode):
        changes[1] = {name for name in changes[1]
                      if name in changes[0] or name == "ino" or getattr(got[1], name) >= began_ns}
    if changes[0] != changes[1]:
        return f"changed: ext4 {changes[0]}, mount {changes[1]}"
    return None


def what_changed(before, after):
    """Which of inode number, mtime and ctime are others now."""
    if before.st_ino != after.st_ino:
        return {"ino"}
    if not (stat.S_ISREG(after.st_mode) or stat.S_ISDIR(after.st_mode)):
        return {}
    return {name for name in ("st_mtime_ns", "st_ctime_ns")
            if getattr(before, name) != getattr(after, name)}
