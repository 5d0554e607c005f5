#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the single test cases in a meson test log.

usage: count_cases.py CONFIG [TIMES] < testlog.json

Prints one line per case, with tabs between: pass, fail or skip; the configuration; the test and the
case; how to run it alone, or why it was skipped.  A test program that prints no cases (neither
cmocka nor TAP) is one case.  The file TIMES gets a line for each program: seconds, two fields for the
time of the processors, which meson does not know, and the configuration with the test.
"""
import json
import os
import re
import shlex
import sys

CMOCKA = re.compile(r"^\[ +(RUN|OK|FAILED|SKIPPED) +\] (\S.*?)\s*$")
TAP = re.compile(r"^(ok|not ok) \d+ *-? *(.*)$")
TAP_SKIP = re.compile(r"# *skip\S* *(.*)$", re.IGNORECASE)
SKIPPED = 77
# Suites whose programs take the name of a single case.
TAKE_A_CASE = ("fault", "crash")


def cmocka_cases(text):
    """Each case as (result, name); a case that began and never ended has failed."""
    running = None
    for line in text.splitlines():
        match = CMOCKA.match(line)
        if not match:
            continue
        what, name = match.groups()
        if what == "RUN":
            if running is not None:
                yield "fail", running
            running = name
        elif running is not None and name == running:
            yield {"OK": "pass", "FAILED": "fail", "SKIPPED": "skip"}[what], name
            running = None
    if running is not None:
        yield "fail", running


def tap_cases(text):
    for line in text.splitlines():
        match = TAP.match(line)
        if not match:
            continue
        name = match.group(2)
        skip = TAP_SKIP.search(name)
        if skip:
            yield "skip", name
        else:
            yield ("pass" if match.group(1) == "ok" else "fail"), name


def reason(text):
    """The last line a skipped program printed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def main():
    config, *times = sys.argv[1:]
    for line in sys.stdin:
        test = json.loads(line)
        for path in times:
            with open(path, "a", encoding="utf-8") as out:
                print(f"{test['duration']:.3f}", "-", "-", f"{config} {test['name'].rpartition(' / ')[2]}",
                      sep="\t", file=out)
        out = test.get("stdout") or ""
        err = test.get("stderr") or ""
        suite, _, name = test["name"].rpartition(" / ")
        program, *arguments = test["command"]
        repro = shlex.join([os.path.relpath(program), *arguments])
        cases = list(cmocka_cases(out)) or list(cmocka_cases(err)) or list(tap_cases(out))
        skipped = test["result"] == "SKIP" or test["returncode"] == SKIPPED
        failed = test["result"] not in ("OK", "EXPECTEDFAIL") and not skipped
        if failed and not any(result == "fail" for result, _ in cases):
            cases.append(("fail", f"({test['result'].lower()}, exit status {test['returncode']})"))
        if not cases:
            cases = [("skip" if skipped else "pass", "")]
        for result, case in cases:
            alone = repro
            if case and suite.endswith(TAKE_A_CASE):
                alone = f"{repro} {shlex.quote(case)}"
            note = {"pass": "", "fail": alone, "skip": reason(out + err)}[result]
            print(result, config, f"{name}: {case}" if case else name, note, sep="\t")


if __name__ == "__main__":
    main()
