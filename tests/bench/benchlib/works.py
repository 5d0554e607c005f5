# SPDX-License-Identifier: MIT
"""What is done at a target, in steps.  Each step gives a rate, of which more is better."""

import json
import os
import random
import shutil
import subprocess
import tarfile
import time

from .machine import call, say

USER_BUFFER, PAGE_CACHE, DISK, NOTHING = "user buffer", "page cache", "disk", "none"

TREE_FILES = 6000           # of a source tree that is not given
TREE_DEFAULT = "/usr/include"
GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "gc.auto=0",
       "-c", "safe.directory=*")


def results_of(program, *options, unit):
    """Runs one of the C programs; returns {step: result}."""
    results = {}
    for line in call(program, *options).splitlines():
        result = json.loads(line)
        results[result["step"]] = dict(result, unit=unit)
    return results


class Work:
    def run(self, place, disk):
        """Returns {step: result}."""
        raise NotImplementedError


class Files(Work):
    """Small files, with whatever the kernel has cached of them."""

    WARM = {"stat": "stat warm", "read": "read warm", "readdir": "readdir warm"}

    def __init__(self, bench, threads, steps, *options, size=None, names=None, leave_out=()):
        args = bench.args
        self.program, self.steps = bench.program("filebench"), steps
        self.names, self.leave_out = names or self.WARM, leave_out
        self.size = size or args.file_size
        self.options = [f"--files={args.files}", f"--size={self.size}", f"--threads={threads}",
                        f"--seconds={args.seconds}", "--passes=0", "--warm", *options]

    def steps_at(self, target, disk):
        """The do-nothing daemon lists nothing, and its files have one size; see also Disk."""
        steps = list(self.steps)
        if target.role == "ceiling":
            steps = [s for s in steps if s != "readdir"]
            if self.size != 4096:
                steps = [s for s in steps if s not in ("stat", "read")]
        if target.role == "peer" and disk.keeps_files:
            steps = [s for s in steps if s != "unlink"]
        return steps

    def run(self, place, disk):
        steps = self.steps_at(place.target, disk)
        results = results_of(self.program, *self.options, "--steps=" + ",".join(steps),
                             place.path, unit="files/s")
        return {self.names.get(step, step): result for step, result in results.items()
                if step not in self.leave_out}


