# SPDX-License-Identifier: MIT
"""Who is compared with whom: turns, medians, ratios."""

import os
import shutil
import statistics
import tempfile

from .machine import wait_until_idle
from .targets import Place


class Contestant:
    """One row of a table.  'role' is ours, ceiling or peer."""

    transport = None            # a ceiling of another transport says nothing
    leaves_files = False        # many of them, on the disk itself

    def __init__(self, key, label, role):
        self.key, self.label, self.role = key, label, role

    def measure(self, disk, directory):
        """Runs once in an empty directory; returns {step: result}.  A result has 'rate' (more is
        better), 'unit', 'class' (of durability), and other numbers in 'beside'."""
        raise NotImplementedError


class WorkAt(Contestant):
    """Some work at one target."""

    def __init__(self, target, work):
        super().__init__(target.key, target.label, target.role)
        self.target, self.work = target, work
        self.transport = target.transport
        self.leaves_files = target.role == "peer"

    def measure(self, disk, directory):
        with Place(self.target, directory) as place:
            return self.work.run(place, disk)


class Group:
    """Contestants that do the same work on the same disk.  'work' is its name, 'axis' what differs
    between the tables' lines and 'at' its value: ("threads", 8)."""

    def __init__(self, work, disk, what, axis, at, contestants, **facts):
        self.work, self.disk, self.contestants = work, disk, contestants
        self.facts = dict(facts, work=work, disk=disk.name, what=what, axis=axis, at=at)

    def __str__(self):
        return f"{self.work}: {self.facts['what']}, {self.facts['axis']} {self.facts['at']}, " \
               f"{self.disk.name}"

    def keep_labels(self, pattern):
        self.contestants = [c for c in self.contestants if pattern.search(c.label)]

    def keep_keys(self, keys):
        self.contestants = [c for c in self.contestants if c.key in keys]

    def run(self, turns, wait_idle_s):
        """Returns rows; a row is one contestant at one step."""
        results = {c: [] for c in self.contestants}
        for turn in range(turns):
            order = self.contestants if turn % 2 == 0 else self.contestants[::-1]
            for contestant in order:
                results[contestant].append(self.measure_once(contestant, wait_idle_s))
        rows = []
        for step in dict.fromkeys(step for c in results for step in results[c][0]):
            rows += self.rows_of(step, {c: [r[step] for r in runs] for c, runs in results.items()
                                        if step in runs[0]})
        return rows

    def measure_once(self, contestant, wait_idle_s):
        directory = tempfile.mkdtemp(dir=self.disk.path)
        os.sync()
        wait_until_idle(wait_idle_s)
        try:
            return contestant.measure(self.disk, directory)
        finally:
            if not (self.disk.keeps_files and contestant.leaves_files):
                shutil.rmtree(directory, ignore_errors=True)

    def rows_of(self, step, results):
        rates = {c: [r["rate"] for r in runs] for c, runs in results.items()}
        middle = {c: statistics.median(rates[c]) for c in rates}
        peers = sorted((c for c in rates if c.role == "peer"), key=lambda c: -middle[c])
        rows = []
        for c, runs in results.items():
            ceilings = [o for o in rates if o.role == "ceiling" and o is not c
                        and (c.transport or o.transport) == o.transport]
            rows.append(dict(
                self.facts, step=step, key=c.key, label=c.label, role=c.role,
                transport=c.transport, durability=runs[0]["class"], unit=runs[0]["unit"],
                rates=rates[c], median=middle[c], low=min(rates[c]), high=max(rates[c]),
                beside={name: [r["beside"][name] for r in runs]
                        for name in runs[0].get("beside", {})},
                ratios={o.key: ratio(rates[c], rates[o]) for o in rates if o is not c},
                of_ceiling={o.label: ratio(rates[c], rates[o]) for o in ceilings},
                of_peer={o.label: ratio(rates[c], rates[o]) for o in peers if o is not c}))
        return rows


def ratio(ours, theirs):
    """The median of the ratios within each turn, with its spread."""
    each = [a / b for a, b in zip(ours, theirs)]
    return {"median": statistics.median(each), "low": min(each), "high": max(each)}
