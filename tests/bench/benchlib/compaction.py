# SPDX-License-Identifier: MIT
"""What compaction costs those who write, and what it leaves on the disk."""

import glob
import json
import os
import subprocess

from .groups import Contestant
from .targets import Place
from .works import PAGE_CACHE, results_of

SEGMENT_SIZE = "16M"
OPTIONS = {"on": {"compact_at": "50"}, "off": {"retain": "never"}}


class Overwriting(Contestant):
    """Overwrites files at random, while one thread makes new ones of 4 KiB and takes the time of each.

    The first half of the time is not measured: until then there is little to be gained.
    """

    def __init__(self, bench, compaction, threads):
        role = "ours" if compaction == "on" else "ceiling"
        super().__init__(f"compaction {compaction}", f"freyjafs, compaction {compaction}", role)
        self.target = bench.targets.freyjafs(segment_size=SEGMENT_SIZE, **OPTIONS[compaction])
        self.program, self.args = bench.program("filebench"), bench.args
        self.options = [f"--files={self.args.compaction_files}", f"--threads={threads}",
                        f"--size={self.args.file_size}"]

    def measure(self, disk, directory):
        with Place(self.target, directory) as place:
            return self.overwrite(place)

    def overwrite(self, place):
        seconds = f"--seconds={self.args.compaction_seconds / 2}"
        results_of(self.program, *self.options, seconds,
                   "--steps=create,overwrite-random", place.path, unit="files/s")
        beside = os.path.join(place.path, "beside")
        os.mkdir(beside)
        creating = subprocess.Popen(
            [self.program, "--files=200000", "--latency", seconds, "--steps=create",
             beside], stdout=subprocess.PIPE, text=True)
        results = results_of(self.program, *self.options, "--existing", seconds,
                             "--steps=overwrite-random", place.path, unit="files/s")
        output, _ = creating.communicate()
        if creating.returncode != 0:
            raise SystemExit("run: creating files beside compaction failed")
        create = json.loads(output)
        data_bytes = sum(os.stat(path).st_blocks * 512
                         for path in glob.glob(os.path.join(glob.escape(place.data), "*")))
        result = dict(results["overwrite-random"])
        result["class"] = PAGE_CACHE
        result["beside"] = {
            "DATADIR / live bytes": data_bytes / place.status("live_bytes"),
            "create p50 ms": create["p50_us"] / 1000,
            "create p99 ms": create["p99_us"] / 1000,
            "create max ms": create["max_us"] / 1000,
        }
        return {"overwrite-random": result}
