# SPDX-License-Identifier: MIT
"""Disks, processes, sizes, and what must be undone at the end."""

import atexit
import glob
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
IDLE_SAMPLE_S = 0.3
IDLE_SHARE = 0.9
DROP_CACHES = "/proc/sys/vm/drop_caches"


def say(text):
    print(f"run: {text}", file=sys.stderr, flush=True)


def parse_size(text):
    return int(text.rstrip("KMG")) * UNITS.get(text[-1:], 1)


def size_text(size):
    for letter, unit in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {letter}"
    return f"{size} B"


def cpu_times():
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)      # idle and waiting for a disk; all


def wait_until_idle(limit_s):
    """Returns when others leave the CPUs alone, or after 'limit_s'."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        idle, total = cpu_times()
        time.sleep(IDLE_SAMPLE_S)
        idle, total = cpu_times()[0] - idle, cpu_times()[1] - total
        if idle >= IDLE_SHARE * total:
            return


def call(*argv, **options):
    return subprocess.run(argv, check=True, capture_output=True, text=True,
                          **options).stdout.strip()


def can_drop_caches():
    return os.access(DROP_CACHES, os.W_OK)


def drop_caches():
    """The kernel's, of data and of names, of all filesystems."""
    os.sync()
    with open(DROP_CACHES, "w", encoding="ascii") as file:
        file.write("3")


def raise_file_limit():
    """passthrough_ll has a file open for each name that the kernel knows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def machine_class():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    kernel = ".".join(platform.release().split(".")[:2])
    return (f"{os.cpu_count()} CPUs ({model.group(1) if model else platform.machine()}), "
            f"{memory:.0f} GiB, Linux {kernel}")


class Leftovers:
    """Whatever must be undone at the end, in reverse order, however the run ends."""

    def __init__(self):
        self.steps = []
        atexit.register(self.undo)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(1))

    def add(self, fn, *args):
        self.steps.append((fn, args))

    def undo(self):
        while self.steps:
            fn, args = self.steps.pop()
            try:
                fn(*args)
            except (OSError, subprocess.SubprocessError) as error:
                say(error)


class Disk:
    """A filesystem to measure on.

    ext4 without a journal does not use an inode again for some time after it was freed, and each
    create steps over all of these.  There nothing is unlinked before all has been measured.
    """

    def __init__(self, name, path):
        self.name = name
        self.path = path
        self.keeps_files = name == "ext4 without journal"

    def bytes_max(self):
        st = os.statvfs(self.path)
        return min(8 << 30, st.f_bavail * st.f_frsize // 4)


def plain_disk(path):
    """Where --dir is: says what it is, and whether an ext4 there has a journal."""
    kind = call("findmnt", "-no", "FSTYPE", "--target", path)
    if kind == "ext4":
        device = os.path.basename(call("findmnt", "-no", "SOURCE", "--target", path))
        journal = glob.glob(f"/proc/fs/jbd2/{device}-*")
        kind = "ext4 with journal" if journal else "ext4 without journal"
    return Disk(kind, path)


def loop_disk(kind, work, size, leftovers):
    """A fresh filesystem on a loop device, its file written out first.  None if it cannot be."""
    if os.geteuid() != 0 or not shutil.which(f"mkfs.{kind}"):
        say(f"skipped: {kind} on a loop device (needs root and mkfs.{kind})")
        return None
    image, mountpoint = os.path.join(work, f"{kind}.img"), os.path.join(work, f"on-{kind}")
    os.mkdir(mountpoint)
    with open(image, "wb") as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
        os.fsync(file.fileno())
    options = ["-E", "lazy_itable_init=0,lazy_journal_init=0"] if kind == "ext4" else []
    try:
        call(f"mkfs.{kind}", "-q", *options, image)
        device = call("losetup", "--find", "--show", "--direct-io=on", image)
        leftovers.add(call, "losetup", "-d", device)
        call("mount", device, mountpoint)
        leftovers.add(call, "umount", mountpoint)
    except subprocess.CalledProcessError as error:
        say(f"skipped: {kind} on a loop device ({error.stderr.splitlines()[0]})")
        return None
    name = "ext4 with journal, loop device" if kind == "ext4" else f"{kind}, loop device"
    return Disk(name, mountpoint)
