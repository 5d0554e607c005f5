#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of decode.py: right on the golden logs, and loud about anything else.

usage: test_decode.py GOLDEN_DIR
"""
import contextlib
import hashlib
import io
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import decode as decoder  # noqa: E402


def decode(*args):
    """What the program would do, without starting it each time."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = decoder.main(['decode.py', *args])
    return status, out.getvalue(), err.getvalue()


def tree(*records):
    """Type, value and path of each node that the records give, without its mode."""
    with tempfile.NamedTemporaryFile() as f:
        f.write(b''.join(records))
        f.flush()
        status, out, err = decode('--tree', f.name)
    assert status == 0, err
    return [line.split('\t')[0] + ' ' + line.split('\t')[4] for line in out.splitlines()]


ATTR_DIR = bytes([1, 0, 2, 0, 0, 0, 0xed, 1]) + bytes(8)
MOVE, EXCHANGE = b'\1\0' + bytes(8), b'\1\2' + bytes(16)
ATTR_EMPTY = bytes([1, 0, 1, 1, 0, 0, 0xa4, 1]) + bytes(8)


def record(key, value, timestamp=1):
    body = struct.pack('<IIQ', len(key), len(value), timestamp) + key + value
    return struct.pack('<I', zlib.crc32(body)) + body


class Cases:
    def __init__(self, golden_dir, work_dir):
        self.log = os.path.join(golden_dir, 'freyjadb.data')
        self.tsv = os.path.join(golden_dir, 'freyjadb.tsv')
        self.meta = os.path.join(golden_dir, 'meta.data')
        self.work = os.path.join(work_dir, 'x.data')
        with open(self.log, 'rb') as f:
            self.data = f.read()

    def write(self, data):
        with open(self.work, 'wb') as f:
            f.write(data)
        return self.work

    def refuses(self, data, message):
        status, _, err = decode(self.write(data))
        assert status == 1, (status, err)
        assert message in err, err

    def case_golden_list(self):
        status, out, err = decode('--check-tsv', self.tsv, self.log)
        assert (status, err) == (0, ''), err
        assert out.startswith('14 records'), out

    def case_golden_lines(self):
        status, out, _ = decode(self.log)
        lines = [line.split('\t') for line in out.splitlines()]
        assert status == 0 and len(lines) == 14
        assert lines[6][4:7] == ['tombstone', 'gone', '0'], lines[6]
        assert lines[3][5] == r'na\xc3\xafve-\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87-\xe9\x8d\xb5'
        assert sum(int(line[1]) for line in lines) == len(self.data)

    def case_golden_tree(self):
        status, out, _ = decode('--tree', self.log)
        nodes = {line.split('\t')[4]: line.split('\t') for line in out.splitlines()}
        assert status == 0
        assert nodes['hello'][3] == \
            'd8c9052008893f6c34624cf57a6a4a29db8aa5b2edb92964b622dcfc41746887'
        assert 'gone' not in nodes
        assert nodes['users'][0] == 'd' and nodes['users/42/name'][0] == 'f'
        assert nodes['odd/../name'][0] == '-'

    def case_meta_tree(self):
        status, out, _ = decode('--tree', self.meta)
        digest = hashlib.sha256(b'content\n').hexdigest()
        empty = hashlib.sha256(b'').hexdigest()
        target = hashlib.sha256(b'f').hexdigest()
        assert status == 0
        assert out.splitlines() == [f'f\t0600\t0\t{empty}\tempty', f'f\t0640\t8\t{digest}\thard',
                                    'd\t0750\t-\t-\tmoved',
                                    f'f\t0640\t8\t{digest}\tmoved/f',
                                    f'l\t0777\t1\t{target}\tmoved/sym'], out

    def case_list_with_a_changed_row(self):
        with open(self.tsv, encoding='ascii') as f:
            changed = f.read().replace('26d14eb1', '26d14eb2')
        status, _, err = decode('--check-tsv', self.write(changed.encode()), self.log)
        assert status == 1 and 'record 14' in err, err

    def case_list_with_a_row_too_many(self):
        with open(self.tsv, encoding='ascii') as f:
            text = f.read()
        status, _, err = decode('--check-tsv', self.write((text + text[-120:]).encode()), self.log)
        assert status == 1 and '14 records' in err, err

    def case_flipped_bits(self):
        for at in list(range(0, 31)) + [60, 500, 70449, 70755, len(self.data) - 1]:
            data = bytearray(self.data)
            data[at] ^= 0x10
            status, _, err = decode(self.write(bytes(data)))
            assert status == 1, f'a bit flipped at {at} was not seen'
            assert 'offset ' in err, err

    def case_cut_at_every_byte_of_the_last_record(self):
        for keep in range(len(self.data) - 33, len(self.data)):
            self.refuses(self.data[:keep], 'offset 70756: ')

    def case_cut_between_records(self):
        status, out, _ = decode(self.write(self.data[:70756]))
        assert status == 0 and len(out.splitlines()) == 13

    def case_empty_file(self):
        assert decode(self.write(b'')) == (0, '', '')

    def case_trailing_zeros(self):
        self.refuses(self.data + bytes(1), 'offset 70790: 1 bytes')
        self.refuses(self.data + bytes(100), 'offset 70790: zeros')

    def case_trailing_garbage(self):
        self.refuses(self.data + b'x' * 40, 'offset 70790: the record claims')

    def case_group_without_its_end(self):
        with open(self.meta, 'rb') as f:
            data = f.read()
        first = 20 + 5 + 16
        group = 20 + 7 + 28
        self.refuses(data[:first + group], f'offset {first}: the file ends inside a group')

    def case_unknown_meta(self):
        attr = bytes([1, 0, 2, 0, 0, 0, 0xed, 1]) + bytes(8)
        assert decode(self.write(record(b'\0ad', attr)))[0] == 0
        self.refuses(record(b'\0hd', attr), 'unknown kind')
        self.refuses(record(b'\0', attr), 'unknown kind')
        self.refuses(record(b'\0ad', b'\2' + attr[1:]), 'version 2')
        self.refuses(record(b'\0ad', b'\1\4' + attr[2:]), 'unknown flags')
        self.refuses(record(b'\0ad', attr[:5] + b'\1' + attr[6:]), 'unknown fields')
        self.refuses(record(b'\0ad', attr[:2] + b'\3' + attr[3:]), 'out of its range')
        self.refuses(record(b'\0ad', attr + b'\0'), 'left over')
        self.refuses(record(b'\0ad', attr[:15]), 'too early')
        self.refuses(record(b'\0ad', b''), 'without version')
        self.refuses(record(b'\0md', b'\1\0'), 'too early')
        self.refuses(record(b'\0md', MOVE), 'without a new path')

    def case_extents_that_are_none(self):
        key, at = b'\0e' + b'\1' + bytes(7), bytes(8)
        for bad_key, value in ((b'\0e', b'\1\0' + at + b'x'), (b'\0e' + bytes(8), b'\1\0' + at + b'x'),
                               (key, b'\1\0' + at), (key, b'\1\4' + at + bytes(8)),
                               (key, b'\1\0' + b'\xff' * 8 + b'x')):
            self.refuses(record(bad_key, value), 'extent')
        self.refuses(record(key, b'\1\4' + at + b'\1' + bytes(8)), 'hole')
        self.refuses(record(key, b'\1\1' + at + b'x'), 'unknown flags')
        self.refuses(record(b'\0pa', b'\1\0' + bytes(17)), 'publish')
        self.refuses(record(b'\0pa', b'\1\0' + bytes(15) + b'\x80'), 'publish')
        self.refuses(record(b'\0pa', b'\1\0' + bytes(15)), 'too early')

    def case_golden_extents(self):
        path = os.path.join(os.path.dirname(self.log), 'extents.data')
        status, out, _ = decode('--tree', path)
        want = [('holes', b'01\0\0\x005678END\0\0\0'), ('large', b'first\nsec')]
        assert status == 0
        assert out == ''.join(f'f\t0644\t{len(v)}\t{hashlib.sha256(v).hexdigest()}\t{k}\n'
                              for k, v in want), out

    def case_golden_dropped(self):
        status, out, _ = decode('--tree', os.path.join(os.path.dirname(self.log), 'dropped.data'))
        want = [('covered', b'full'), ('dir/file', b'whole\n')]
        assert status == 0
        for key, value in want:
            assert f'{len(value)}\t{hashlib.sha256(value).hexdigest()}\t{key}\n' in out, out
        for value in (b'\1\x08' + bytes(16), b'\1\x0c' + bytes(8) + b'\1' + bytes(7)):
            self.refuses(record(b'\0pa', value), 'dropped')
        self.refuses(record(b'\0e' + b'\1' + bytes(7), b'\1\x08' + bytes(8) + b'x'), 'dropped')

    def case_golden_xattrs(self):
        status, _, err = decode('--tree', os.path.join(os.path.dirname(self.log), 'xattrs.data'))
        assert status == 0, err
        for change in (b'\2\1' + bytes(4) + b'n', b'\0\1\1' + bytes(3) + b'nv', b'\1' + bytes(5)):
            value = b'\1\0\1\1\x80\0' + bytes(10) + change
            self.refuses(record(b'\0aa', value), 'xattr')

    def case_golden_base(self):
        status, out, _ = decode('--tree', os.path.join(os.path.dirname(self.log), 'base.data'))
        assert status == 0
        new = hashlib.sha256(b'new\n').hexdigest()
        for line in ('d\t0755\t-\t-\ta/e', f'f\t0644\t4\t{new}\td/g',
                     f'-\t-\t6\t{hashlib.sha256(b"hidden").hexdigest()}\td/f',
                     f'-\t-\t7\t{hashlib.sha256(bytes(1) + b"pieces").hexdigest()}\ta/e'):
            assert line in out, (line, out)
        base = record(b'\0b', b'\1\0' + bytes(16))
        status, _, err = decode('--tree', self.write(record(b'a', b'1') + base))
        assert status == 1 and 'beginning' in err, err
        self.refuses(record(b'\0b', b'\1\1' + bytes(16)), 'flags')
        self.refuses(record(b'\0b', b'\1\0' + bytes(17)), 'base')
        self.refuses(record(b'\0b', b'\1\0' + bytes(15)), 'too early')
        self.refuses(record(b'\0bx', b'\1\0' + bytes(16)), 'base')
        self.refuses(record(b'\0aa', b'\1\x10\1' + bytes(13)), 'range')
        self.refuses(record(b'\0pa', b'\1\x10' + bytes(16)), 'unnameable')

    def case_publishes_that_do_not_fit(self):
        staged = record(b'\0e' + b'\1' + bytes(7), b'\1\0' + bytes(8) + b'x')
        first, keep = b'\1\0\1' + bytes(15), b'\1\4\1' + bytes(15)
        assert tree(staged, record(b'\0pa', first)) == ['f a']
        for log in (record(b'\0pa', first), staged + 2 * record(b'\0pa', first),
                    staged + record(b'\0pa', keep), staged + record(b'\0pa//b', first),
                    staged + record(b'\0aa', ATTR_DIR) + record(b'\0pa', first)):
            status, _, err = decode('--tree', self.write(log))
            assert status == 1 and 'publish' in err, err

    def copy_store(self):
        """A copy of the golden store, and a function that changes a file of it."""
        store = tempfile.mkdtemp(dir=os.path.dirname(self.work))
        shutil.copytree(os.path.join(os.path.dirname(self.log), 'store'), store, dirs_exist_ok=True)

        def change(name, how):
            path = os.path.join(store, name)
            with open(path, 'rb') as f:
                data = how(f.read())
            with open(path, 'wb') as f:
                f.write(data)
        return store, change

    def case_golden_store(self):
        store, _ = self.copy_store()
        status, out, err = decode('--tree', store)
        assert (status, err) == (0, ''), err
        assert [line.split('\t')[4] for line in out.splitlines()] == ['a', 'moved', 'moved/b'], out
        assert hashlib.sha256(b'last\n').hexdigest() in out
        status, out, _ = decode(store)
        assert status == 0 and out.count('\tsegment\t') == 2 and len(out.splitlines()) == 3 + 7, out
        with open(os.path.join(store, '000002.7.data'), 'wb') as f:
            f.write(b'a stranger')
        assert decode('--tree', store)[0] == 0

    def case_store_that_is_not_as_manifest_says(self):
        def flip(data):
            return data[:-1] + bytes([data[-1] ^ 1])

        def other(data):
            return data[:27] + record(b'dir/c', data[52:], 1700000000000000001)

        with open(os.path.join(os.path.dirname(self.log), 'store', '000002.2.data'), 'rb') as f:
            second = f.read()
        for name, how, message in (
                ('MANIFEST', flip, 'CRC'), ('000001.data', flip, 'crc'),
                ('000001.data', lambda data: data[:27], '27 bytes, 59 by MANIFEST'),
                ('000001.data', other, 'another digest'),
                ('active.data', lambda data: data[48:], 'does not begin with its number'),
                ('active.data', lambda data: second, 'says that it is segment 2'),
                ('active.data', lambda data: data[:-1], 'active.data: offset 48')):
            store, change = self.copy_store()
            change(name, how)
            status, _, err = decode('--tree', store)
            assert status == 1 and message in err, (name, message, err)
        for name, instead, message in (('000002.2.data', '000002.data', 'is missing'),
                                       ('000002.2.data', '000003.data', 'older than the segments'),
                                       ('MANIFEST', 'elsewhere', 'says that it is segment 2')):
            store, _ = self.copy_store()
            os.rename(os.path.join(store, name), os.path.join(store, instead))
            status, _, err = decode('--tree', store)
            assert status == 1 and message in err, (name, message, err)

    def case_manifests_that_are_none(self):
        def manifest(*lines):
            text = ''.join(line + '\n' for line in lines).encode()
            return (text + b'crc32 %08x\n' % zlib.crc32(text)).decode()

        whole = ['freyjafs manifest 1', 'store ' + '0' * 32, 'numbered_from 2',
                 'segment 000001.data bytes=1 records=1 first=1 last=1', 'obsolete 000001.2.data',
                 'active 2', 'durable 2 0']
        assert decoder.Manifest(manifest(*whole)).active == 2
        for at, line in ((0, 'freyjafs manifest 2'), (1, 'store 0'), (2, 'numbered_from 0'),
                         (2, 'numbered_from 02'), (3, whole[3] + ' digest=0'), (4, 'obsolete 000001.data'),
                         (3, whole[3].replace('000001', '000000')), (5, 'active 1'), (6, 'durable 1 0'),
                         (6, 'durable 2'), (4, whole[3]), (6, 'durable 2 0\nmore')):
            try:
                decoder.Manifest(manifest(*whole[:at], line, *whole[at + 1:]))
                assert False, line
            except decoder.Refused as e:
                assert 'MANIFEST' in str(e)

    def case_program(self):
        """As a program: output, message and exit status go where they should."""
        def run(*args):
            return subprocess.run([sys.executable, os.path.join(HERE, 'decode.py'), *args],
                                  capture_output=True, text=True, check=False)
        whole = run('--check-tsv', self.tsv, self.log)
        assert whole.returncode == 0 and whole.stdout.startswith('14 records'), whole
        torn = run(self.write(self.data[:-1]))
        assert torn.returncode == 1 and 'offset 70756' in torn.stderr, torn
        assert run(self.work + '.none').returncode == 1

    def case_directories_come_and_go_with_keys(self):
        assert tree(record(b'a/b/c', b'1')) == ['d a', 'd a/b', 'f a/b/c']
        assert tree(record(b'a/b/c', b'1'), record(b'a/b/c', b'')) == []
        assert tree(record(b'\0aa', ATTR_DIR), record(b'a/b', b'1'), record(b'a/b', b'')) == ['d a']
        assert tree(record(b'\0aa', ATTR_DIR), record(b'a', b'')) == []
        assert tree(record(b'a/b', b'1'), record(b'a', b'')) == ['d a', 'f a/b']

    def case_keys_in_the_way_of_others(self):
        both = [record(b'a', b'1'), record(b'a/b', b'2')]
        assert tree(*both) == ['d a', 'f a/b', '- a']
        assert tree(*reversed(both)) == ['d a', 'f a/b', '- a']
        assert tree(*both, record(b'a/b', b'')) == ['f a']
        assert tree(*both, record(b'a', b'')) == ['d a', 'f a/b']
        assert tree(*both, record(b'\0ma', MOVE + b'c')) == ['f a', 'd c', 'f c/b']
        assert tree(record(b'\0aa', ATTR_EMPTY), record(b'a/b', b'2')) == ['d a', 'f a/b']

    def case_moves(self):
        a, b = record(b'a', b'1'), record(b'd/b', b'2')
        assert tree(a, record(b'\0ma', MOVE + b'c')) == ['f c']
        assert tree(a, record(b'\0ma', MOVE + b'x/y')) == ['d x', 'f x/y']
        assert tree(a, b, record(b'\0md/b', MOVE + b'a')) == ['f a']
        assert tree(a, b, record(b'\0md', MOVE + b'e')) == ['f a', 'd e', 'f e/b']
        assert tree(a, b, record(b'\0ma', EXCHANGE + b'd')) == ['d a', 'f a/b', 'f d']
        for bad in (MOVE + b'a', MOVE + b'a/b', MOVE + b'd', EXCHANGE + b'none', MOVE + b'/'):
            status, _, err = decode('--tree', self.write(a + b + record(b'\0ma', bad)))
            assert status == 1 and ('move' in err or 'exchange' in err), (bad, err)

    def case_attr_that_does_not_fit(self):
        kept = ATTR_EMPTY[:3] + b'\0' + ATTR_EMPTY[4:]
        for log in (record(b'\0aa', kept), record(b'a', b'1') + record(b'\0aa', ATTR_DIR),
                    record(b'\0aa', ATTR_DIR) + record(b'\0aa', ATTR_EMPTY),
                    record(b'\0a', ATTR_EMPTY), record(b'\0aa//b', ATTR_DIR)):
            status, _, err = decode('--tree', self.write(log))
            assert status == 1 and 'attr record' in err, err

    def case_usage(self):
        assert decode()[0] == 2
        assert decode('--bogus')[0] == 2
        assert decode('--check-tsv', self.tsv)[0] == 2


def main(argv):
    failed = 0
    with tempfile.TemporaryDirectory() as work_dir:
        cases = Cases(argv[1], work_dir)
        names = [name for name in dir(cases) if name.startswith('case_')]
        print(f'1..{len(names)}')
        for number, name in enumerate(names, 1):
            title = name[len('case_'):].replace('_', ' ')
            try:
                getattr(cases, name)()
                print(f'ok {number} - {title}')
            except AssertionError as e:
                failed = 1
                print(f'# {e!r}\nnot ok {number} - {title}')
    return failed


if __name__ == '__main__':
    sys.exit(main(sys.argv))
