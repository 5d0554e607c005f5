#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the Python module over libfreyjalog.

usage: test_python.py MODULE_DIR LIBRARY_DIR GOLDEN_DIR
"""
import errno
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

sys.dont_write_bytecode = True
MODULE_DIR, LIBRARY_DIR, GOLDEN_DIR = sys.argv[1:4]
ENVIRONMENT = dict(os.environ, LD_LIBRARY_PATH=LIBRARY_DIR, PYTHONPATH=MODULE_DIR, PYTHONDONTWRITEBYTECODE="1")
if os.environ.get("LD_LIBRARY_PATH") != LIBRARY_DIR:    # the loader reads it once, at the start
    os.execve(sys.executable, [sys.executable, *sys.argv], ENVIRONMENT)
sys.path.insert(0, MODULE_DIR)
import freyjalog  # noqa: E402

# Writes until it is killed: says "synced" when a put and a group of two are durable, then goes on.
WRITER = """
import sys
import freyjalog
log = freyjalog.open(sys.argv[1], fsync_interval_ns=freyjalog.NEVER, buffer_size_bytes=1 << 20)
log.put(b"a", b"1")
log.put_group([(b"b", b"2"), (b"c", b"3")])
log.sync()
print("synced", flush=True)
number = 0
while True:
    log.put_group([(b"x%d" % number, b"x" * 1000), (b"y%d" % number, b"y" * 1000)])
    number += 1
    if number == 2000:
        print("writing", flush=True)
