#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each step of the benchmark programs does what it says, in a directory and with few files.

usage: test_programs.py DIRECTORY-OF-THE-PROGRAMS
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAMS = sys.argv.pop(1)


def call(name, *options):
    done = subprocess.run([os.path.join(PROGRAMS, name), *options], check=False, text=True,
                          capture_output=True)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


class Filebench(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def steps(self, *options):
        status, results, errors = call("filebench", "--files=20", "--size=5000", "--threads=2",
                                       *options, self.dir.name)
        self.assertEqual((status, errors), (0, ""))
        return results

    def files(self):
        return sorted(os.path.join(where, name)[len(self.dir.name):]
                      for where, _, names in os.walk(self.dir.name) for name in names)

    def test_every_step(self):
        results = self.steps("--steps=create,stat,read,readdir,overwrite,overwrite-random,unlink")
        self.assertEqual([(r["step"], r["files"]) for r in results],
                         [(name, 20) for name in ("create", "stat", "read", "readdir", "overwrite",
                                                  "overwrite-random", "unlink")])
        self.assertEqual(self.files(), [])
        for result in results:
            self.assertGreater(result["rate"], 0)

    def test_create_leaves_files_of_the_size(self):
        self.steps("--steps=create-fsync")
        self.assertEqual(len(self.files()), 20)
        self.assertEqual({os.path.getsize(self.dir.name + f) for f in self.files()}, {5000})

    def test_later_run_finds_the_files(self):
        self.steps("--steps=create")
        results = self.steps("--existing", "--warm", "--passes=3", "--steps=stat,read,readdir")
        self.assertEqual([r["files"] for r in results], [60, 60, 60])

    def test_save_leaves_no_temporary_file(self):
        results = self.steps("--steps=save,stat")
        self.assertEqual([r["files"] for r in results], [20, 20])
        self.assertEqual([f for f in self.files() if f.endswith(".tmp")], [])

    def test_threads_together_have_different_files_in_one_directory(self):
        results = self.steps("--threads=4", "--together", "--steps=save,stat")
        self.assertEqual([r["files"] for r in results], [20, 20])
        self.assertEqual({os.path.dirname(f) for f in self.files()}, {"/t0"})
        self.assertEqual(len(self.files()), 20)

    def test_pinned_threads(self):
        result, = self.steps("--threads=4", "--pin", "--steps=create")
        self.assertEqual(result["files"], 20)

    def test_latency(self):
        result, = self.steps("--steps=create", "--latency")
        self.assertLessEqual(result["p50_us"], result["p99_us"])
        self.assertLessEqual(result["p99_us"], result["max_us"])
        self.assertGreater(result["p50_us"], 0)

    def test_missing_and_short_files_are_errors(self):
        status, _, errors = call("filebench", "--existing", "--files=3", "--steps=read",
                                 self.dir.name)
        self.assertEqual(status, 1)
        self.assertIn("f0000000", errors)
        self.steps("--steps=create")
        os.truncate(self.dir.name + self.files()[0], 4999)
        for step in ("stat", "read"):
            status, _, errors = call("filebench", "--existing", "--files=20", "--size=5000",
                                     "--threads=2", f"--steps={step}", self.dir.name)
            self.assertEqual(status, 1)
            self.assertIn("4999", errors)


class Iobench(unittest.TestCase):
    def test_every_step(self):
        with tempfile.TemporaryDirectory() as folder:
            for size in ("4K", "128K", "1M"):
                status, results, errors = call(
                    "iobench", "--size=2M", f"--call={size}", "--threads=2",
                    "--steps=write,read,random-read,random-write,mixed,read,write-fsync", folder)
                self.assertEqual((status, errors), (0, ""))
                self.assertEqual([r["bytes"] for r in results], [2 << 20] * 7)
            status, results, errors = call("iobench", "--size=2M", "--threads=2", "--warm",
                                           "--existing", "--steps=read", folder)
            self.assertEqual((status, errors, results[0]["bytes"]), (0, "", 2 << 20))

    def test_wrong_bytes_are_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            call("iobench", "--size=1M", folder)
            with open(os.path.join(folder, "big0"), "r+b") as file:
                file.seek(4096 * 3)
                file.write(b"other")
            status, _, errors = call("iobench", "--size=1M", "--call=4K", "--existing",
                                     "--steps=read", folder)
            self.assertEqual(status, 1)
            self.assertIn("wrong bytes at 12288", errors)


class Mailbench(unittest.TestCase):
    def test_rounds(self):
        with tempfile.TemporaryDirectory() as folder:
            status, results, errors = call("mailbench", "--files=64", "--size=500", "--threads=4",
                                           "--seconds=0.1", folder)
            self.assertEqual((status, errors), (0, ""))
            self.assertGreater(results[0]["rounds"], 0)
            self.assertGreater(len(os.listdir(folder)), 0)


if __name__ == "__main__":
    unittest.main()
