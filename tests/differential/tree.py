# SPDX-License-Identifier: MIT
"""A whole directory tree as plain values, to compare it with another or with itself later."""
import hashlib
import os
import stat
import sys
import time


def picture(root, contents=True):
    """Returns path -> all that is to be seen of each entry, and path -> stat."""
    entries, stats, names_of = {}, {}, {}
    pending = [b""]
    while pending:
        path = pending.pop()
        full = os.path.join(root, path)
        found = os.lstat(full)
        stats[path] = found
        entry = {"mode": oct(found.st_mode), "nlink": found.st_nlink, "uid": found.st_uid,
                 "gid": found.st_gid, "rdev": found.st_rdev, "mtime_ns": found.st_mtime_ns}
        if stat.S_ISDIR(found.st_mode):
            with os.scandir(full) as directory:
                listed = [(one.name, one.inode()) for one in directory]
            entry["names"] = sorted(name for name, _ in listed)
            pending += [os.path.join(path, name) for name, _ in listed]
            for name, ino in listed:
                if os.lstat(os.path.join(full, name)).st_ino != ino:
                    entry["inode numbers"] = f"of {name!r}: {ino} when listed"
        else:
            entry["size"] = found.st_size
            names_of.setdefault(found.st_ino, []).append(path)
        if stat.S_ISREG(found.st_mode) and contents:
            with open(full, "rb") as file:
                entry["content"] = hashlib.file_digest(file, "blake2b").hexdigest()
        if stat.S_ISLNK(found.st_mode):
            entry["target"] = os.readlink(full)
        entry["xattrs"] = sorted((name, os.getxattr(full, name, follow_symlinks=False))
                                 for name in os.listxattr(full, follow_symlinks=False))
        entries[path] = entry
    for names in names_of.values():
        for path in names:
            entries[path]["same file"] = sorted(names)
    return entries, stats


def difference(want, got, explicit=None):
    """The first difference of two pictures in words, or None.  Times count when explicit(time) says
    that one of them was set by somebody."""
    for path in sorted(want.keys() | got.keys()):
        if path not in want or path not in got:
            return f"{path!r} is {'missing' if path in want else 'too much'}"
        for key in want[path].keys() | got[path].keys():
            pair = [entry[path].get(key) for entry in (want, got)]
            if pair[0] == pair[1]:
                continue
            if key == "mtime_ns" and explicit and not explicit(pair[0]):
                # A directory may have lost a change that left no record.
                if "names" in want[path] or not explicit(pair[1]):
                    continue
            return f"{path!r}: {key}: wanted {pair[0]}, got {pair[1]}"
    return None


def changed_stats(before, after, explicit):
    """The first difference in stat(2) of the same tree at two times, in words, or None.
    Of access times and those of directories only what somebody set counts."""
    for path in sorted(before.keys() & after.keys()):
        for key in ("st_ino", "st_mode", "st_nlink", "st_uid", "st_gid", "st_rdev", "st_size",
                    "st_blocks", "st_blksize", "st_atime_ns", "st_mtime_ns", "st_ctime_ns"):
            pair = [getattr(stats[path], key) for stats in (before, after)]
            of_directory = key.endswith("time_ns") and stat.S_ISDIR(before[path].st_mode)
            if (of_directory or key == "st_atime_ns") and not explicit(pair[0]):
                continue
            if pair[0] != pair[1]:
                return f"{path!r}: {key}: {pair[0]} before, {pair[1]} after"
    return None


def main():
    """usage: tree.py ONE OTHER: compares two trees, as far as mtime those times that are not from
    today."""
    one, other = (picture(os.fsencode(root)) for root in sys.argv[1:])
    today = time.time_ns() - 86400 * 10 ** 9
    wrong = difference(one[0], other[0], lambda time_ns: time_ns < today)
    if wrong:
        sys.exit(f"{sys.argv[1]} and {sys.argv[2]} differ: {wrong}")


if __name__ == "__main__":
    main()
