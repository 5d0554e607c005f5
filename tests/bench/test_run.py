#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What tests/bench/run makes of what it measures: turns, ratios, tables; and that each required
ratio is one of things that exist.  Nothing is measured here."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import types
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

# pylint: disable=wrong-import-position
from benchlib import puts, report, required, suites
from benchlib.groups import Contestant, Group
from benchlib.machine import Disk
from benchlib.targets import PEERS, Target, Targets
from benchlib.works import Tree


class Known(Contestant):
    """Rates that are known before."""

    def __init__(self, key, role, rates, order, transport=None):
        super().__init__(key, f"label of {key}", role)
        self.rates, self.order, self.transport = list(rates), order, transport

    def measure(self, disk, directory):
        assert os.listdir(directory) == []
        self.order.append(self.key)
        return {"create": {"rate": self.rates.pop(0), "unit": "files/s", "class": "page cache",
                           "beside": {"seconds": 2}}}


class Turns(unittest.TestCase):
    def setUp(self):
        self.order = []
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        contestants = [
            Known("nullfs uring", "ceiling", [10, 100, 1000], self.order, "uring"),
            Known("nullfs classic", "ceiling", [1, 1, 1], self.order, "classic"),
            Known("freyjafs uring", "ours", [5, 80, 900], self.order, "uring"),
            Known("bindfs", "peer", [10, 40, 300], self.order)]
        group = Group("files", Disk("ext4 somewhere", folder.name), "4 KiB files", "threads", 4,
                      contestants)
        self.rows = {row["key"]: row for row in group.run(3, 0)}
        self.assertEqual(os.listdir(folder.name), [])

    def result(self):
        return {"machine": "a machine", "turns": 3, "seconds": 1, "transports": ["uring"],
                "rows": list(self.rows.values())}

    def test_every_second_turn_is_the_other_way_round(self):
        self.assertEqual(self.order[4:8], self.order[3::-1])
        self.assertEqual(self.order[8:], self.order[:4])

    def test_ratios_are_within_a_turn(self):
        ours = self.rows["freyjafs uring"]
        self.assertEqual(ours["ratios"]["nullfs uring"], {"median": 0.8, "low": 0.5, "high": 0.9})
        self.assertEqual(ours["of_peer"], {"label of bindfs": {"median": 2, "low": 0.5, "high": 3}})
        self.assertEqual((ours["median"], ours["low"], ours["high"]), (80, 5, 900))

    def test_ceiling_is_that_of_the_transport(self):
        self.assertEqual(list(self.rows["freyjafs uring"]["of_ceiling"]), ["label of nullfs uring"])
        self.assertEqual(len(self.rows["bindfs"]["of_ceiling"]), 2)

    def test_required_ratios(self):
        verdicts = {need.what: ratio["median"] for need, _, ratio
                    in required.verdicts(self.result()["rows"], ["uring"])}
        self.assertEqual(verdicts, {"4 KiB create, io_uring, against a do-nothing FUSE on it": 0.8,
                                    "4 KiB create, against bindfs": 2})

    def test_required_at_other_numbers_of_threads(self):
        rows = self.result()["rows"]
        for threads, count in (1, 1), (4, 2), (2, 0):
            found = required.verdicts([dict(row, at=threads) for row in rows], ["uring"])
            self.assertEqual(len(list(found)), count, threads)

    def test_required_against_ext4_is_not_against_xfs(self):
        row = dict(self.rows["freyjafs uring"], step="stat warm", ratios={"native": None})
        for disk, count in ("ext4, loop device", 1), ("xfs, loop device", 0):
            found = required.verdicts([dict(row, disk=disk)], ["uring"])
            self.assertEqual(len(list(found)), count, disk)

    def test_markdown(self):
        text = report.markdown(self.result())
        gains, missed = text.split("### Required ratios that are not reached")
        self.assertIn("| 2 | 2.00 (0.50-3.00) | four requests", gains.split("###")[1])
        self.assertIn("| 0.85 | 0.80 (0.50-0.90) | four requests", missed)
        self.assertIn("| 4 | **label of freyjafs uring** | 80 | 5-900 | 0.80 (0.50-0.90) "
                      "| 2.00 (0.50-3.00) label of bindfs | seconds: 2 (2-2) |", text)
        self.assertIn("### create, 4 KiB files, class page cache, ext4 somewhere\n", text)

    def test_render_is_what_was_written(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(self.result(), file)
            file.flush()
            text = subprocess.run([os.path.join(HERE, "run"), "--render", file.name], check=True,
                                  capture_output=True, text=True).stdout
        self.assertEqual(text, report.markdown(self.result()))


class Everything(Targets):
    """As if all there is were here."""

    def __init__(self):
        self.program = self.daemon_help = ""
        self.program = lambda name: name
        self.daemon_help = "\n  io_uring=\n  compact_at=\n  retain="
        self.has_transports, self.transports = True, ["uring", "classic"]
        self.peers = [Target(name, name, "peer", *PEERS[name]) for name in PEERS]


class Catalogue(unittest.TestCase):
    """Of all groups: they can be made, and what is required is among them."""

    def setUp(self):
        args = argparse.Namespace(
            files=10, file_size=4096, large_size=1 << 30, seconds=1, value_size=100,
            bulk_files=10, bulk_size=1024,
            compaction_files=10, compaction_seconds=1, sizes=[100, 4096], threads=[1, 4, 8, 16],
            keys_max=10**5, steps=["create", "stat", "read"], suites=list(suites.SUITES))
        engines = {engine for contestants in puts.CONTESTANTS.values()
                   for _, _, _, engine, *_ in contestants()}
        self.bench = types.SimpleNamespace(
            args=args, targets=Everything(), program=lambda name: name, engines=lambda: engines,
            tree=types.SimpleNamespace(what="a tree", files=1), work="/nowhere")
        self.disk = Disk("a disk", "/nowhere")

    def test_each_suite_has_groups(self):
        if not suites.can_drop_caches():
            self.skipTest("only root can drop caches")
        for name in suites.SUITES:
            self.bench.args.suites = [name]
            groups = list(suites.groups(self.bench, self.disk, True))
            self.assertNotEqual(groups, [], name)
            for group in groups:
                keys = [c.key for c in group.contestants]
                self.assertEqual(sorted(set(keys)), sorted(keys), group)

    def test_both_sides_of_each_required_ratio_exist(self):
        for need in required.REQUIRED:
            if need.work in suites.COLD and not suites.can_drop_caches():
                continue
            for at in need.at:
                group = suites.find_group(self.bench, self.disk, need.work, at)
                keys = {c.key for c in group.contestants}
                self.assertIn(required.our_key(need.ours, ["uring"]), keys, need)
                self.assertIn(need.theirs, keys, need)
                self.assertIn(group.work.split()[0], [*suites.WORKS, "bulk", "cold", "put"])
                self.assertEqual(group.work, suites.PARTS.get(need.work, need.work))


class SourceTree(unittest.TestCase):
    def test_same_tar_file_for_the_same_tree(self):
        with tempfile.TemporaryDirectory() as folder:
            tars = []
            for name in ("one", "two"):
                os.mkdir(os.path.join(folder, name))
                tree = Tree(os.path.join(folder, name), HERE)
                with open(tree.tar, "rb") as file:
                    tars.append(file.read())
        self.assertGreater(tree.files, 10)
        self.assertEqual(tars[0], tars[1])


if __name__ == "__main__":
    unittest.main()
