#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Folds random logs and compares, by the independent decode.py, the tree that the folded log makes with the one
that the log has made.  Writes test lines as TAP.

usage: compare_folds.py FREYJACTL LOGS
"""
import os
import random
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import compare_replay as compare  # noqa: E402
import decode  # noqa: E402
import make_golden as make  # noqa: E402

LOGS_PER_CASE = 10
FOLDS_SHARE = 3  # so many logs at most for one that is folded

# What a fold leaves nothing of, so that it is worth it.
USELESS = b''.join(make.record(b'~', b'x' if i % 2 == 0 else b'', 10 + i) for i in range(400))


def is_base(data):
    return data[20:22] == b'\0b'


def random_log(rng):
    """A log that is not refused, without a base."""
    while True:
        log = compare.random_log(rng)
        if not is_base(log) and compare.replay(log) is not None:
            return log


def fold(freyjactl, log):
    """The log after a compaction; None: the store does not take it (it refuses what the decoder lets through, a
    move from one name of a file to another)."""
    with tempfile.TemporaryDirectory() as data_dir:
        os.chmod(data_dir, 0o700)
        for name, data in (('000001.data', USELESS + log), ('active.data', b'')):
            with open(os.path.join(data_dir, name), 'wb') as f:
                f.write(data)
        done = subprocess.run([freyjactl, 'compact', data_dir], capture_output=True, text=True, check=False)
        if done.returncode == 3 and 'nothing was changed' in done.stderr:
            return None
        if done.returncode != 0:
            raise AssertionError(f'freyjactl: exit status {done.returncode}: {done.stderr}')
        return b''.join(data for _, data in decode.read_store(data_dir))


def main(argv):
    freyjactl, logs = argv[1], int(argv[2])
    cases, folds, failed = logs // LOGS_PER_CASE, 0, 0
    print(f'1..{cases + 1}')
    for seed in range(cases):
        rng, found = random.Random(seed), None
        for _ in range(LOGS_PER_CASE):
            log = random_log(rng)
            folded = fold(freyjactl, log)
            if folded is None:
                continue
            folds += is_base(folded)
            want, got = compare.replay(USELESS + log), compare.replay(folded)
            if want != got:
                found = f'before: {want}\n# after: {got}'
        if found:
            failed = 1
            print(f'# {found}')
        print(f'{"not ok" if found else "ok"} {seed + 1} - random logs, seed {seed}')
    enough = folds * FOLDS_SHARE >= logs
    print(f'{"ok" if enough else "not ok"} {cases + 1} - {folds} of {logs} logs were folded')
    return failed or not enough


if __name__ == '__main__':
    sys.exit(main(sys.argv))
