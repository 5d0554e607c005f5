# SPDX-License-Identifier: MIT
"""Puts into the log writer as a library, beside other logs."""

import json

from .groups import Contestant, Group
from .machine import call, size_text
from .works import DISK, PAGE_CACHE, USER_BUFFER

INTERVAL_RUN_S = 3.5        # some syncs at an interval of a second
INTERVALS = {"never": "never", "10000": "10s", "1000": "1s", "100": "100ms", "10": "10ms"}


class Puts(Contestant):
    def __init__(self, bench, key, label, role, durability, engine, *options, seconds=None):
        super().__init__(key, label, role)
        self.durability = durability
        self.argv = [bench.program("writerbench"), f"--engine={engine}", *options,
                     f"--seconds={seconds or bench.args.seconds}"]

    def measure(self, disk, directory):
        result = json.loads(call(*self.argv, f"--bytes-max={disk.bytes_max()}", directory))
        if result["class"] != self.durability:
            raise SystemExit(f"run: {self.label}: class {result['class']}")
        return {"put": dict(result, unit="puts/s")}


def ours(intervals, sizes, **more):
    """Rows of the log writer, as (key, label, role, engine, options...)."""
    for interval in intervals:
        for size in sizes:
            text = {"1000": "1s"}.get(interval, interval)
            yield (f"freyjafs {text} {size}", f"freyjafs fsync_interval={text} buffer_size={size}",
                   "ours", "freyjafs", f"--interval={interval}", f"--buffer={size}",
                   *more.get("options", ()))


def buffered():
    yield "memcpy", "memcpy + CRC-32 + write(2)", "ceiling", "ceiling-buffer"
    yield from ours(("1000", "never"), ("64K", "1M"))


def in_page_cache():
    yield "writev", "one writev(2) a record", "ceiling", "ceiling-writev"
    yield from ours(("1000", "never"), ("0",))
    yield ("store", "freyjafs store fsync_interval=1s buffer_size=0", "ours", "freyjafs-store",
           "--interval=1000", "--buffer=0")
    yield "rocksdb", "RocksDB, WAL", "peer", "rocksdb"
    yield "lmdb", "LMDB, NOSYNC", "peer", "lmdb"
    yield "sqlite", "SQLite, WAL NORMAL", "peer", "sqlite"


def durable():
    yield ("writev", "writev(2) + fdatasync(2), mutex", "ceiling", "ceiling-fdatasync")
    yield ("batch", "one record of each thread in a fdatasync(2)", "ceiling", "ceiling-batch")
    yield from ours(("0",), ("0", "64K", "1M"))
    yield ("freyjafs preallocate", "freyjafs fsync_interval=0 preallocate=16M", "ours", "freyjafs",
           "--interval=0", "--preallocate=16M")
    yield ("store", "freyjafs store fsync_interval=0 buffer_size=0", "ours", "freyjafs-store",
           "--interval=0", "--buffer=0")
    yield "rocksdb", "RocksDB, WAL, sync", "peer", "rocksdb", "--durable"
    yield "lmdb", "LMDB", "peer", "lmdb", "--durable"
    yield "sqlite", "SQLite, WAL FULL", "peer", "sqlite", "--durable"


CONTESTANTS = {USER_BUFFER: buffered, PAGE_CACHE: in_page_cache, DISK: durable}


def group(bench, disk, durability, size, threads):
    engines = bench.engines()
    contestants = [
        Puts(bench, key, label, role, durability, engine, *options, f"--value={size}",
             f"--threads={threads}")
        for key, label, role, engine, *options in CONTESTANTS[durability]() if engine in engines]
    return Group(f"put {durability} {size}", disk, size_text(size), "threads", threads, contestants)


def interval_groups(bench, disk, threads):
    """What an fsync_interval costs, compared with none."""
    for size, buffer, durability in ((100, "64K", USER_BUFFER), (4096, "0", PAGE_CACHE)):
        contestants = [
            Puts(bench, f"interval {text}", f"freyjafs fsync_interval={text} buffer_size={buffer}",
                 "ceiling" if interval == "never" else "ours", durability, "freyjafs",
                 f"--interval={interval}", f"--buffer={buffer}", f"--value={size}",
                 f"--threads={threads}", seconds=INTERVAL_RUN_S)
            for interval, text in INTERVALS.items()]
        yield Group(f"interval {size}", disk, f"{size_text(size)}, an interval's cost", "threads",
                    threads, contestants)
