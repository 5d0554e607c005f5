# SPDX-License-Identifier: MIT
"""Where work is done: on a disk itself, or on the mount of a daemon above it."""

import os
import shutil
import subprocess
import tempfile
import time

from .machine import call, drop_caches, say

MOUNT_TIMEOUT_S = 600       # a store without hints is read from its start to its end
UNMOUNT_TIMEOUT_S = 300
POLL_S = 0.001
IMAGE_BYTES = "1G"          # of the peers that need one
# Other daemons above a directory of the disk: how each is mounted, and the shell command that
# prepares {src} before.  "fusermount3 -u" unmounts all of them.
PEERS = {
    "passthrough_ll": (["passthrough_ll", "-f", "-o", "source={src}", "{mnt}"], None),
    "bindfs": (["bindfs", "-f", "{src}", "{mnt}"], None),
    "fuse-overlayfs": (["fuse-overlayfs", "-f", "-o", "lowerdir={aux}/lower,upperdir={src},"
                        "workdir={aux}/work", "{mnt}"], None),
    "mergerfs": (["mergerfs", "-f", "-o", "minfreespace=0", "{src}", "{mnt}"], None),
    "gocryptfs": (["gocryptfs", "-fg", "-q", "-extpass", "echo x", "{src}", "{mnt}"],
                  "gocryptfs -init -q -scryptn 10 -extpass 'echo x' {src}"),
    "fuse2fs": (["fuse2fs", "-f", "{src}/image", "{mnt}"],
                "truncate -s " + IMAGE_BYTES + " {src}/image && mkfs.ext4 -q -F {src}/image"),
    "ntfs-3g": (["ntfs-3g", "-o", "no_detach", "{src}/image", "{mnt}"],
                "truncate -s " + IMAGE_BYTES + " {src}/image && mkntfs -q -Q -F {src}/image"),
}
TRANSPORTS = {"uring": "on", "classic": "off"}      # values of the option io_uring


class Target:
    """'command' is that of a daemon, in which {src}, {aux} and {mnt} are directories; None: no
    daemon, the disk itself.  'prepare' is for the shell, once before the first mount."""

    def __init__(self, key, label, role, command=None, transport=None, prepare=None):
        self.key, self.label, self.role = key, label, role
        self.command, self.transport, self.prepare = command, transport, prepare


def native(disk):
    """The disk itself."""
    return Target("native", f"{disk.name.split(',')[0]} itself", "peer")


