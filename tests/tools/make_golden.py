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

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from xxh3 import xxh3_64  # noqa: E402

MORE, EXCHANGE, HOLE, KEEP, DROPPED, IMPLICIT, UNNAMED = 1, 2, 4, 4, 8, 16, 16
FILE, DIRECTORY, SYMLINK, CHAR_DEVICE = 1, 2, 3, 6
KEPT, EMPTY, NEW = 0, 1, 2
INT64_MAX = 2**63 - 1
STORE_ID = bytes(range(16))


def record(key, value, timestamp):
    body = struct.pack('<IIQ', len(key), len(value), timestamp) + key + value
    return struct.pack('<I', zlib.crc32(body)) + body


def xattr_list(xattrs):
    return b''.join(struct.pack('<BI', len(k), len(v)) + k + v for k, v in xattrs)


def attr(kind, content=KEPT, mode=0, uid=0, gid=0, flags=0, mtime=None, atime=None, ctime=None,
         rdev=None, ino=None, target=None, xattrs=None, xattr=None):
    optional = [None if t is None else struct.pack('<qI', *t) for t in (mtime, atime, ctime)]
    optional.append(None if rdev is None else struct.pack('<II', *rdev))
    optional.append(None if ino is None else struct.pack('<Q', ino))
    optional.append(None if target is None else struct.pack('<H', len(target)) + target)
    listed = None if xattrs is None else xattr_list(xattrs)
    optional.append(None if listed is None else struct.pack('<I', len(listed)) + listed)
    if xattr is not None:  # a name, and a value or None
        name, value = xattr
        changed = xattr_list([(name, value or b'')])
        optional.append((b'\0' if value is None else b'\1') + changed)
    fields = sum(1 << i for i, f in enumerate(optional) if f is not None)
    fixed = struct.pack('<BBBBHHII', 1, flags, kind, content, fields, mode, uid, gid)
    return fixed + b''.join(f for f in optional if f is not None)


def move(new_path, flags=0, ino=0, other_ino=0):
    other = struct.pack('<Q', other_ino) if flags & EXCHANGE else b''
    return struct.pack('<BBQ', 1, flags, ino) + other + new_path


def extent(offset, data):
    return struct.pack('<BBQ', 1, 0, offset) + data


def hole(offset, length, flags=0):
    return struct.pack('<BBQQ', 1, HOLE | flags, offset, length)


def publish(staging_id, size, flags=0):
    return struct.pack('<BBQQ', 1, flags, staging_id, size)


def base(as_of, other):
    return struct.pack('<BBQQ', 1, 0, as_of, other)


def extent_key(staging_id):
    return b'\0e' + struct.pack('<Q', staging_id)


def segment(number, store_id=STORE_ID):
    return struct.pack('<BBQ', 1, 0, number) + store_id


def synced(segment, offset, version=1):
    head = b'freyjsyn' + struct.pack('<I', version)
    tail = struct.pack('<QQ', segment, offset)
    return head + struct.pack('<I', zlib.crc32(head + tail)) + tail


def meta_log():
    """A directory, a file with its mtime as a group, the directory moved, an empty file, a symlink, a
    second name of the file, an xattr."""
    at = 1700000000000000000
    parts = [
        (b'\0adir', attr(DIRECTORY, mode=0o750, uid=1000, gid=100)),
        (b'\0adir/f', attr(FILE, mode=0o640, uid=1000, gid=100, flags=MORE, mtime=(1600000000, 5))),
        (b'dir/f', b'content\n'),
        (b'\0mdir', move(b'moved')),
        (b'\0aempty', attr(FILE, content=EMPTY, mode=0o600, uid=1000, gid=100)),
        (b'\0amoved/sym', attr(SYMLINK, mode=0o777, target=b'f')),
        (b'\0lmoved/f', move(b'hard', ino=0x123456789abcdef0)),
        (b'\0ahard', attr(FILE, mode=0o640, uid=1000, gid=100, xattrs=[(b'user.a', b'1')])),
    ]
    return b''.join(record(key, value, at + i) for i, (key, value) in enumerate(parts))


