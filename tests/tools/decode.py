#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Decodes a log: an independent reading of docs/FORMAT.md that shares no code with the C.

usage: decode.py FILE                  one line per record, tab-separated: offset, length,
                                       timestamp_ns, crc32, kind, key, value_length, value_sha256
                                       (kind: plain, tombstone, attr, base, extent, link,
                                       move, publish or segment; key: escaped)
       decode.py --check-tsv TSV FILE  compare with a golden list (tests/golden/freyjadb.tsv)
       decode.py --tree FILE           replay the log; one line per node: type, mode, size,
                                       sha256, path
FILE may be a DATADIR: then all files that make up its log are read, in their order, and compared with
what MANIFEST says of them.

Exit status: 0 when every byte of FILE belongs to a record, and to a whole group; else 1, with the
offset of the first byte that does not, or with what is wrong with the files of a DATADIR.
"""
import hashlib
import os
import re
import stat
import struct
import sys
import zlib

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from xxh3 import xxh3_64  # noqa: E402

HEADER = struct.Struct('<IIIQ')
ATTR_FIXED = struct.Struct('<BBBBHHII')
TIME = struct.Struct('<qI')
MORE, EXCHANGE, HOLE, KEEP, DROPPED, IMPLICIT, UNNAMED = 1, 2, 4, 4, 8, 16, 16
FILE, DIRECTORY, SYMLINK, FIFO, SOCKET, CHAR_DEVICE, BLOCK_DEVICE = range(1, 8)
KEPT, EMPTY, NEW = 0, 1, 2
MTIME, ATIME, CTIME, RDEV, INO, TARGET, XATTRS, XATTR = (1 << bit for bit in range(8))
TYPE_LETTERS = {FILE: 'f', DIRECTORY: 'd', SYMLINK: 'l', FIFO: 'p', SOCKET: 's', CHAR_DEVICE: 'c',
                BLOCK_DEVICE: 'b'}
TARGET_MAX, XATTRS_MAX = 4095, 1024 * 1024
KEY_LEVELS_MAX = 64  # a key makes directories up to here
NAME_MAX, PATH_MAX = 255, 65535
SIZE_MAX = 2**63 - 1
KINDS = {b'a': 'attr', b'b': 'base', b'e': 'extent', b'l': 'link', b'm': 'move', b'p': 'publish',
         b's': 'segment'}
FLAGS = {'attr': MORE | IMPLICIT, 'base': 0, 'extent': HOLE | DROPPED, 'link': MORE,
         'move': MORE | EXCHANGE, 'publish': MORE | KEEP | DROPPED | UNNAMED, 'segment': 0}
NUMBER = r'(0|[1-9]\d*)'
SEALED_NAME = re.compile(r'(\d{6}|[1-9]\d{6,})(?:\.([2-9]|[1-9]\d+))?\.data')
FULL_NAME = re.compile(r'(\d{6}|[1-9]\d{6,})\.([1-9]\d*)\.full')
SEGMENT_LINE = re.compile(rf'segment (\S+) bytes={NUMBER} records={NUMBER} first={NUMBER} last={NUMBER}'
                          r'(?: digest=([0-9a-f]{16}))?( base)?')


class Refused(Exception):
    """It is no log, or no whole one."""


class Invalid(Refused):
    """The log is not valid at 'offset'."""

    def __init__(self, offset, reason):
        super().__init__(f'offset {offset}: {reason}')


class Record:
    """One record as it stands in the log, and what its meta value says."""

    def __init__(self, data, offset):
        left = len(data) - offset
        if left < HEADER.size:
            raise Invalid(offset, f'{left} bytes, fewer than a header')
        self.offset = offset
        self.crc, key_size, value_size, self.timestamp = HEADER.unpack_from(data, offset)
        if not any(data[offset:offset + HEADER.size]):
            raise Invalid(offset, 'zeros where a record should begin')
        self.length = HEADER.size + key_size + value_size
        if self.length > left:
            raise Invalid(offset, f'the record claims {self.length} bytes, the file has {left}')
        crc = zlib.crc32(data[offset + 4:offset + self.length])
        if crc != self.crc:
            raise Invalid(offset, f'crc {self.crc:08x} stored, {crc:08x} computed')
        body = offset + HEADER.size
        self.key = data[body:body + key_size]
        self.value = data[body + key_size:offset + self.length]
        self.kind = self.parse_kind()

    def parse_kind(self):
        self.more = False
        if not self.key.startswith(b'\0'):
            return 'plain' if self.value else 'tombstone'
        kind = KINDS.get(self.key[1:2])
        if kind is None:
            raise Invalid(self.offset, f'unknown kind of meta record {self.key[1:2]!r}')
        self.path = self.key[2:]
        self.check_lead(FLAGS[kind])
        if kind == 'attr':
            self.parse_attr()
        elif kind == 'base':
            self.parse_base()
        elif kind == 'extent':
            self.parse_extent()
        elif kind == 'publish':
            self.parse_publish()
        elif kind == 'segment':
            self.parse_segment()
        else:
            self.parse_move()
        return kind

    def check_lead(self, known_flags):
        if len(self.value) < 2:
            raise Invalid(self.offset, 'a meta value without version and flags')
        if self.value[0] != 1:
            raise Invalid(self.offset, f'version {self.value[0]} of a meta record')
        self.flags = self.value[1]
        if self.flags & ~known_flags:
            raise Invalid(self.offset, f'unknown flags {self.flags:#04x}')
        self.more = bool(self.flags & MORE)

    def take(self, n):
        """The next 'n' bytes of the value."""
        part, self.rest = self.rest[:n], self.rest[n:]
        if len(part) < n:
            raise Invalid(self.offset, 'a meta value that ends too early')
        return part

    def parse_attr(self):
        self.rest = self.value
        _, _, self.type, self.content, fields, self.mode, self.uid, self.gid = \
            ATTR_FIXED.unpack(self.take(ATTR_FIXED.size))
        if fields & ~0xff:
            raise Invalid(self.offset, f'unknown fields {fields:#06x}')
        if self.type not in TYPE_LETTERS or self.content not in (KEPT, EMPTY, NEW) or \
                (self.type != FILE and self.content) or self.mode & ~0o7777 or \
                bool(fields & RDEV) != (self.type in (CHAR_DEVICE, BLOCK_DEVICE)) or \
                bool(fields & TARGET) != (self.type == SYMLINK) or \
                (self.flags & IMPLICIT and self.type != DIRECTORY):
            raise Invalid(self.offset, 'an attr field out of its range')
        for bit, name in ((MTIME, 'mtime'), (ATIME, 'atime'), (CTIME, 'ctime')):
            if fields & bit and TIME.unpack(self.take(TIME.size))[1] >= 10**9:
                raise Invalid(self.offset, f'{name}: nanoseconds out of range')
        if fields & RDEV:
            self.take(8)
        if fields & INO and not any(self.take(8)):
            raise Invalid(self.offset, 'inode number 0')
        self.target = self.take(struct.unpack('<H', self.take(2))[0]) if fields & TARGET else None
        if self.target is not None and (not 0 < len(self.target) <= TARGET_MAX or
                                        b'\0' in self.target):
            raise Invalid(self.offset, 'a target that is none')
        if fields & XATTRS and fields & XATTR:
            raise Invalid(self.offset, 'all xattrs and one of them')
        self.xattrs = self.parse_xattrs() if fields & XATTRS else None
        self.xattr = self.parse_xattr() if fields & XATTR else None
        if self.rest:
            raise Invalid(self.offset, 'an attr value with bytes left over')

    def parse_xattrs(self):
        xattrs, after = {}, None
        size, = struct.unpack('<I', self.take(4))
        if size > XATTRS_MAX:
            raise Invalid(self.offset, 'xattrs above their limit')
        listed = self.take(size)
        after, self.rest = self.rest, listed
        while self.rest:
            name_size, value_size = struct.unpack('<BI', self.take(5))
            name = self.take(name_size)
            if not name or b'\0' in name or name in xattrs:
                raise Invalid(self.offset, 'an xattr name that is none, or is there twice')
            xattrs[name] = self.take(value_size)
        self.rest = after
        return xattrs

    def parse_xattr(self):
        """One attribute: its name, and its value or None if it is removed."""
        how, name_size, value_size = struct.unpack('<BBI', self.take(6))
        name, value = self.take(name_size), self.take(value_size)
        if not name or b'\0' in name or how > 1 or (how == 0 and value):
            raise Invalid(self.offset, 'the change of an xattr that is none')
        return name, value if how else None

    def parse_base(self):
        self.rest = self.value[2:]
        self.as_of, self.other_bytes = struct.unpack('<QQ', self.take(16))
        if self.rest or self.path:
            raise Invalid(self.offset, 'a base of something, or with bytes left over')

    def parse_segment(self):
        self.rest = self.value[2:]
        self.number, = struct.unpack('<Q', self.take(8))
        self.store_id = self.take(16).hex()
        if self.rest or self.path or not self.number or self.offset:
            raise Invalid(self.offset, 'a segment record of something, or that is not the first one')

    def parse_move(self):
        self.rest = self.value
        self.take(2)
        self.take(16 if self.flags & EXCHANGE else 8)
        self.new_path = self.rest
        if not self.new_path:
            raise Invalid(self.offset, 'a move or link without a new path')

    def parse_extent(self):
        if len(self.path) != 8 or not any(self.path):
            raise Invalid(self.offset, 'an extent without a staging id')
        self.staging, = struct.unpack('<Q', self.path)
        self.rest = self.value[2:]
        self.at, = struct.unpack('<Q', self.take(8))
        if self.flags & DROPPED and not self.flags & HOLE:
            raise Invalid(self.offset, 'an extent that is dropped and has bytes')
        if self.flags & HOLE:
            self.hole, = struct.unpack('<Q', self.take(8))
            if self.rest:
                raise Invalid(self.offset, 'a hole with bytes left over')
        length = self.hole if self.flags & HOLE else len(self.rest)
        if not 0 < length <= SIZE_MAX or self.at + length > SIZE_MAX:
            raise Invalid(self.offset, 'an extent of nothing, or past the end of all files')

    def parse_publish(self):
        self.rest = self.value[2:]
        self.staging, self.size = struct.unpack('<QQ', self.take(16))
        if self.rest or self.size > SIZE_MAX:
            raise Invalid(self.offset, 'a publish with bytes left over, or of too large a file')
        if self.flags & DROPPED and (self.flags & KEEP or self.staging or not self.size):
            raise Invalid(self.offset, 'a dropped publish that keeps, is staged, or is of nothing')

        if not self.flags & UNNAMED:
            return
        own = self.staging and self.size
        if self.flags & (KEEP | DROPPED) or self.path[:1] == b'\0' or \
                ((self.staging or self.size) if self.more else not own):
            raise Invalid(self.offset, 'a publish to an unnameable key that is none')

    def columns(self):
        return (self.offset, self.length, self.timestamp, f'{self.crc:08x}', self.kind, self.key,
                len(self.value), hashlib.sha256(self.value).hexdigest())


def commits(data):
    """Yields each commit: a list of one record, or the records of a group."""
    offset, group = 0, []
    while offset < len(data):
        record = Record(data, offset)
        offset += record.length
        group.append(record)
        if not record.more:
            yield group
            group = []
    if group:
        raise Invalid(group[0].offset, 'the file ends inside a group of records')


class Manifest:
    """What MANIFEST says: section 14 of docs/FORMAT.md."""

    def __init__(self, text):
        *lines, crc_line, rest = text.split('\n')
        body = ''.join(line + '\n' for line in lines)
        if rest or crc_line != f'crc32 {zlib.crc32(body.encode()):08x}':
            raise Refused('MANIFEST: the CRC does not match')
        self.lines = lines
        if self.lines.pop(0) != 'freyjafs manifest 1':
            raise Refused('MANIFEST: of another version')
        self.store_id = self.take('store ([0-9a-f]{32})')[0]
        self.numbered_from = int(self.take(f'numbered_from {NUMBER}')[0])
        self.segments, self.obsolete = [], []
        while self.lines and self.lines[0].startswith('segment '):
            self.segments.append(self.take(SEGMENT_LINE))
        while self.lines and self.lines[0].startswith('obsolete '):
            self.obsolete.append(self.take(r'obsolete (\S+)')[0])
        self.active = int(self.take(f'active {NUMBER}')[0])
        self.durable = tuple(int(n) for n in self.take(f'durable {NUMBER} {NUMBER}'))
        self.check()

    def take(self, pattern):
        """The groups of the next line."""
        line = self.lines.pop(0) if self.lines else ''
        found = re.fullmatch(pattern, line)
        if not found:
            raise Refused(f'MANIFEST: what is {line!r}?')
        return found.groups()

    def check(self):
        names = [segment[0] for segment in self.segments]
        for name in names + self.obsolete:
            if not SEALED_NAME.fullmatch(name) or not number_of(name):
                raise Refused(f'MANIFEST: {name} is no name of a segment')
        numbers = [number_of(name) for name in names]
        if self.lines or numbers != sorted(set(numbers)) or set(names) & set(self.obsolete) or \
                any(segment[6] for segment in self.segments[1:]) or self.numbered_from < 1 or \
                self.active <= max(numbers, default=0) or self.durable[0] < self.active:
            raise Refused('MANIFEST: it says what cannot be')

    def check_segment(self, segment, data):
        """Compares the file of a segment with its line."""
        name, size, count, first, last, digest, base = segment
        if len(data) != int(size):
            raise Refused(f'{name}: {len(data)} bytes, {size} by MANIFEST')
        records = [record for commit in commits(data) for record in commit]
        times = [record.timestamp for record in records]
        if [len(records), times[0], max(times)] != [int(count), int(first), int(last)]:
            raise Refused(f'{name}: other records than MANIFEST says')
        if digest and f'{header_digest(records):016x}' != digest:
            raise Refused(f'{name}: another digest than MANIFEST says')
        if (records[0].kind == 'base') != bool(base):
            raise Refused(f'{name}: a base, or none, against what MANIFEST says')


def header_digest(records):
    """The digest of a segment: of the offset and the header of each of its records."""
    return xxh3_64(b''.join(struct.pack('<QIIIQ', r.offset, r.crc, len(r.key), len(r.value), r.timestamp)
                            for r in records))


def number_of(name):
    return int(name.split('.')[0])


def read_file(path):
    with open(path, 'rb') as f:
        return f.read()


def listed_files(data_dir, manifest):
    """The names of the sealed segments, in the order of the log."""
    names = sorted((n for n in os.listdir(data_dir) if SEALED_NAME.fullmatch(n)), key=number_of)
    if manifest is None:
        bases = [n for n in names if read_file(os.path.join(data_dir, n))[20:22] == b'\0b']
        return names[names.index(bases[-1]):] if bases else names
    if any(number_of(name) >= manifest.active for name in names):
        raise Refused('MANIFEST: older than the segments')
    return [segment[0] for segment in manifest.segments]


def check_number(manifest, name, number, data, must):
    """Compares the segment record that a segment begins with with where it stands."""
    if not data:
        return
    record = Record(data, 0)
    if record.kind != 'segment' and must:
        raise Refused(f'{name}: does not begin with its number')
    if record.kind == 'segment' and (manifest is None or record.number != number or
                                     record.store_id != manifest.store_id):
        raise Refused(f'{name}: says that it is segment {record.number} of {record.store_id}')


def read_store(data_dir):
    """The name and the bytes of each file that is a part of the log, in order."""
    manifest, path = None, os.path.join(data_dir, 'MANIFEST')
    if os.path.exists(path):
        manifest = Manifest(read_file(path).decode('ascii', 'replace'))
    names = listed_files(data_dir, manifest)
    sealed = len(names)
    active = manifest.active if manifest else number_of(names[-1]) + 1 if names else 1
    full = [n for n in os.listdir(data_dir) if FULL_NAME.fullmatch(n) and number_of(n) >= active]
    names += sorted(full, key=number_of)
    numbers = [number_of(name) for name in names]
    if os.path.exists(os.path.join(data_dir, 'active.data')):
        names.append('active.data')
        numbers.append(active + len(full))
    files = []
    for i, (name, number) in enumerate(zip(names, numbers)):
        path = os.path.join(data_dir, name)
        if not os.path.exists(path):
            raise Refused(f'{name}: is missing')
        data = read_file(path)
        if manifest and i < sealed:
            manifest.check_segment(manifest.segments[i], data)
        check_number(manifest, name, number, data,
                     manifest and i >= sealed and number >= manifest.numbered_from)
        files.append((name, data))
    return files


def all_commits(files):
    """Yields each commit of a log that is several files."""
    for name, data in files:
        try:
            yield from commits(data)
        except Invalid as e:
            raise Refused(f'{name}: {e}' if len(files) > 1 else str(e)) from e


def split(path):
    """The components of a path, or None for a key that no path can name."""
    if not 0 < len(path) <= PATH_MAX or b'\0' in path:
        return None
    names = path.split(b'/')
    if any(name in (b'', b'.', b'..') or len(name) > NAME_MAX for name in names):
        return None
    return names


class File:
    """Whatever is no directory; the value of a symlink is its target."""

    def __init__(self, value=b'', kind=FILE):
        self.value, self.mode, self.kind, self.xattrs = value, 0o644, kind, {}


class Directory:
    def __init__(self, explicit=False):
        self.names, self.mode, self.explicit = {}, 0o755, explicit
        self.kind, self.xattrs = DIRECTORY, {}


class Tree:
    """The tree that a log spells out: section 5 of docs/FORMAT.md."""

    def __init__(self):
        self.root = Directory(explicit=True)
        self.unnamed = {}
        self.staged = {}
        self.begun = False
        self.marked = None  # the key of the put that follows, which no path can name

    def lookup(self, names):
        node = self.root
        for name in names:
            if not isinstance(node, Directory) or name not in node.names:
                return None
            node = node.names[name]
        return node

    def enter(self, names):
        """The directory that holds the last component.  What is missing on the way is made; a file
        that is in the way becomes a key that no path can name."""
        node = self.root
        for n, name in enumerate(names[:-1], 1):
            child = node.names.get(name)
            if not isinstance(child, Directory):
                if child is not None and child.value:
                    self.unnamed[b'/'.join(names[:n])] = child.value
                child = node.names[name] = Directory()
            node = child
        return node

    def reveal(self, names):
        """The path has become free: a key that something stood in the way of is a file again."""
        value = self.unnamed.get(b'/'.join(names))
        if value is None:
            return
        parent = self.enter(names)
        if names[-1] not in parent.names:
            parent.names[names[-1]] = File(value)
            del self.unnamed[b'/'.join(names)]

    def prune(self, names):
        """Removes directories that existed only through what was in them."""
        for n in range(len(names), 0, -1):
            node = self.lookup(names[:n])
            if node.names or node.explicit:
                return
            del self.lookup(names[:n - 1]).names[names[n - 1]]
            self.reveal(names[:n])

    def base(self, record):
        if self.begun:
            raise Invalid(record.offset, 'a base that is not the beginning of the log')

    def put(self, record):
        self.put_value(record.key, record.value)

    def put_value(self, key, value):
        if self.marked == key:
            self.unnamed[key], self.marked = value, None
            return
        if split(key) and len(split(key)) > KEY_LEVELS_MAX and \
                not isinstance(self.lookup(split(key)[:-1]), Directory):
            self.unnamed[key] = value
            return
        names = split(key)
        parent = self.enter(names) if names else None
        node = parent.names.get(names[-1]) if parent else None
        if parent is None or (node is not None and node.kind != FILE):
            self.unnamed[key] = value
            return
        if node is None:
            node = parent.names[names[-1]] = File()
        node.value = value
        self.unnamed.pop(key, None)

    def extent(self, record):
        self.staged.setdefault(record.staging, []).append(record)

    def publish(self, record):
        if record.flags & DROPPED:
            self.put_value(record.path, bytes(record.size))  # as many bytes, but nobody has them
            return
        if record.flags & UNNAMED and record.more:
            self.marked = record.path
            return
        names = split(record.path)
        if names is None and not record.flags & UNNAMED:
            raise Invalid(record.offset, 'a publish to what is no path')
        if record.staging and record.staging not in self.staged:
            raise Invalid(record.offset, 'a publish of what was not staged')
        if record.flags & UNNAMED:
            self.unnamed[record.path] = self.lay(record, b'')
            return
        parent, keep = self.enter(names), bool(record.flags & KEEP)
        node = parent.names.get(names[-1])
        if node is None and keep or node is not None and node.kind != FILE:
            raise Invalid(record.offset, 'a publish where no file is')
        value = self.lay(record, node.value if keep else b'')
        if node is None:
            node = parent.names[names[-1]] = File()
        node.value = value
        self.unnamed.pop(record.path, None)

    def lay(self, record, value):
        """What is staged, laid over 'value'."""
        for e in self.staged.pop(record.staging, []):
            data = bytes(min(e.hole, max(record.size - e.at, 0))) if e.flags & HOLE else e.rest
            value = value[:e.at].ljust(e.at if data else 0, b'\0') + data + value[e.at + len(data):]
        return value[:record.size].ljust(record.size, b'\0')

    def delete(self, record):
        names = split(record.key)
        self.unnamed.pop(record.key, None)
        node = self.lookup(names) if names else None
        if node is None or (isinstance(node, Directory) and node.names):
            return
        del self.lookup(names[:-1]).names[names[-1]]
        self.prune(names[:-1])

    def attr(self, record):
        node, names = self.root, split(record.path)
        if record.path:
            if names is None:
                raise Invalid(record.offset, 'an attr record for what is no path')
            parent = self.enter(names)
            node = parent.names.get(names[-1])
            if record.content == NEW:
                if isinstance(node, Directory):
                    raise Invalid(record.offset, 'a new file where a directory is')
                node = None
            if node is None and record.type == FILE and record.content == KEPT:
                raise Invalid(record.offset, 'an attr record for a file that does not exist')
            if node is None:
                node = Directory() if record.type == DIRECTORY else File(kind=record.type)
                parent.names[names[-1]] = node
        if node.kind != record.type:
            raise Invalid(record.offset, 'an attr record of the wrong type')
        node.mode = record.mode
        if record.xattrs is not None:
            node.xattrs = record.xattrs
        if record.xattr is not None:
            name, value = record.xattr
            node.xattrs = {k: v for k, v in node.xattrs.items() if k != name}
            if value is not None:
                node.xattrs[name] = value
        if record.type == DIRECTORY:
            node.explicit = node.explicit or not record.flags & IMPLICIT
        elif record.target is not None:
            node.value = record.target
        elif record.content:
            node.value = b''

    def link(self, record):
        old, new = split(record.path), split(record.new_path)
        directory = self.enter(new) if new else None  # first: it may be below the operand
        node = self.lookup(old) if old else None
        if node is None or new is None or isinstance(node, Directory):
            raise Invalid(record.offset, 'a link of or to what cannot have one')
        if new[-1] in directory.names:
            raise Invalid(record.offset, 'a link where something is already')
        directory.names[new[-1]] = node

    def move(self, record):
        old, new = split(record.path), split(record.new_path)
        node = self.lookup(old) if old else None
        if node is None or new is None:
            raise Invalid(record.offset, 'a move of or to what is not there')
        exchange = bool(record.flags & EXCHANGE)
        target = self.enter(new)
        other = target.names.get(new[-1])
        if new[:len(old)] == old:
            raise Invalid(record.offset, 'a move into itself')
        if exchange and (other is None or old[:len(new)] == new):
            raise Invalid(record.offset, 'an exchange with what is not there or above it')
        if not exchange and other is not None and (
                isinstance(node, Directory) != isinstance(other, Directory) or
                isinstance(other, Directory) and other.names):
            raise Invalid(record.offset, 'a move onto what it cannot replace')
        source = self.lookup(old[:-1])
        if node.kind == FILE:
            self.unnamed.pop(record.new_path, None)
        if exchange and other.kind == FILE:
            self.unnamed.pop(record.path, None)
        target.names[new[-1]] = node
        if exchange:
            source.names[old[-1]] = other
            return
        del source.names[old[-1]]
        self.reveal(old)
        self.prune(old[:-1])

    def apply(self, commit):
        """The parts of a group may come in any order; they take effect in this one."""
        if len(commit) > 1 and any(record.kind == 'extent' for record in commit):
            raise Invalid(commit[0].offset, 'an extent in a group')

        def phase(record):
            if record.kind != 'attr':
                return 1
            return 0 if record.type == DIRECTORY else 2
        for record in sorted(commit, key=phase):
            {'plain': self.put, 'tombstone': self.delete, 'attr': self.attr, 'base': self.base,
             'extent': self.extent, 'link': self.link, 'move': self.move,
             'publish': self.publish, 'segment': lambda record: None}[record.kind](record)
        self.begun = True
        if self.marked is not None:
            raise Invalid(commit[0].offset, 'a publish that no put of its key follows')

    def walk(self, node=None, path=b''):
        node = node or self.root
        for name in sorted(node.names):
            child, child_path = node.names[name], path + name
            yield child, child_path
            if isinstance(child, Directory):
                yield from self.walk(child, child_path + b'/')


def show(raw):
    """Bytes as Python writes them, without the quotes: one word per key, and no key looks like another."""
    return repr(b'"' + raw)[3:-1]


def print_records(files):
    for name, data in files:
        if len(files) > 1:
            print('#', name)
        for commit in commits(data):
            for record in commit:
                columns = record.columns()
                print(*columns[:5], show(columns[5]), *columns[6:], sep='\t')


def check_tsv(data, tsv_path):
    with open(tsv_path, encoding='ascii') as f:
        want = [line.rstrip('\n').split('\t') for line in f][1:]
    got = [record.columns() for commit in commits(data) for record in commit]
    got = [[str(c[0]), str(c[1]), str(c[2]), c[3], c[5].hex(), str(c[6]), c[7]] for c in got]
    for number, (g, w) in enumerate(zip(got, want), 1):
        if g != w:
            raise Invalid(int(g[0]), f'record {number} is {g}, {tsv_path} has {w}')
    if len(got) != len(want):
        raise Invalid(len(data), f'{len(got)} records, {tsv_path} has {len(want)}')
    print(f'{len(got)} records as in {tsv_path}')


def print_tree(files):
    tree = Tree()
    for commit in all_commits(files):
        tree.apply(commit)
    for node, path in tree.walk():
        if isinstance(node, Directory):
            print('d', f'{node.mode:04o}', '-', '-', show(path), sep='\t')
        else:
            digest = hashlib.sha256(node.value).hexdigest()
            print(TYPE_LETTERS[node.kind], f'{node.mode:04o}', len(node.value), digest, show(path),
                  sep='\t')
    for key, value in sorted(tree.unnamed.items()):
        digest = hashlib.sha256(value).hexdigest()
        print('-', '-', len(value), digest, show(key), sep='\t')


def main(argv):
    args = argv[1:]
    mode, tsv = 'records', None
    if args[:1] == ['--tree']:
        mode, args = 'tree', args[1:]
    elif args[:1] == ['--check-tsv'] and len(args) > 1:
        mode, tsv, args = 'check', args[1], args[2:]
    if len(args) != 1 or args[0].startswith('-'):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        files = read_store(args[0]) if os.path.isdir(args[0]) else [('it', read_file(args[0]))]
        if mode == 'records':
            print_records(files)
        elif mode == 'check':
            check_tsv(b''.join(data for _, data in files), tsv)
        else:
            print_tree(files)
    except Refused as e:
        print(f'{args[0]}: {e}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv))
