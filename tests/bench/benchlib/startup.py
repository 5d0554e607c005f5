# SPDX-License-Identifier: MIT
"""Opening a store of many keys: how long it takes, how much memory they need, and how fast it is
with them."""

import glob
import os
import time

from .groups import Contestant
from .machine import call, can_drop_caches, drop_caches
from .targets import Place
from .works import NOTHING

KEYS_OF_A_DIRECTORY = 1000


def make_store(bench, folder, keys):
    call(bench.program("startbench"), "make", folder, str(keys),
         str(max(1, keys // KEYS_OF_A_DIRECTORY)), str(bench.args.value_size))


class Startup(Contestant):
    """From the start of the daemon until the mount can be used, each time on a store of its own."""

    def __init__(self, bench, keys, hints):
        super().__init__("hints" if hints else "no hints",
                         f"freyjafs, {'with' if hints else 'without'} hints", "ours")
        self.bench, self.keys, self.hints = bench, keys, hints

    def measure(self, disk, directory):
        place = Place(self.bench.targets.freyjafs(), directory)
        with place:
            empty_bytes = place.resident_bytes()
        make_store(self.bench, place.data, self.keys)
        results = {"start, warm": self.start(place, empty_bytes)}
        if can_drop_caches():
            drop_caches()
            results["start, cold"] = self.start(place, empty_bytes)
        return results

    def start(self, place, empty_bytes):
        if not self.hints:
            for path in glob.glob(os.path.join(glob.escape(place.data), "*.hint")):
                os.unlink(path)
        with place:
            found = place.status("files")
            if found != self.keys:
                raise SystemExit(f"run: {found} keys were found, not {self.keys}")
            if (place.status("recovered_from_hints") > 0) != self.hints:
                raise SystemExit(f"run: {self.label}: hints were " +
                                 ("not used" if self.hints else "used"))
            memory = (place.resident_bytes() - empty_bytes) / self.keys
        return {"rate": self.keys / place.mount_seconds, "unit": "keys/s", "class": NOTHING,
                "beside": {"seconds": place.mount_seconds, "bytes of memory a key": memory}}


class ReadOnce(Contestant):
    """What nobody who reads the log can do without."""

    def __init__(self, bench, keys):
        super().__init__("cat", "cat of the log", "ceiling")
        self.bench, self.keys = bench, keys

    def measure(self, disk, directory):
        make_store(self.bench, directory, self.keys)
        results = {"start, warm": self.cat(directory)}
        if can_drop_caches():
            drop_caches()
            results["start, cold"] = results["check, cold"] = self.cat(directory)
        return results

    def cat(self, directory):
        started = time.monotonic()
        call("sh", "-c", 'cat "$1"/*.data >/dev/null', "sh", directory)
        seconds = time.monotonic() - started
        return {"rate": self.keys / seconds, "unit": "keys/s", "class": NOTHING,
                "beside": {"seconds": seconds, "bytes of memory a key": 0}}


class Check(Contestant):
    """Reading a whole store, all its CRCs and its tree."""

    def __init__(self, bench, keys, program, *args):
        super().__init__(program, " ".join((program, *args)), "ours")
        self.bench, self.keys = bench, keys
        self.argv = [bench.program(program), *args]

    def measure(self, disk, directory):
        if not can_drop_caches():
            return {}
        make_store(self.bench, directory, self.keys)
        drop_caches()
        started = time.monotonic()
        call(*self.argv, directory)
        seconds = time.monotonic() - started
        return {"check, cold": {"rate": self.keys / seconds, "unit": "keys/s", "class": NOTHING,
                                "beside": {"seconds": seconds, "bytes of memory a key": 0}}}


class WithKeys(Contestant):
    """Some work on a mount of a store that has many keys already."""

    def __init__(self, bench, keys, target, work):
        super().__init__(target.key, target.label, target.role)
        self.bench, self.keys, self.target, self.work = bench, keys, target, work

    def measure(self, disk, directory):
        place = Place(self.target, directory)
        make_store(self.bench, place.data, self.keys)
        with place:
            return self.work.run(place, disk)
