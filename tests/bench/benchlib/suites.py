# SPDX-License-Identifier: MIT
"""All groups there are, by the name of their work, and the suites that they make up."""

import os

from . import puts
from .bulk import Archive, Bulk
from .compaction import OPTIONS, Overwriting
from .groups import Group, WorkAt
from .machine import can_drop_caches, parse_size, say, size_text
from .startup import Check, ReadOnce, Startup, WithKeys
from .targets import native
from .works import (DISK, PAGE_CACHE, USER_BUFFER, ColdFiles, ColdLarge, ColdTree, FileBytes, Files, Large,
                    LargeSync, Mail, Tools)

CALLS = (4096, 128 << 10, 1 << 20)
MAIL_THREADS = 16
COLD_EACH = (100, 10000)    # files of a directory
CURVE_THREADS = (1, 2, 4, 8, 16)
# What measures no more than some of the steps of another work, and counts as it.
PARTS = {"creates": "files", "bulk tree": "bulk", "bulk files": "bulk", "warm files": "files", "large write": "large",
         "cold large read": "cold large", "untar": "tools"}
CURVE_SIZES = ("100", "4K", "64K", "1M", "16M", "256M", "1G")


def all_targets(bench, disk):
    return [*bench.targets.ceilings(), *bench.targets.ours(), *bench.targets.others(disk)]


def syncing_targets(bench, disk):
    return [*bench.targets.ours(), bench.targets.preallocating(), *bench.targets.others(disk)]


def remembering_targets(bench, disk):
    """Without the daemon that does nothing."""
    return [*bench.targets.ours(), *bench.targets.others(disk)]


def group_of(work, disk, what, axis, at, targets, task):
    return Group(work, disk, what, axis, at, [WorkAt(target, task) for target in targets])


# --- each takes the bench, the disk, and a number: of threads, or of bytes ---

def files(bench, disk, threads):
    return group_of("files", disk, f"{size_text(bench.args.file_size)} files", "threads", threads,
                    all_targets(bench, disk), Files(bench, threads, bench.args.steps))


def creates(bench, disk, threads):
    return group_of(PARTS["creates"], disk, f"{size_text(bench.args.file_size)} files", "threads", threads,
                    all_targets(bench, disk), Files(bench, threads, ["create"]))


def warm_files(bench, disk, threads):
    return group_of(PARTS["warm files"], disk, f"{size_text(bench.args.file_size)} files", "threads",
                    threads, all_targets(bench, disk),
                    Files(bench, threads, ["create", "stat", "read"], leave_out=["create"]))


def pinned(bench, disk, threads):
    """Where the client's threads are pinned, a reply wakes a thread on the CPU that it comes from."""
    what = f"{size_text(bench.args.file_size)} files, each client thread pinned to one CPU"
    return group_of("pinned", disk, what, "threads", threads,
                    [*bench.targets.ceilings(), *bench.targets.ours(), native(disk)],
                    Files(bench, threads, ["create"], "--pin"))


def cold_tree(bench, disk, each):
    files, size = bench.args.files, bench.args.file_size
    archive = Archive(os.path.join(bench.work, f"cold{each}.tar"), files, size, each)
    return group_of("cold tree", disk, f"{files} files of {size_text(size)} in directories",
                    "files each", each, remembering_targets(bench, disk),
                    ColdTree(archive.make, files))


def cold_files(bench, disk, threads):
    return group_of("cold files", disk, f"{size_text(bench.args.file_size)} files", "threads",
                    threads, remembering_targets(bench, disk), ColdFiles(bench, threads))


def fsync(bench, disk, threads):
    what = f"{size_text(bench.args.file_size)} files"
    group = group_of("fsync", disk, what, "threads", threads, syncing_targets(bench, disk),
                     Files(bench, threads, ["create-fsync"]))
    for transport in bench.targets.transports:
        target = bench.targets.freyjafs(transport, key=f"freyjafs {transport} interval 0",
                                        fsync_interval=0)
        target.label += ", no fsync(2)"
        group.contestants.append(WorkAt(target, DurableCreates(bench, threads)))
    return group


class DurableCreates(Files):
    """Each close(2) waits for the disk, as an fsync(2) would."""

    def __init__(self, bench, threads):
        super().__init__(bench, threads, ["create"], names={"create": "create-fsync"})

    def run(self, place, disk):
        return {step: dict(result, **{"class": DISK})
                for step, result in super().run(place, disk).items()}