def xattr_log():
    """A file with a list of attributes, which are then set anew, added and removed one by one; one
    attribute of a directory and of the root."""
    at = 1700000000000000000
    whole = [(b'user.a', b'1'), (b'user.b', b'2'), (b'user.c', b'')]
    parts = [
        (b'f', b'content\n'),
        (b'\0af', attr(FILE, mode=0o640, xattrs=whole)),
        (b'\0af', attr(FILE, mode=0o640, xattr=(b'user.a', b'longer than before'))),
        (b'\0af', attr(FILE, mode=0o640, xattr=(b'user.new', b''))),
        (b'\0af', attr(FILE, mode=0o640, xattr=(b'user.b', None))),
        (b'\0af', attr(FILE, mode=0o640, xattr=(b'user.never', None))),
        (b'\0ad', attr(DIRECTORY, mode=0o755, xattr=(b'user.d', b'x'))),
        (b'\0a', attr(DIRECTORY, mode=0o755, xattr=(b'user.root', b'y'))),
    ]
    return b''.join(record(key, value, at + i) for i, (key, value) in enumerate(parts))


def extents_log():
    """A file made of two pieces, a plain one with a hole and another end laid over it, one cut short; staged and
    never published bytes."""
    at = 1700000000000000000
    parts = [
        (extent_key(7), extent(6, b'second\n')),
        (extent_key(7), extent(0, b'first\n')),
        (b'\0plarge', publish(7, 13)),
        (b'holes', b'0123456789'),
        (extent_key(8), hole(2, 3)),
        (extent_key(8), extent(9, b'END')),
        (b'\0pholes', publish(8, 15, KEEP)),
        (b'\0plarge', publish(0, 9, KEEP)),
        (extent_key(9), extent(0, b'dead')),
    ]
    return b''.join(record(key, value, at + i) for i, (key, value) in enumerate(parts))


def dropped_log():
    """Where values have stood and compaction has dropped them: puts, one of a key that is no path, and
    an extent; all of it is covered by what follows."""
    at = 1700000000000000000
    parts = [
        (b'\0pold', publish(0, 5, DROPPED)),
        (b'\0pdir/file', publish(0, 100, DROPPED)),
        (b'\0podd//key', publish(0, 1, DROPPED)),
        (extent_key(5), hole(0, 4, DROPPED)),
        (b'\0pdir/file', publish(5, 6, KEEP)),
        (b'dir/file', b'whole\n'),
        (b'odd//key', b'kept'),
        (extent_key(6), hole(1, 2, DROPPED)),
        (extent_key(6), extent(0, b'full')),
        (b'\0pcovered', publish(6, 4)),
        (b'old', b''),
    ]
    return b''.join(record(key, value, at + i) for i, (key, value) in enumerate(parts))


def base_log():
    """A base: an explicit directory, one that exists through its key, keys that no path can name beside
    what has their path, in one record and in pieces; a file that is changed behind the base."""
    at = 1700000000000000000
    base_parts = [
        (b'\0b', base(at, 400)),
        (b'\0aa', attr(DIRECTORY, mode=0o700, uid=1000, gid=100)),
        (b'\0aa/e', attr(DIRECTORY, mode=0o755, uid=1000, gid=100, flags=IMPLICIT)),
        (b'd/f', b'file\n'),
        (b'\0aa/e/x', attr(FILE, EMPTY, 0o600)),
        (b'd/g', b'old'),
        (b'\0pd/f', publish(0, 0, UNNAMED | MORE)),
        (b'd/f', b'hidden'),
        (extent_key(at - 8), extent(1, b'pieces')),
        (b'\0pa/e', publish(at - 8, 7, UNNAMED)),
        (b'\0a', attr(DIRECTORY, mode=0o755, mtime=(1600000000, 5))),
    ]
    parts = [(b'd/g', b'new\n'), (b'\0aa/e/x', attr(FILE, mode=0o640))]
    return b''.join([record(key, value, at - i) for i, (key, value) in enumerate(base_parts)] +
                    [record(key, value, at + 1 + i) for i, (key, value) in enumerate(parts)])


def manifest(*lines):
    """A MANIFEST with its last line."""
    text = '\n'.join(['freyjafs manifest 1', 'store ' + STORE_ID.hex(), *lines, '']).encode()
    return text + b'crc32 %08x\n' % zlib.crc32(text)


def manifest_text():
    """A base without a digest yet, a number that is missing, files that were replaced or folded."""
    return manifest('numbered_from 2',
                    'segment 000007.2.data bytes=500 records=9 first=1 last=18446744073709551615 base',
                    'segment 000009.data bytes=1052 records=3 first=10 last=12 digest=00000000000000ff',
                    'segment 1000000.12.data bytes=48 records=1 first=13 last=13 digest=fedcba9876543210',
                    'obsolete 000006.data', 'obsolete 000007.data', 'active 1000001',
                    'durable 1000002 18446744073709551615')


