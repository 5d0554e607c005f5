#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the example program of docs/examples/ and decodes the log that it wrote.

usage: test_example.py EXAMPLE
"""
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import decode as decoder  # noqa: E402

KEYS = [(b'users/42/name', b'Ada'), (b'users/42/mail', b'ada@example.org'), (b'users/42/name', b'')]


def run(example, *args):
    return subprocess.run([example, *args], capture_output=True, text=True, check=False)


def records(path):
    with open(path, 'rb') as f:
        return [(r.key, r.value) for commit in decoder.commits(f.read()) for r in commit]


def main(argv):
    failed = 0

    def case(number, name, good):
        nonlocal failed
        failed |= not good
        print(f'{"ok" if good else "not ok"} {number} - {name}')

    print('1..5')
    with tempfile.TemporaryDirectory() as work_dir:
        log = os.path.join(work_dir, 'db', 'active.data')
        done = run(argv[1], log)
        case(1, 'exit status 0', done.returncode == 0 and done.stderr == '')
        case(2, 'the log has the three records', records(log) == KEYS)
        size = os.path.getsize(log)
        case(3, 'it says what is durable', f'{size} of {size} bytes are durable' in done.stdout)
        done = run(argv[1], log)
        case(4, 'run twice, it appends', done.returncode == 0 and records(log) == KEYS + KEYS)
        done = run(argv[1], os.path.join(work_dir, 'no', 'such', 'x.data'))
        case(5, 'an error names the file', done.returncode == 1 and '/no/such' in done.stderr)
    return failed


if __name__ == '__main__':
    sys.exit(main(sys.argv))