def save(bench, disk, threads):
    what = f"{size_text(bench.args.file_size)} files: temporary, fsync, rename, fsync of the " \
           "directory"
    return group_of("save", disk, what, "threads", threads, syncing_targets(bench, disk),
                    Files(bench, threads, ["save"]))


def save_together(bench, disk, threads):
    what = f"{size_text(bench.args.file_size)} files, as save, all in one directory"
    return group_of("save together", disk, what, "threads", threads, syncing_targets(bench, disk),
                    Files(bench, threads, ["save"], "--together"))


def mail(bench, disk, threads):
    return group_of("mail", disk, "like varmail, 16 KiB", "threads", threads,
                    syncing_targets(bench, disk), Mail(bench, threads))


def large(bench, disk, call_bytes):
    what = f"a file of {size_text(bench.args.large_size)}"
    return group_of("large", disk, what, "call", call_bytes, all_targets(bench, disk),
                    Large(bench, call_bytes))


def large_write(bench, disk, call_bytes):
    what = f"a file of {size_text(bench.args.large_size)}"
    return group_of(PARTS["large write"], disk, what, "call", call_bytes, all_targets(bench, disk),
                    Large(bench, call_bytes, ["write"]))


def large_sync(bench, disk, call_bytes):
    what = f"a file of {size_text(bench.args.large_size)}"
    return group_of("large sync", disk, what, "call", call_bytes, syncing_targets(bench, disk),
                    LargeSync(bench, call_bytes))


def cold_large(bench, disk, call_bytes):
    what = f"a file of {size_text(bench.args.large_size)}"
    return group_of("cold large", disk, what, "call", call_bytes, remembering_targets(bench, disk),
                    ColdLarge(bench, call_bytes))


def cold_large_read(bench, disk, call_bytes):
    what = f"a file of {size_text(bench.args.large_size)}"
    return group_of(PARTS["cold large read"], disk, what, "call", call_bytes,
                    remembering_targets(bench, disk), ColdLarge(bench, call_bytes, ["read"]))


def tools(bench, disk, threads):
    return group_of("tools", disk, bench.tree.what, "threads", threads,
                    remembering_targets(bench, disk), Tools(bench.tree, Tools.steps_here()))


def untar(bench, disk, threads):
    return group_of(PARTS["untar"], disk, bench.tree.what, "threads", threads,
                    remembering_targets(bench, disk), Tools(bench.tree, ["untar"]))


def bulk(bench, disk, what, files, archive):
    ours = bench.targets.freyjafs()
    contestants = [Bulk(ours, archive, files, bench.program("freyjactl")), Bulk(ours, archive, files),
                   Bulk(native(disk), archive, files)]
    return Group("bulk", disk, what, "files", files, contestants)


def bulk_tree(bench, disk, _at):
    return bulk(bench, disk, bench.tree.what, bench.tree.files, lambda: bench.tree.tar)


def bulk_files(bench, disk, files):
    size = bench.args.bulk_size
    archive = Archive(os.path.join(bench.work, "bulk.tar"), files, size)
    return bulk(bench, disk, f"{size_text(size)} files", files, archive.make)


def startup(bench, disk, keys):
    contestants = [ReadOnce(bench, keys), Startup(bench, keys, True), Startup(bench, keys, False),
                   Check(bench, keys, "fsck.freyjafs", "-n"),
                   Check(bench, keys, "freyjactl", "verify")]
    what = f"a store of values of {size_text(bench.args.value_size)}"
    return Group("start", disk, what, "keys", keys, contestants)


def compaction(bench, disk, threads):
    contestants = [Overwriting(bench, mode, threads) for mode in OPTIONS]
    what = f"{bench.args.compaction_files} files of {size_text(bench.args.file_size)}"
    return Group("compaction", disk, what, "threads", threads, contestants)


def curve_threads(bench, disk, threads):
    return group_of("curve threads", disk, f"{size_text(bench.args.file_size)} files", "threads",
                    threads, all_targets(bench, disk),
                    Files(bench, threads, ["create", "stat", "read"]))


def curve_sizes(bench, disk, size):
    return group_of("curve sizes", disk, "one thread", "file size", size, all_targets(bench, disk),
                    FileBytes(bench, size, ["create", "read"]))


