#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fills a mounted store and removes from it, as a seed says, and knows what has to be there.

    full_disk.py KEYS STATE fill SEED     writes files until there is no space
    full_disk.py KEYS STATE remove SEED   removes some of them, in some order; each must go
    full_disk.py KEYS STATE check         everything that is there is what was written
    full_disk.py KEYS STATE live          prints the bytes that the store needs for them

STATE is a file in which it keeps what was written.  A write for which there is no space leaves the
file as it was, or with its first bytes, and it is removed."""
import errno
import hashlib
import json
import os
import pathlib
import random
import sys

RECORD_BYTES = 20
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# What files a fill writes: their sizes, and how many of them there are at most.
KINDS = {
    "tiny": (lambda rng: rng.randrange(1, 300), 8000),
    "small": (lambda rng: rng.randrange(300, 9000), 8000),
    "usual": (lambda rng: rng.randrange(4000, 120000), 4000),
    "large": (lambda rng: rng.randrange(200000, 3000000), 2000),
    "one": (lambda rng: 1 << 40, 1),
}


def content(seed, size):
    """The same bytes whenever it is asked for; not compressible."""
    return random.Random(seed).randbytes(size)


def write(path, seed, size):
    """Writes a file; returns its size, or None where there was no space."""
    chunk = 1 << 20
    done = 0
    try:
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    except OSError as err:
        if err.errno in NO_SPACE:
            return None
        raise
    try:
        while done < size:
            done += os.write(fd, content(f"{seed} {done // chunk}", min(chunk, size - done)))
    except OSError as err:
        if err.errno not in NO_SPACE:
            raise
        size = done if size == 1 << 40 else None
    try:
        os.close(fd)
    except OSError as err:
        if err.errno not in NO_SPACE:
            raise
        size = None
    return size


def remove(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def write_one(keys, state, name, serial, size):
    """Returns whether there was space."""
    path = keys / name
    written = None
    try:
        path.parent.mkdir(exist_ok=True)
        written = write(path, serial, size)
    except OSError as err:
        if err.errno not in NO_SPACE:
            raise
    if written is None:
        remove(path)  # on a full disk, too
        state.pop(name, None)
        return False
    state[name] = {"seed": serial, "size": written}
    return written == size


def fill(keys, state, seed):
    rng = random.Random(seed)
    serial = max((entry["seed"] for entry in state.values()), default=0)
    used = []
    full = False
    while not full:
        used.append(rng.choice(sorted(KINDS)))
        size_of, count = KINDS[used[-1]]
        for _ in range(count):
            serial += 1
            again = state and rng.random() < 0.05
            name = rng.choice(list(state)) if again else f"{used[-1]}{serial % 7}/{serial}"
            full = not write_one(keys, state, name, serial, size_of(rng))
            if full:
                break
    print(f"filled with {' '.join(used)}: {len(state)} files")


def remove_some(keys, state, seed):
    rng = random.Random(seed)
    names = sorted(state, key=lambda name: state[name]["seed"])
    how = rng.choice(["all", "every second", "older half", "newer half", "some", "large ones"])
    if how == "every second":
        names = names[::2]
    elif how == "older half":
        names = names[:len(names) // 2]
    elif how == "newer half":
        names = names[len(names) // 2:]
    elif how == "some":
        names = rng.sample(names, len(names) * rng.randrange(20, 90) // 100)
    elif how == "large ones":
        names = sorted(names, key=lambda name: -state[name]["size"])[:len(names) // 3 + 1]
    if rng.random() < 0.5:
        rng.shuffle(names)
    for name in names:
        os.unlink(keys / name)
        del state[name]
    for path in keys.iterdir():
        if not any(path.iterdir()) and rng.random() < 0.7:
            path.rmdir()
    print(f"removed {how}: {len(names)} files")


def digest_of(seed, size):
    chunk = 1 << 20
    digest = hashlib.sha256()
    for done in range(0, size, chunk):
        digest.update(content(f"{seed} {done // chunk}", min(chunk, size - done)))
    return digest.digest()


def check(keys, state):
    found = {str(path.relative_to(keys)) for path in keys.rglob("*") if path.is_file()}
    if found != set(state):
        sys.exit(f"missing: {sorted(set(state) - found)[:5]}, too many: {sorted(found - set(state))[:5]}")
    for name, entry in state.items():
        got = hashlib.sha256((keys / name).read_bytes()).digest()
        if got != digest_of(entry["seed"], entry["size"]):
            sys.exit(f"{name} is not what was written")


def main():
    keys, state_path, verb = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    state = json.loads(state_path.read_text()) if state_path.exists() else {}
    if verb == "fill":
        fill(keys, state, int(sys.argv[4]))
    elif verb == "remove":
        remove_some(keys, state, int(sys.argv[4]))
    elif verb == "check":
        check(keys, state)
    elif verb == "live":
        print(sum(entry["size"] + len(name) + RECORD_BYTES for name, entry in state.items()))
    state_path.write_text(json.dumps(state))


if __name__ == "__main__":
    main()