class FileBytes(Files):
    """The same in bytes, for files of other sizes: as many as there is room for."""

    BYTES_MAX = 256 << 20

    def __init__(self, bench, size, steps):
        super().__init__(bench, 1, steps, size=size)
        files = max(1, min(bench.args.files, self.BYTES_MAX // size))
        self.options[0] = f"--files={files}"

    def run(self, place, disk):
        results = super().run(place, disk)
        for result in results.values():
            result["rate"] *= self.size / 1e6
            result["unit"] = "MB/s"
        return results


class ColdFiles(Work):
    """Small files of which nothing is cached: after a new mount, each once."""

    STEPS = ("stat", "read", "readdir")

    def __init__(self, bench, threads):
        args = bench.args
        self.program = bench.program("filebench")
        self.options = [f"--files={args.files}", f"--size={args.file_size}",
                        f"--threads={threads}"]
        self.seconds = f"--seconds={args.seconds}"

    def run(self, place, disk):
        call(self.program, *self.options, "--steps=create", place.path)
        results = {}
        for step in self.STEPS:
            place.make_cold()
            done = results_of(self.program, *self.options, self.seconds, "--existing",
                              f"--steps={step}", place.path, unit="files/s")
            results[f"{step} cold"] = done[step]
        return results


class ColdTree(Work):
    """The work of programs on a tree of small files of which nothing is cached."""

    STEPS = {
        "tar cold": "tar -c . | cat >/dev/null",
        "grep -r cold": "grep -r 'of no file' . || true",
        "find -size cold": "find . -size +1G",
        "ls -R cold": "ls -U -R . >/dev/null",
    }
    EMPTY = "cd \"$(mktemp -d)\" && touch file && { %s; } && rm -r \"$PWD\""

    def __init__(self, archive, files):
        self.archive, self.files = archive, files

    def run(self, place, disk):
        call("tar", "-xf", self.archive(), "-C", place.path)
        return {step: self.timed(place, command) for step, command in self.STEPS.items()}

    def timed(self, place, command):
        place.make_cold()
        call("sh", "-c", self.EMPTY % command)      # the programs themselves are warm
        started = time.monotonic()
        call("sh", "-c", command, cwd=place.path)
        return {"rate": self.files / (time.monotonic() - started), "unit": "files/s",
                "class": NOTHING}


class Mail(Work):
    def __init__(self, bench, threads):
        self.argv = [bench.program("mailbench"), f"--threads={threads}",
                     f"--seconds={bench.args.seconds}"]

    def run(self, place, disk):
        return results_of(*self.argv, place.path, unit="rounds/s")


class Large(Work):
    """One large file in calls of one size, read again while it is cached."""

    STEPS = ("write", "read", "random-read", "random-write", "mixed")
    WARM = {"read": "read warm", "random-read": "random-read warm"}

    def __init__(self, bench, call_bytes, steps=STEPS):
        args = bench.args
        self.steps = steps
        self.argv = [bench.program("iobench"), f"--size={args.large_size}", f"--call={call_bytes}",
                     f"--seconds={args.seconds}", "--warm"]

    def run(self, place, disk):
        steps = ["write"] if place.target.role == "ceiling" else self.steps
        results = results_of(*self.argv, "--steps=" + ",".join(steps), place.path, unit="MB/s")
        return {self.WARM.get(step, step): result for step, result in results.items()}


class LargeSync(Work):
    """The same, durable at the end."""

    def __init__(self, bench, call_bytes):
        self.argv = [bench.program("iobench"), f"--size={bench.args.large_size}",
                     f"--call={call_bytes}", f"--seconds={bench.args.seconds}",
                     "--steps=write-fsync"]

    def run(self, place, disk):
        return results_of(*self.argv, place.path, unit="MB/s")


class ColdLarge(Work):
    """One large file of which nothing is cached."""

    def __init__(self, bench, call_bytes, steps=("read", "random-read")):
        self.steps, self.seconds = steps, f"--seconds={bench.args.seconds}"
        self.argv = [bench.program("iobench"), f"--size={bench.args.large_size}",
                     f"--call={call_bytes}"]

    def run(self, place, disk):
        call(*self.argv, "--steps=write", place.path)
        results = {}
        for step in self.steps:
            place.make_cold()
            limit = [self.seconds] if step == "random-read" else []
            done = results_of(*self.argv, *limit, "--existing", f"--steps={step}", place.path,
                              unit="MB/s")
            results[f"{step} cold"] = done[step]
        return results


class Tree:
    """A source tree to work with: a tar file, a directory and a git repository of it.

    It is the first files of 'given' in the order of their names, or, if that has too few, made up:
    the same on each machine, in sizes as source files have them.
    """

    def __init__(self, work, given):
        self.tar = os.path.join(work, "tree.tar")
        self.folder = os.path.join(work, "tree")
        self.repository = os.path.join(work, "tree.git")
        paths = list(self.find_files(given or TREE_DEFAULT, None if given else TREE_FILES))
        os.mkdir(self.folder)
        if given or len(paths) == TREE_FILES:
            name = given or TREE_DEFAULT
            self.copy(name, paths)
        else:
            name = "made up"
            self.make_up()
        self.files, size = self.pack()
        self.what = f"source tree ({name}, {self.files} files, {size / 1e6:.0f} MB)"
        self.commit()

    @staticmethod
    def find_files(top, limit):
        """Their paths below 'top', in order."""
        count = 0
        for where, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(where, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    yield os.path.relpath(path, top)
                    count += 1
                    if count == limit:
                        return

    def copy(self, top, paths):
        for path in paths:
            target = os.path.join(self.folder, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(os.path.join(top, path), target)

    def make_up(self):
        chance = random.Random(1)
        words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz_", k=chance.randint(2, 12)))
                 for _ in range(2000)]
        for number in range(TREE_FILES):
            folder = os.path.join(self.folder, words[number // 600], words[number // 40])
            os.makedirs(folder, exist_ok=True)
            size = min(int(chance.lognormvariate(8.6, 1.3)), 1 << 20)   # median 5 KiB, mean 13
            text = " ".join(chance.choices(words, k=size // 8 + 1))[:size]
            with open(os.path.join(folder, f"{words[number % 2000]}{number}.c"), "w",
                      encoding="ascii") as file:
                file.write(text)

    @staticmethod
    def anonymous(info):
        info.mtime, info.uid, info.gid, info.uname, info.gname = 1e9, 0, 0, "", ""
        return info

    def pack(self):
        paths = list(self.find_files(self.folder, None))
        size = 0
        with tarfile.open(self.tar, "w") as tar:
            for path in paths:
                tar.add(os.path.join(self.folder, path), path, filter=self.anonymous)
                size += os.path.getsize(os.path.join(self.folder, path))
        return len(paths), size

    def commit(self):
        if not shutil.which("git"):
            return
        git = (*GIT, f"--git-dir={self.repository}", f"--work-tree={self.folder}")
        call(*git, "init", "-q")
        call(*git, "add", "-A")
        call(*git, "commit", "-qm", "tree")


def write_files_tar(path, files, size, each=1000):
    """An archive of so many files of one size, 'each' in a directory."""
    info, value = tarfile.TarInfo(), os.urandom(size)
    info.size, info.mode = size, 0o644
    blocks = value + bytes(-size % tarfile.BLOCKSIZE)
    with open(path, "wb") as file:
        for number in range(files):
            info.name = f"dir{number // each:05}/file{number:09}"
            info.mtime = 10**9 + number
            file.write(info.tobuf(tarfile.USTAR_FORMAT) + blocks)
        file.write(bytes(2 * tarfile.BLOCKSIZE))


class Tools(Work):
    """Real programs on a source tree.  Rates are in files of the tree."""

    STEPS = ("untar", "rm -r", "git clone", "git status", "rsync")

    def __init__(self, tree, steps=STEPS):
        self.tree = tree
        self.steps = steps

    @classmethod
    def steps_here(cls):
        missing = [name for name in ("git", "rsync") if not shutil.which(name)]
        for name in missing:
            say(f"skipped: {name} is not here")
        return [step for step in cls.STEPS if step.split()[0] not in missing]

    def run(self, place, disk):
        results = {}
        for step in self.steps:
            if step == "rm -r" and disk.keeps_files and place.target.role == "peer":
                continue
            argv = self.command(step, place.path)
            os.sync()
            started = time.monotonic()
            subprocess.run(argv, check=True, capture_output=True, text=True)
            seconds = time.monotonic() - started
            durability = NOTHING if step == "git status" else PAGE_CACHE
            results[step] = {"rate": self.tree.files / seconds, "unit": "files/s",
                             "class": durability, "seconds": seconds}
        return results

    def command(self, step, path):
        if step == "untar":
            os.mkdir(os.path.join(path, "untar"))
        return {
            "untar": ("tar", "-xf", self.tree.tar, "-C", f"{path}/untar"),
            "rm -r": ("rm", "-r", f"{path}/untar"),
            "git clone": (*GIT, "clone", "-q", "--no-local", self.tree.repository,
                          f"{path}/clone"),
            "git status": (*GIT, "-C", f"{path}/clone", "status", "--porcelain"),
            "rsync": ("rsync", "-a", f"{self.tree.folder}/", f"{path}/copy/"),
        }[step]