def curve_keys(bench, disk, keys):
    task = Files(bench, 1, ["create", "stat", "read", "unlink"])
    contestants = [WithKeys(bench, keys, target, task) for target in bench.targets.ours()]
    return Group("curve keys", disk, f"{size_text(bench.args.file_size)} files beside many keys",
                 "keys", keys, contestants)


WORKS = {
    "files": files, "creates": creates, "warm files": warm_files, "cold files": cold_files,
    "pinned": pinned, "cold tree": cold_tree,
    "fsync": fsync, "save": save, "save together": save_together, "mail": mail,
    "large": large, "large write": large_write, "large sync": large_sync,
    "cold large": cold_large, "cold large read": cold_large_read,
    "tools": tools, "untar": untar, "bulk tree": bulk_tree, "bulk files": bulk_files,
    "start": startup, "compaction": compaction,
    "curve threads": curve_threads, "curve sizes": curve_sizes, "curve keys": curve_keys,
}
COLD = ("cold files", "cold tree", "cold large", "cold large read")


def find_group(bench, disk, work, at):
    """The group of one work; None, and a line that says why, where it cannot be measured."""
    if work.startswith("put "):
        durability, size = work[len("put "):].rsplit(" ", 1)
        return puts.group(bench, disk, durability, int(size), at)
    if work in COLD and not can_drop_caches():
        say(f"skipped: {work} (only root can drop the kernel's caches)")
        return None
    if work == "compaction" and not (bench.targets.daemon_knows("compact_at")
                                     and bench.targets.daemon_knows("retain")):
        say("skipped: compaction (this freyjafs has none)")
        return None
    return WORKS[work](bench, disk, at)


# --- suites: (work, at) of each group, on the first disk or on one that others preceded ---

def writer_suite(args, first):
    durabilities = [USER_BUFFER, PAGE_CACHE, DISK] if first else [DISK]
    for size in args.sizes:
        for threads in args.threads:
            for durability in durabilities:
                yield f"put {durability} {size}", threads


def on_first_disk(work, values):
    """A suite, or a part of it; 'values' gives those of the axis."""
    def suite(args, first):
        for at in values(args) if first else ():
            yield work, at
    return suite


def sync_suite(args, _first):
    for threads in args.threads:
        yield "fsync", threads
        yield "save", threads
        if threads > 1:
            yield "save together", threads
    yield "mail", MAIL_THREADS
    yield "large sync", 128 << 10


def bulk_suite(args, first):
    if first:
        yield "bulk tree", 1
        yield "bulk files", args.bulk_files


def files_suite(args, first):
    for threads in args.threads if first else ():
        yield "files", threads
        yield "pinned", threads


def cold_suite(args, first):
    for threads in args.threads if first else ():
        yield "cold files", threads
    for each in COLD_EACH if first else ():
        yield "cold tree", each


def large_suite(_args, first):
    for call_bytes in CALLS if first else ():
        yield "large", call_bytes
        yield "cold large", call_bytes


def powers_of_ten(first, last):
    at = first
    while at <= last:
        yield at
        at *= 10


def curves_suite(args, first):
    if not first:
        return
    for threads in CURVE_THREADS:
        yield "curve threads", threads
    for text in CURVE_SIZES:
        if parse_size(text) <= args.large_size:
            yield "curve sizes", parse_size(text)
    for keys in powers_of_ten(10000, args.keys_max):
        yield "curve keys", keys


SUITES = {
    "writer": writer_suite,
    "files": files_suite,
    "cold": cold_suite,
    "sync": sync_suite,
    "large": large_suite,
    "tools": on_first_disk("tools", lambda args: [1]),
    "bulk": bulk_suite,
    "start": on_first_disk("start", lambda args: powers_of_ten(10000, args.keys_max)),
    "compaction": on_first_disk("compaction", lambda args: [4]),
    "curves": curves_suite,
}
# No part of a full run, which has enough to do: what docs/TUNING.md is based on.
INTERVALS = "intervals"


def groups(bench, disk, first):
    """Those that the command line asks for."""
    for name in bench.args.suites:
        if name == INTERVALS:
            for threads in bench.args.threads if first else ():
                yield from puts.interval_groups(bench, disk, threads)
            continue
        for work, at in SUITES[name](bench.args, first):
            group = find_group(bench, disk, work, at)
            if group:
                yield group