class Place:
    """An empty directory on a disk, with the target mounted above it while in the 'with'."""

    def __init__(self, target, directory):
        self.target = target
        self.paths = {name: os.path.join(directory, name) for name in ("src", "aux", "mnt")}
        self.daemon = self.log = None
        self.mount_seconds = 0
        for path in self.paths.values():
            os.mkdir(path)
        for name in ("work", "lower"):
            os.mkdir(os.path.join(self.paths["aux"], name))

    @property
    def data(self):
        """The directory on the disk."""
        return self.paths["src"]

    @property
    def path(self):
        """Where to work."""
        if not self.target.command:
            return self.data
        keys = os.path.join(self.paths["mnt"], "keys")
        return keys if os.path.isdir(keys) else self.paths["mnt"]

    def __enter__(self):
        self.log = open(os.path.join(self.paths["aux"], "log"), "w+", encoding="utf-8")
        if self.target.prepare:
            call("sh", "-c", self.target.prepare.format(**self.paths))
        self.mount()
        return self

    def __exit__(self, *_):
        try:
            self.unmount()
        finally:
            self.log.close()

    def mount(self):
        if not self.target.command:
            return
        argv = [word.format(**self.paths) for word in self.target.command]
        started = time.monotonic()
        self.daemon = subprocess.Popen(argv, stdout=self.log, stderr=self.log)
        while not os.path.ismount(self.paths["mnt"]):
            if self.daemon.poll() is not None or time.monotonic() > started + MOUNT_TIMEOUT_S:
                self.unmount()
                self.log.seek(0)
                raise SystemExit(f"run: {self.target.label} did not mount: {self.log.read()}")
            time.sleep(POLL_S)
        self.mount_seconds = time.monotonic() - started

    def unmount(self):
        if not self.daemon:
            return
        daemon, self.daemon = self.daemon, None
        if os.path.ismount(self.paths["mnt"]):
            subprocess.run(["fusermount3", "-u", self.paths["mnt"]], check=False)
        elif daemon.poll() is None:
            daemon.terminate()
        try:
            daemon.wait(UNMOUNT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
            raise

    def make_cold(self):
        """Nothing is cached but what a daemon has read in order to mount."""
        self.unmount()
        drop_caches()
        self.mount()
        drop_caches()

    def status(self, name):
        """A number in freyjafs' status."""
        with open(os.path.join(self.paths["mnt"], "status"), encoding="utf-8") as file:
            for line in file:
                if line.startswith(f"{name}: "):
                    return int(line.split()[1])
        raise SystemExit(f"run: no line '{name}' in the status of {self.target.label}")

    def resident_bytes(self):
        with open(f"/proc/{self.daemon.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) << 10
        return 0


class Targets:
    """All targets, by key; which of them are here is known when this has been made."""

    def __init__(self, program, wanted_transports):
        self.program = program
        self.daemon_help = call(program("freyjafs"), "--help")
        self.has_transports = self.daemon_knows("io_uring")
        self.transports = self.find_transports(wanted_transports)
        self.peers = self.find_peers()

    def daemon_knows(self, option):
        return f"\n  {option}=" in self.daemon_help

    def find_transports(self, wanted):
        """The one to be preferred is first."""
        if not self.has_transports:
            if "uring" in wanted:
                say("skipped: the io_uring transport (this freyjafs has none)")
            return ["classic"]
        found = [name for name in TRANSPORTS if name in wanted]
        if "uring" in found:
            reason = self.why_no_uring()
            if reason:
                found.remove("uring")
                say(f"skipped: the io_uring transport ({reason})")
        if not found:
            raise SystemExit("run: none of the --transports is here")
        return found

    def why_no_uring(self):
        """Tries it; returns None if it works."""
        with tempfile.TemporaryDirectory(prefix="freyjafs-bench.") as folder:
            try:
                with Place(self.freyjafs("uring"), folder):
                    return None
            except SystemExit as error:
                return " ".join(str(error).removeprefix("run: ").split())

    def find_peers(self):
        """The available ones, as targets."""
        peers = []
        for name, (command, prepare) in PEERS.items():
            if name == "passthrough_ll":
                command = [self.program(name), *command[1:]]
            if shutil.which(command[0]):
                peers.append(Target(name, name, "peer", command, prepare=prepare))
            else:
                say(f"skipped: {name} is not here")
        return peers

    def freyjafs(self, transport=None, key=None, **options):
        """On the preferred transport, if none is named.  'options' are those of the mount."""
        transport = transport or self.transports[0]
        options = {"fsync_interval": "1s"} | options
        text = " ".join(f"{name}={value}" for name, value in options.items())
        if self.has_transports:
            options["io_uring"] = TRANSPORTS[transport]
            text += f", {transport}"
        argument = ",".join(f"{name}={value}" for name, value in options.items())
        return Target(key or f"freyjafs {transport}", f"freyjafs {text}", "ours",
                      [self.program("freyjafs"), "{src}", "{mnt}", "-f", "-o", argument],
                      transport)

    def preallocating(self):
        return self.freyjafs(key="freyjafs preallocate", preallocate="16M")

    def ours(self):
        return [self.freyjafs(transport) for transport in self.transports]

    def ceilings(self):
        """For each transport the daemon that does nothing."""
        for transport in self.transports:
            text = f", {transport}" if self.has_transports else ""
            yield Target(f"nullfs {transport}", f"do-nothing FUSE daemon{text}", "ceiling",
                         [self.program("nullfs"), "-f", "{mnt}", "-o",
                          self.session_options(transport)], transport)

    def session_options(self, transport):
        """What the daemon asks of libfuse and the kernel: fuse/transport/classic.c, session.c."""
        permissions = ",default_permissions"
        if self.has_transports:     # then it runs on the daemon's own
            return f"io_uring={TRANSPORTS[transport]}{permissions}"
        threads = min(max(4 * os.cpu_count(), 8), 64)
        return f"clone_fd,max_threads={threads},max_idle_threads={threads}{permissions}"

    def others(self, disk):
        """The disk itself, and other daemons above it."""
        yield native(disk)
        yield from self.peers
