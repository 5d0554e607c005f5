# SPDX-License-Identifier: MIT
"""A whole tree in and out as a tar archive: by freyjactl into a store, by tar on a disk or a mount."""

import os
import subprocess
import time

from .groups import Contestant
from .targets import Place
from .works import DISK, NOTHING, write_files_tar


class Archive:
    """An archive of small files, written when it is needed."""

    def __init__(self, path, files, size, each=1000):
        self.path, self.what = path, (files, size, each)

    def make(self):
        if not os.path.exists(self.path):
            write_files_tar(self.path, *self.what)
        return self.path


class Bulk(Contestant):
    """'program' is freyjactl; None: tar at the target.  The import is durable at its end."""

    def __init__(self, target, archive, files, program=None):
        super().__init__("freyjactl" if program else target.key,
                         "freyjactl import, export" if program else target.label + ", by tar",
                         target.role)
        self.target, self.archive, self.files, self.program = target, archive, files, program
        self.leaves_files = target.role == "peer"

    def measure(self, disk, directory):
        archive = self.archive()
        if self.program:
            store = os.path.join(directory, "store")
            return {"import": self.timed(DISK, self.program, "import", store, archive),
                    "export warm": self.timed_output(self.program, "export", store)}
        with Place(self.target, directory) as place:
            top = os.path.join(place.path, "tree")
            os.mkdir(top)
            done = self.timed(DISK, "sh", "-c", 'tar -xf "$1" -C "$2" && sync -f "$3"', "sh",
                              archive, top, place.data)
            return {"import": done, "export warm": self.timed_output("tar", "-C", top, "-c", ".")}

    def timed(self, durability, *argv):
        os.sync()
        started = time.monotonic()
        subprocess.run(argv, check=True, capture_output=True, text=True)
        return {"rate": self.files / (time.monotonic() - started), "unit": "files/s",
                "class": durability}

    def timed_output(self, *argv):
        """tar reads nothing if it writes to /dev/null, so a pipe is between them."""
        return self.timed(NOTHING, "sh", "-c", '"$@" | cat >/dev/null', "sh", *argv)
