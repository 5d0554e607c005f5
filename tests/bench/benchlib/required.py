# SPDX-License-Identifier: MIT
"""The ratios that are required of freyjafs, as data."""

from collections import namedtuple

from .suites import PARTS, find_group
from .works import DISK, USER_BUFFER

# Of 'work' at each number in 'at' the rate of 'ours' at 'step', over that of 'theirs'.  The numbers
# of 'at' are threads, or bytes of a call; 'ours' and 'theirs' are keys of contestants.
Need = namedtuple("Need", "what work step at ours theirs at_least")

OURS = "freyjafs"           # on the preferred transport
ROOM = "freyjafs preallocate"
KIB = 1024

REQUIRED = (
    Need("4 KiB create, io_uring, against a do-nothing FUSE on it", "creates", "create", (1, 4, 8),
         "freyjafs uring", "nullfs uring", 0.85),
    Need("4 KiB create, against ext4 itself", "creates", "create", (4, 8), OURS, "native", 1.2),
    Need("4 KiB create, classic, against a do-nothing FUSE on it", "creates", "create", (1, 4, 8),
         "freyjafs classic", "nullfs classic", 0.9),
    Need("4 KiB create, against passthrough_ll", "creates", "create", (1, 4, 8), OURS,
         "passthrough_ll", 8),
    Need("4 KiB create, against bindfs", "creates", "create", (1, 4, 8), OURS, "bindfs", 10),
    Need("create + fsync + close, against ext4", "fsync", "create-fsync", (1,), OURS, "native", 1),
    Need("create + fsync + close, against ext4", "fsync", "create-fsync", (8,), OURS, "native", 3),
    Need("create + fsync + close, preallocate=16M, against ext4", "fsync", "create-fsync", (1,),
         ROOM, "native", 1.5),
    Need("create + fsync + close, preallocate=16M, against ext4", "fsync", "create-fsync", (8,),
         ROOM, "native", 5),
    Need("temp + fsync + rename + fsync(dir), against ext4", "save", "save", (1,), OURS, "native",
         1),
    Need("temp + fsync + rename + fsync(dir), against ext4", "save", "save", (8,), OURS, "native",
         3),
    Need("temp + fsync + rename + fsync(dir), preallocate=16M, against ext4", "save", "save",
         (1,), ROOM, "native", 2),
    Need("temp + fsync + rename + fsync(dir), preallocate=16M, against ext4", "save", "save",
         (8,), ROOM, "native", 5),
    Need("temp + fsync + rename + fsync(dir) in one directory, against ext4", "save together",
         "save", (8,), OURS, "native", 0.8),
    Need("varmail-like, against ext4", "mail", "mail", (16,), OURS, "native", 3),
    Need("durable puts of 100 B, against RocksDB sync", f"put {DISK} 100", "put", (8,),
         "freyjafs 0 0", "rocksdb", 1.5),
    Need("durable puts of 100 B, preallocate=16M, against SQLite WAL FULL", f"put {DISK} 100",
         "put", (1,), ROOM, "sqlite", 1.2),
    Need("buffered puts of 100 B, against memcpy + CRC", f"put {USER_BUFFER} 100", "put", (1,),
         "freyjafs 1s 64K", "memcpy", 0.7),
    Need("buffered puts of 4 KiB, against memcpy + CRC", f"put {USER_BUFFER} 4096", "put", (1,),
         "freyjafs 1s 64K", "memcpy", 0.7),
    Need("warm read of 4 KiB files, against ext4", "warm files", "read warm", (1, 4), OURS,
         "native", 0.9),
    Need("warm stat, against ext4", "warm files", "stat warm", (1, 4), OURS, "native", 0.9),
    Need("cold sequential read, against passthrough_ll", "cold large read", "read cold",
         (128 * KIB,), OURS, "passthrough_ll", 1),
    Need("sequential write, against passthrough_ll", "large write", "write", (128 * KIB,), OURS,
         "passthrough_ll", 1.2),
    Need("sequential write, against passthrough_ll", "large write", "write", (4 * KIB,), OURS,
         "passthrough_ll", 1.5),
    Need("untar of a source tree, against ext4", "untar", "untar", (1,), OURS, "native", 0.6),
    Need("untar of a source tree, against bindfs", "untar", "untar", (1,), OURS, "bindfs", 6),
)


def our_key(key, transports):
    return f"{OURS} {transports[0]}" if key == OURS else key


def groups(bench, disk):
    """What must be measured, and nothing beside it."""
    wanted = {}
    for need in REQUIRED:
        for at in need.at:
            keys = wanted.setdefault((need.work, at), set())
            keys |= {our_key(need.ours, bench.targets.transports), need.theirs}
    for (work, at), keys in wanted.items():
        group = find_group(bench, disk, work, at)
        if group:
            group.keep_keys(keys)
            yield group


def verdicts(rows, transports):
    """For each need that was measured, once for each disk: (need, row, ratio).  What is against the
    disk itself is against ext4."""
    for need in REQUIRED:
        wanted = (PARTS.get(need.work, need.work), need.step, our_key(need.ours, transports))
        for row in rows:
            if ((row["work"], row["step"], row["key"]) == wanted
                    and row["at"] in need.at and need.theirs in row["ratios"]
                    and (need.theirs != "native" or row["disk"].startswith("ext4"))):
                yield need, row, row["ratios"][need.theirs]