def segment_line(name, parts):
    """What MANIFEST says of a segment: 'parts' are its keys, values and timestamps."""
    headers, offset = b'', 0
    for key, value, timestamp in parts:
        headers += struct.pack('<Q', offset) + record(key, value, timestamp)[:20]
        offset += 20 + len(key) + len(value)
    times = [timestamp for _, _, timestamp in parts]
    return f'segment {name} bytes={offset} records={len(parts)} first={times[0]} last={max(times)} ' \
           f'digest={xxh3_64(headers):016x}'


def store_files():
    """A store of two sealed segments, the second one compacted, and an active one."""
    at = 1700000000000000000
    segments = {
        '000001.data': [(b'a', b'first\n', at), (b'dir/b', b'second\n', at + 1)],
        '000002.2.data': [(b'\0s', segment(2), at + 2), (b'\0pa', publish(0, 9, DROPPED), at + 3),
                          (b'\0mdir', move(b'moved'), at + 4)],
        'active.data': [(b'\0s', segment(3), at + 5), (b'a', b'last\n', at + 6)],
    }
    files = {name: b''.join(record(*part) for part in parts) for name, parts in segments.items()}
    durable = len(files['active.data'])
    files['MANIFEST'] = manifest('numbered_from 2',
                                 *(segment_line(name, segments[name]) for name in ('000001.data', '000002.2.data')),
                                 'obsolete 000002.data', 'active 3', 'durable 3 48')
    files['active.synced'] = synced(3, durable, 2)
    return {'store/' + name: data for name, data in files.items()}


def golden_files():
    every = attr(FILE, EMPTY, 0o6741, 1000, 0xfffffffe, MORE, mtime=(1795346587, 697513122),
                 atime=(-1, 999999999), ctime=(INT64_MAX, 1), ino=0xfedcba9876543210,
                 xattrs=[(b'user.a', b'1'), (b'trusted.empty', b'')])
    return {
        'attr_directory.bin': attr(DIRECTORY, mode=0o755, uid=1000, gid=100),
        'attr_empty_file.bin': attr(FILE, EMPTY, 0o644),
        'attr_every_field.bin': every,
        'attr_atime.bin': attr(FILE, mode=0o600, uid=1, gid=2, atime=(5, 6)),
        'attr_symlink.bin': attr(SYMLINK, mode=0o777, target=b'../where'),
        'attr_xattr_set.bin': attr(FILE, mode=0o644, xattr=(b'user.a', b'one')),
        'attr_xattr_removed.bin': attr(DIRECTORY, mode=0o755, ino=9, xattr=(b'user.a', None)),
        'attr_device.bin': attr(CHAR_DEVICE, mode=0o640, gid=5, rdev=(5, 70000)),
        'link_plain.bin': move(b'users/44', ino=42),
        'move_plain.bin': move(b'users/43', ino=0xfedcba9876543210),
        'move_exchange.bin': move(b'b', EXCHANGE, ino=1, other_ino=2),
        'move_more.bin': move(b'd/new', MORE),
        'extent_bytes.bin': extent(1 << 24, b'staged\n'),
        'extent_hole.bin': hole(4096, 1 << 32),
        'publish_replace.bin': publish(0x0807060504030201, 6 << 30),
        'publish_keep.bin': publish(1, 4096, KEEP),
        'publish_more.bin': publish(0, 0, MORE),
        'publish_dropped.bin': publish(0, 5, DROPPED),
        'extent_dropped.bin': hole(4096, 256 * 1024, DROPPED),
        'attr_implicit.bin': attr(DIRECTORY, mode=0o755, uid=1000, gid=100, flags=IMPLICIT,
                                  mtime=(1700000000, 5)),
        'publish_unnamed.bin': publish(7, 5, UNNAMED),
        'base.bin': base(0x0807060504030201, 66112),
        'base.data': base_log(),
        'synced.bin': synced(1, 70790),
        'synced_manifest.bin': synced(7, 70790, 2),
        'segment.bin': segment(0x0807060504030201),
        'manifest.txt': manifest_text(),
        'meta.data': meta_log(),
        'xattrs.data': xattr_log(),
        'extents.data': extents_log(),
        'dropped.data': dropped_log(),
        **store_files(),
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
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'wb') as f:
                f.write(want)
        with open(path, 'rb') as f:
            if f.read() != want:
                print(f'{path}: not the bytes that docs/FORMAT.md gives', file=sys.stderr)
                bad = 1
    return bad


if __name__ == '__main__':
    sys.exit(main(sys.argv))
