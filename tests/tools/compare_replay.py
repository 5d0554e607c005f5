#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the store's replay with the independent one of decode.py: the golden logs, and random logs whose records
fit each other, cross each other, or do not fit at all.

usage: compare_replay.py PRINT_STORE GOLDEN_DIR LOGS
"""
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import decode as decoder  # noqa: E402
import make_golden as make  # noqa: E402

NAMES = [b'a', b'b', b'c']
ODD_KEYS = [b'a//b', b'..', b'/a', b'a/', b'']
LOGS_PER_CASE = 10


def random_path(rng):
    return b'/'.join(rng.choice(NAMES) for _ in range(rng.randint(1, 3)))


def random_record(rng):
    """Key and value; most fit some tree."""
    kind = rng.randrange(14)
    path = random_path(rng)
    more = make.MORE if rng.random() < 0.1 else 0
    if kind >= 12:
        data = make.hole(rng.randrange(20), rng.randrange(1, 10)) if rng.random() < 0.3 else \
            make.extent(rng.randrange(20), b'%d' % rng.randrange(1000))
        return make.extent_key(rng.randint(1, 3)), data
    if kind >= 10 and rng.random() < 0.15:
        key = rng.choice(ODD_KEYS) if rng.random() < 0.2 else path
        if more or rng.random() < 0.5:
            return b'\0p' + key, make.publish(0, 0, make.UNNAMED | make.MORE)
        return b'\0p' + key, make.publish(rng.randint(1, 3), rng.randint(1, 24), make.UNNAMED)
    if kind >= 10:
        keep = make.KEEP if rng.random() < 0.7 else 0
        return b'\0p' + path, make.publish(rng.randrange(4), rng.randrange(24), keep | more)
    if kind < 4:
        key = rng.choice(ODD_KEYS) if rng.random() < 0.05 else path
        return key, b'v%d' % rng.randrange(100)
    if kind < 6:
        return path, b''
    if kind == 6:
        implicit = make.IMPLICIT if rng.random() < 0.3 else 0
        return b'\0a' + path, make.attr(make.DIRECTORY, mode=rng.randrange(0o10000),
                                        flags=more | implicit)
    if kind == 7:
        content = rng.choice([make.EMPTY] * 6 + [make.KEPT] * 2 + [make.NEW] * 2)
        return b'\0a' + path, make.attr(make.FILE, content, rng.randrange(0o10000), flags=more)
    if rng.random() < 0.25:
        return b'\0l' + path, make.move(random_path(rng), more, ino=rng.randrange(3))
    flags = more | (make.EXCHANGE if rng.random() < 0.3 else 0)
    return b'\0m' + path, make.move(random_path(rng), flags, ino=rng.randrange(3))


def replay(data):
    """The lines of print_store by decode.py, or None when the log is refused."""
    tree = decoder.Tree()
    try:
        for commit in decoder.commits(data):
            tree.apply(commit)
    except decoder.Invalid:
        return None
    lines, files = [f'n {len(tree.unnamed)}'], set()
    for node, path in tree.walk():
        if isinstance(node, decoder.Directory):
            lines.append(f'd {node.mode:04o} {path.hex()}')
        else:
            files.add(path)
            lines.append(f'f {node.mode:04o} {path.hex()} {node.value.hex()}')
    lines += [f'u {key.hex()} {value.hex()}' for key, value in tree.unnamed.items()
              if key not in files]
    return sorted(line.strip() for line in lines)


def random_log(rng):
    """A log built record by record; a record that does not fit stays now and then, as the last one."""
    data, timestamp = b'', 1000
    if rng.random() < 0.2:
        data = make.record(b'\0b', make.base(900, rng.randrange(1000)), 900)
    for _ in range(rng.randint(1, 40)):
        key, value = random_record(rng)
        longer = data + make.record(key, value, timestamp)
        timestamp += 1
        if key[:1] == b'\0' and value[1] & make.MORE:
            marks = key[1:2] == b'p' and value[1] & make.UNNAMED and rng.random() < 0.9
            key, value = key[2:] if marks else random_path(rng), b'end'
            longer += make.record(key, value, timestamp)
            timestamp += 1
        if replay(longer) is not None:
            data = longer
        elif rng.random() < 0.03:
            return longer
    return data


def all_keys(data):
    """The keys, and the paths and beginnings of paths, that the records of a log name."""
    keys = set()
    for commit in decoder.commits(data):
        for r in commit:
            paths = [getattr(r, 'path', r.key), getattr(r, 'new_path', r.key)]
            for path in paths:
                names = path.split(b'/')
                keys |= {path} | {b'/'.join(names[:n]) for n in range(1, len(names))}
    return keys


def store_lines(print_store, work_dir, data):
    data_dir = os.path.join(work_dir, 'data')
    shutil.rmtree(data_dir, ignore_errors=True)
    os.mkdir(data_dir, 0o700)
    with open(os.path.join(data_dir, 'active.data'), 'wb') as f:
        f.write(data)
    done = subprocess.run([print_store, data_dir], capture_output=True, text=True, check=False,
                          input=''.join(key.hex() + '\n' for key in sorted(all_keys(data))))
    if done.returncode == 3:
        return None
    if done.returncode != 0:
        raise AssertionError(f'print_store: exit status {done.returncode}: {done.stderr}')
    return sorted(line.strip() for line in done.stdout.splitlines())


def differ(print_store, work_dir, data):
    want, got = replay(data), store_lines(print_store, work_dir, data)
    if want == got:
        return None
    commits = [(r.kind, r.key, r.value[:20]) for c in decoder.commits(data) for r in c]
    return f'decode.py: {want}\n# store: {got}\n# log: {commits}'


def main(argv):
    print_store, golden_dir, logs = argv[1], argv[2], int(argv[3])
    cases = [(name, [open(os.path.join(golden_dir, name), 'rb').read()])
             for name in ('freyjadb.data', 'meta.data', 'extents.data', 'dropped.data', 'base.data')]
    for seed in range(logs // LOGS_PER_CASE):
        rng = random.Random(seed)
        cases.append((f'random logs, seed {seed}', [random_log(rng) for _ in range(LOGS_PER_CASE)]))
    failed = 0
    print(f'1..{len(cases)}')
    with tempfile.TemporaryDirectory() as work_dir:
        for number, (name, datas) in enumerate(cases, 1):
            found = next(filter(None, (differ(print_store, work_dir, d) for d in datas)), None)
            if found:
                failed = 1
                print(f'# {found}')
            print(f'{"not ok" if found else "ok"} {number} - {name}')
    return failed


if __name__ == '__main__':
    sys.exit(main(sys.argv))
