# SPDX-License-Identifier: MIT
"""The ratios that are required of freyjafs, as data."""

from collections import namedtuple

from .suites import PARTS, find_group
from .targets import PEERS
from .works import DISK, TREE_FILES, USER_BUFFER

# Of 'work' at each number in 'at' the rate of 'ours' at 'step', over that of 'theirs'.  The numbers
# of 'at' are threads, bytes of a call, or files; 'ours' and 'theirs' are keys of contestants.
# 'limit' is what the hardware and the kernel leave of the rate.
Need = namedtuple("Need", "what work step at ours theirs at_least limit")

OURS = "freyjafs"           # on the preferred transport
ROOM = "freyjafs preallocate"
KIB = 1024

REQUESTS = "four requests a file that the client waits for, each a switch to the daemon and back"
SYNC = "the disk's own sync; beyond one thread how many callers share one"
STREAM = "the disk's sequential rate"
WARM = "the kernel's own caches"
COLD = "one LOOKUP and one OPEN a file, and the disk's sequential rate"
FUSE_PEERS = [name for name in PEERS if name != "fuse-overlayfs"]

REQUIRED = (
    Need("create + fsync + close, against ext4", "fsync", "create-fsync", (1,), OURS, "native", 1.7,
         SYNC),
    Need("create + fsync + close, against ext4", "fsync", "create-fsync", (8,), OURS, "native", 2.5,
         SYNC),
    Need("temp + fsync + rename + fsync(dir), against ext4", "save", "save", (1,), OURS, "native",
         2, SYNC),
    Need("temp + fsync + rename + fsync(dir), own directories, against ext4", "save", "save", (8,),
         OURS, "native", 1.8, SYNC),
    Need("temp + fsync + rename + fsync(dir), one directory, against ext4", "save together", "save",
         (8,), OURS, "native", 0.8,
         "the kernel holds the directory's lock while its fsync waits for the disk"),
    Need("varmail-like, against ext4", "mail", "mail", (16,), OURS, "native", 1.5, SYNC),
    Need("import of a source tree, against tar -x on ext4", "bulk tree", "import", (TREE_FILES,),
         "freyjactl", "native", 4, STREAM),
    Need("import of a source tree, against tar -x on our mount", "bulk tree", "import",
         (TREE_FILES,), "freyjactl", "freyjafs uring", 20, STREAM),
    Need("export of that tree, warm, against tar -c on ext4", "bulk tree", "export warm",
         (TREE_FILES,), "freyjactl", "native", 2, "copies of the bytes through a pipe"),
    Need("cold read of 4 KiB files, against ext4", "cold files", "read cold", (1,), OURS, "native",
         3, COLD),
    Need("cold stat by name, against ext4", "cold files", "stat cold", (1,), OURS, "native", 1,
         "one LOOKUP a file"),
    Need("cold list, against ext4", "cold files", "readdir cold", (1,), OURS, "native", 2,
         "copies of the names"),
    Need("cold grep -r, against ext4", "cold tree", "grep -r cold", (100,), OURS, "native", 3, COLD),
    Need("cold find -size, against ext4", "cold tree", "find -size cold", (100,), OURS, "native", 1,
         "the attributes of each name, 2 us in the kernel"),
    Need("4 KiB create, io_uring, client pinned, against a do-nothing FUSE on it", "pinned",
         "create", (1,), "freyjafs uring", "nullfs uring", 0.95, REQUESTS),
    Need("4 KiB create, io_uring, client pinned, against a do-nothing FUSE on it", "pinned",
         "create", (4, 8), "freyjafs uring", "nullfs uring", 0.85, REQUESTS),
    Need("4 KiB create, io_uring, against a do-nothing FUSE on it", "creates", "create", (1, 4, 8),
         "freyjafs uring", "nullfs uring", 0.85, REQUESTS),
    Need("4 KiB create, classic, against a do-nothing FUSE on it", "creates", "create", (1, 4, 8),
         "freyjafs classic", "nullfs classic", 0.9, REQUESTS),
    *(Need(f"4 KiB create, against {peer}", "creates", "create", (4,), OURS, peer, 2, REQUESTS)
      for peer in FUSE_PEERS),
    Need("durable puts of 100 B, against RocksDB sync", f"put {DISK} 100", "put", (8,),
         "freyjafs 0 0", "rocksdb", 1.5, SYNC),
    Need("durable puts of 100 B, preallocate=16M, against SQLite WAL FULL", f"put {DISK} 100",
         "put", (1,), ROOM, "sqlite", 1.2, SYNC),
    Need("buffered puts of 100 B, against memcpy + CRC", f"put {USER_BUFFER} 100", "put", (1,),
         "freyjafs 1s 64K", "memcpy", 0.7, "a copy and a CRC of each byte"),
    Need("buffered puts of 4 KiB, against memcpy + CRC", f"put {USER_BUFFER} 4096", "put", (1,),
         "freyjafs 1s 64K", "memcpy", 0.7, "a copy and a CRC of each byte"),
    Need("warm stat, against ext4", "warm files", "stat warm", (1, 4), OURS, "native", 0.9, WARM),
    Need("cold sequential read, against passthrough_ll", "cold large read", "read cold",
         (128 * KIB,), OURS, "passthrough_ll", 1, STREAM),
    Need("fsck of 10^6 values of 1000 B, cold, against cat of the log", "start", "check, cold",
         (10**6,), "fsck.freyjafs", "cat", 0.7,
         "half a microsecond a key, and the read of each byte"),
    Need("verify of 10^6 values of 1000 B, cold, against cat of the log", "start", "check, cold",
         (10**6,), "freyjactl", "cat", 0.7,
         "half a microsecond a key, and the read of each byte"),
    Need("sequential write, against passthrough_ll", "large write", "write", (128 * KIB,), OURS,
         "passthrough_ll", 1.2, "a copy of each byte into the page cache"),
    Need("sequential write, against passthrough_ll", "large write", "write", (4 * KIB,), OURS,
         "passthrough_ll", 1.5, "one request a call"),
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
