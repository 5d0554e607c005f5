#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the golden files of tests/golden/, but for those that FreyjaDB itself wrote.

The bytes come from docs/FORMAT.md by struct.pack, not from the C code: what the two agree on is the
format.  The files are checked in and never change; `make_golden.py --check DIR` says whether they are
what this program writes, `make_golden.py DIR` writes those that are missing.
"""
import os
import struct
import sys
import zlib

MORE, EXCHANGE = 1, 2
FILE, DIRECTORY = 1, 2
KEPT, EMPTY = 0, 1
INT64_MAX = 2**63 - 1


def record(key, value, timestamp):
    body = struct.pack('<IIQ', len(key), len(value), timestamp) + key + value
    return struct.pack('<I', zlib.crc32(body)) + body


def attr(kind, content=KEPT, mode=0, uid=0, gid=0, flags=0, mtime=None, atime=None, ctime=None):
    times = [mtime, atime, ctime]
    fields = sum(1 << i for i, t in enumerate(times) if t is not None)
    fixed = struct.pack('<BBBBHHII', 1, flags, kind, content, fields, mode, uid, gid)
    return fixed + b''.join(struct.pack('<qI', *t) for t in times if t is not None)


def move(new_path, flags=0):
    return struct.pack('<BB', 1, flags) + new_path


def synced(segment, offset):
    head = b'freyjsyn' + struct.pack('<I', 1)
    tail = struct.pack('<QQ', segment, offset)
    return head + struct.pack('<I', zlib.crc32(head + tail)) + tail


def meta_log():
    """One directory, a file with its mtime as a group, the directory moved, an empty file."""
    at = 1700000000000000000
    parts = [
        (b'\0adir', attr(DIRECTORY, mode=0o750, uid=1000, gid=100)),
        (b'\0adir/f', attr(FILE, mode=0o640, uid=1000, gid=100, flags=MORE, mtime=(1600000000, 5))),
        (b'dir/f', b'content\n'),
        (b'\0mdir', move(b'moved')),
        (b'\0aempty', attr(FILE, content=EMPTY, mode=0o600, uid=1000, gid=100)),
    ]
    return b''.join(record(key, value, at + i) for i, (key, value) in enumerate(parts))


def golden_files():
    every = attr(FILE, EMPTY, 0o6741, 1000, 0xfffffffe, MORE, mtime=(1795346587, 697513122),
                 atime=(-1, 999999999), ctime=(INT64_MAX, 1))
    return {
        'attr_directory.bin': attr(DIRECTORY, mode=0o755, uid=1000, gid=100),
        'attr_empty_file.bin': attr(FILE, EMPTY, 0o644),
        'attr_every_field.bin': every,
        'attr_atime.bin': attr(FILE, mode=0o600, uid=1, gid=2, atime=(5, 6)),
        'move_plain.bin': move(b'users/43'),
        'move_exchange.bin': move(b'b', EXCHANGE),
        'move_more.bin': move(b'd/new', MORE),
        'synced.bin': synced(1, 70790),
        'meta.data': meta_log(),
    }


def main(argv):
    check = argv[1:2] == ['--check']
    if len(argv) != (3 if check else 2):
        print(__doc__, file=sys.stderr)
        return 2
    bad = 0
    for name, want in golden_files().items():
        path = os.path.join(argv[-1], name)
        if not check and not os.path.exists(path):
            with open(path, 'wb') as f:
                f.write(want)
        with open(path, 'rb') as f:
            if f.read() != want:
                print(f'{path}: not the bytes that docs/FORMAT.md gives', file=sys.stderr)
                bad = 1
    return bad


if __name__ == '__main__':
    sys.exit(main(sys.argv))
