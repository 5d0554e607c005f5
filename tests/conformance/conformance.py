#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Calls of POSIX on files, each with all that can be different about it, in the current directory.  Prints
one line for each, so that two file systems can be compared; what is right is what ext4 prints.  As root.

usage: conformance.py [SECTION...]
       conformance.py read_only_things	fills the directory
       conformance.py read_only		where it can only be read
"""
import contextlib
import io
import os
import resource
import signal
import sys
import time

import cases_files
import cases_names
import cases_paths
import lab

SECTIONS = cases_paths.SECTIONS + cases_names.SECTIONS + cases_files.SECTIONS


def main():
    wanted = sys.argv[1:]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    os.setgroups([])
    os.umask(0)
    if wanted in (["read_only"], ["read_only_things"]):
        getattr(cases_paths, wanted[0])()
        return
    top = os.getcwd()
    for section in SECTIONS:
        if wanted and section.__name__ not in wanted:
            continue
        began = time.time()
        place = f"{top}/section"
        os.mkdir(place)
        os.chmod(place, 0o777)
        os.chdir(place)
        told = io.StringIO()  # printed later: a section may limit the size of files
        with contextlib.redirect_stdout(told):
            section()
        os.umask(0)
        os.chdir(top)
        lab.remove("section")
        print(f"== {section.__name__}\n{told.getvalue()}", end="", flush=True)
        print(f"{section.__name__}: {time.time() - began:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