"""


class LogTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, "active.data")

    def open(self, **config):
        log = freyjalog.open(self.path, **config)
        self.addCleanup(log.close)
        return log

    def assert_errno(self, number, function, *arguments, **named):
        with self.assertRaises(OSError) as caught:
            function(*arguments, **named)
        self.assertEqual(caught.exception.errno, number, caught.exception)
        return str(caught.exception)

    def test_put_and_get(self):
        with self.open() as log:
            positions = [log.put(b"a", b"1"), log.put(b"a", b""), log.put(b"\xff\0", b"\0nul\0")]
        with self.open() as log:
            a, gone, odd = (log.get(position) for position in positions)
        self.assertEqual((a.kind, a.key, a.value), (freyjalog.Kind.PUT, b"a", b"1"))
        self.assertEqual((gone.kind, gone.value), (freyjalog.Kind.TOMBSTONE, b""))
        self.assertEqual((odd.key, odd.value), (b"\xff\0", b"\0nul\0"))
        self.assertEqual([a.position, gone.position, odd.position], positions)
        self.assertLess(a.timestamp_ns, gone.timestamp_ns)

    def test_group(self):
        with self.open() as log:
            positions = log.put_group([(b"a", b"1"), (b"b", b"")])
            self.assertEqual([(r.position, r.key, r.value) for r in log],
                             [(positions[0], b"a", b"1"), (positions[1], b"b", b"")])
            self.assertEqual(log.get(positions[1]).kind, freyjalog.Kind.TOMBSTONE)
            self.assertEqual(log.stats().appends, 1)
            self.assertEqual(log.get(0).kind, freyjalog.Kind.GROUP)

    def test_iterate_from_a_position(self):
        with self.open(segment_size_bytes=1024) as log:
            positions = [log.put(b"key%d" % i, b"v" * 100) for i in range(50)]
            keys = [r.key for r in log.iterate(positions[47]) if r.kind == freyjalog.Kind.PUT]
        self.assertEqual(keys, [b"key47", b"key48", b"key49"])

    def test_buffers(self):
        with self.open() as log:
            self.assertEqual(log.get(log.put(bytearray(b"a"), memoryview(b"1"))).value, b"1")
            for wrong in ("text", 5, None):
                self.assertRaises(TypeError, log.put, b"a", wrong)
            self.assertEqual(len(list(log)), 1)

    def test_errors(self):
        log = self.open()
        log.put(b"a", b"1")
        self.assert_errno(errno.EINVAL, log.put, b"\0meta", b"1")
        self.assert_errno(errno.EINVAL, log.put_group, [])
        self.assert_errno(errno.ERANGE, log.get, 22)
        self.assert_errno(errno.ERANGE, log.iterate(23).__next__)
        self.assert_errno(errno.EBADMSG, log.get, 1)
        self.assertIn(self.path, self.assert_errno(errno.EWOULDBLOCK, freyjalog.open, self.path))
        self.assert_errno(errno.EINVAL, freyjalog.open, self.path, buffer_size_bytes=-1)
        self.assert_errno(errno.EINVAL, freyjalog.open, "a\0b")

    def test_closed(self):
        log = self.open()
        log.put(b"a", b"1")
        iterator = log.iterate()
        next(iterator)
        log.close()
        log.close()
        for function in (log.sync, log.stats, log.sync_async):
            self.assertRaises(ValueError, function)
        self.assertRaises(ValueError, next, iterator)

    def test_read_only(self):
        writer = self.open()
        writer.put(b"a", b"1")
        with self.open(read_only=True) as log:
            self.assertEqual([r.key for r in log], [b"a"])
            self.assert_errno(errno.EROFS, log.put, b"b", b"2")

    def test_sync(self):
        with self.open(fsync_interval_ns=freyjalog.NEVER, buffer_size_bytes=4096) as log:
            log.put(b"a", b"1")
            self.assertEqual(log.stats().durable_position, 0)
            log.sync()
            self.assertEqual(log.stats().durable_position, 22)

    def test_sync_async(self):
        futures = []
        with self.open(fsync_interval_ns=freyjalog.NEVER) as log:
            for _ in range(50):
                log.put(b"a", b"1")
                futures.append(log.sync_async())
            self.assertIsNone(futures[0].result(timeout=60))
        self.assertTrue(all(future.done() for future in futures))
        self.assertEqual([future.result() for future in futures], [None] * 50)

    def test_threads(self):
        def write(name):
            for i in range(200):
                log.put(b"%s%d" % (name, i), name)

        with self.open() as log:
            threads = [threading.Thread(target=write, args=(name,)) for name in (b"x", b"y")]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            keys = [r.key for r in log]
        self.assertEqual([k for k in keys if k[:1] == b"x"], [b"x%d" % i for i in range(200)])
        self.assertEqual([k for k in keys if k[:1] == b"y"], [b"y%d" % i for i in range(200)])

    def test_torn_tail(self):
        with self.open() as log:
            log.put(b"a", b"1")
        with open(self.path, "ab") as f:
            f.write(b"torn")
        with self.open() as log:
            self.assertIn("active.data", log.message)
            self.assertEqual([r.key for r in log], [b"a"])

    def test_log_of_freyjadb(self):
        with open(os.path.join(GOLDEN_DIR, "freyjadb.tsv"), encoding="ascii") as f:
            wanted = [line.rstrip("\n").split("\t") for line in f][1:]
        with freyjalog.open(os.path.join(GOLDEN_DIR, "freyjadb.data"), read_only=True) as log:
            got = [[str(r.position), str(r.timestamp_ns), r.key.hex(), str(len(r.value)),
                    hashlib.sha256(r.value).hexdigest()] for r in log]
        self.assertEqual(got, [[row[0], *row[2:3], *row[4:]] for row in wanted])

    def test_version(self):
        self.assertRegex(freyjalog.version(), r"^\d+\.\d+\.\d+$")

    def killed(self, line):
        """The pairs in the log of a writer that was killed after it had printed 'line'."""
        with subprocess.Popen([sys.executable, "-c", WRITER, self.path], env=ENVIRONMENT, text=True,
                              stdout=subprocess.PIPE) as writer:
            while writer.stdout.readline().strip() != line:
                pass
            writer.send_signal(signal.SIGKILL)
        with self.open() as log:
            return [(r.key, r.value) for r in log]

    def test_killed_after_a_sync(self):
        pairs = self.killed("synced")
        self.assertEqual(pairs[:3], [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])

    def test_killed_while_writing(self):
        groups = self.killed("writing")[3:]
        self.assertGreater(len(groups), 1000)       # the buffer was written out
        self.assertEqual(len(groups) % 2, 0)        # no half of a group
        for i in range(0, len(groups), 2):
            self.assertEqual(groups[i], (b"x%d" % (i // 2), b"x" * 1000))
            self.assertEqual(groups[i + 1], (b"y%d" % (i // 2), b"y" * 1000))


class Tap(unittest.TextTestResult):
    """Prints each case as tests/lib/count_cases.py counts it."""

    def case(self, good, test):
        print(f"{'ok' if good else 'not ok'} {self.testsRun} - {test.id().rpartition('.')[2]}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.case(True, test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.case(False, test)

    def addError(self, test, err):
        super().addError(test, err)
        self.case(False, test)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], testRunner=unittest.TextTestRunner(resultclass=Tap))
