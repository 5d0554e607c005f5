#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a fuzzer of libFuzzer over a corpus that is made for it, and says how much it saw.

usage: run.py FUZZER MAKE_CORPUS GOLDEN_DIR [--floor EDGES] [--runs N | --seconds N] [--corpus DIR]

Without --seconds the number of executions is bounded, so that the run is the same each time.  It fails
when the fuzzer finds something, and when it reaches fewer edges than --floor says: then it has gone blind.
The corpus has the findings of other days, too, which are in cases/.
--corpus is a directory that is added to, for a fuzzer that goes on another day.  What was found is kept in
fuzz-findings/ of the current directory.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

CASES = pathlib.Path(__file__).resolve().parent / "cases"
RUNS = 4000
MAX_BYTES = 16384
STORES = 6  # real ones
# What a target sees is in the libraries: with coverage in the harness alone there are some hundred counters.
COVERED = re.compile(r"^#\d+\s+DONE\s+cov: (\d+)", re.MULTILINE)
COUNTERS = re.compile(r"\((\d+) inline 8-bit counters\)")
EXECUTED = re.compile(r"^#(\d+)\s+DONE", re.MULTILINE)

OPTIONS = [
    "data\nmnt", "-f\n-d\ndata\nmnt", "data\nmnt\n-o\nfsync_interval=250ms,buffer_size=64K,uid=0",
    "-h", "--version", "data\nmnt\n-oro,allow_other,max_read=4096,fsname=a,subtype=b",
    "data\nmnt\n-o\nat=2024-05-06T07:08:09Z,io_uring=on", "--\n-data\nmnt",
    "data\nmnt\n-o\nat=yesterday,umask=027,gid=7,preallocate=4M,pending_max=1G",
    "data\nmnt\n-o\ncompact_at=never,retain=never,missing_segments=accept,segment_size=64K",
    "data\nmnt\n-o\nnofail,_netdev,noauto,x-systemd.automount,nodev,at=off",
]


def images(make_corpus, where, flags):
    subprocess.run([make_corpus, flags, str(STORES), where], check=True)


def files_of_images(where, suffix):
    """The files whose names end in 'suffix', of the images in a directory."""
    for image in sorted(where.iterdir()):
        data, at = image.read_bytes(), 1
        while at < len(data):
            name = data[at + 1:at + 1 + data[at]].decode()
            at += 1 + data[at]
            size = int.from_bytes(data[at:at + 3], "little")
            if name.endswith(suffix):
                yield data[at + 3:at + 3 + size]
            at += 3 + size


def make(target, make_corpus, golden_dir, where):
    """Writes the corpus for a target."""
    seeds = []
    with tempfile.TemporaryDirectory() as made:
        if target in ("fuzz_store", "fuzz_fsck"):
            images(make_corpus, where, "00")
            if target == "fuzz_store":
                # With checksums that are mended, and without hints, which hide what is behind them.
                images(make_corpus, made, "01")
                for image in sorted(pathlib.Path(made).iterdir()):
                    seeds += [image.read_bytes(), image.read_bytes().replace(b".hint", b".gone")]
        elif target == "fuzz_options":
            seeds = [line.encode() for line in OPTIONS]
        elif target == "fuzz_manifest":
            images(make_corpus, made, "00")
            seeds = [(golden_dir / "manifest.txt").read_bytes()]
            seeds += files_of_images(pathlib.Path(made), "MANIFEST")
        elif target == "fuzz_hint":
            images(make_corpus, made, "00")
            hints = list(files_of_images(pathlib.Path(made), ".hint"))
            seeds = [flag + hint for hint in hints for flag in (b"\0", b"\1")]
        else:
            images(make_corpus, made, "00")
            seeds = list(files_of_images(pathlib.Path(made), ".data"))
            seeds += [path.read_bytes() for path in sorted(golden_dir.rglob("*")) if path.is_file()]
            if target == "fuzz_freyjalog":
                # Read only and to be written; as it is and with checksums that are mended.
                seeds = [head + seed for seed in seeds for head in (b"\0", b"\1", b"\2", b"\3")]
            if target == "fuzz_replay":
                # The log as it is, and as what says which records to make; durable, and not.
                seeds = [head + seed for seed in seeds for head in (b"\0\0", b"\0\x80", b"\1\0")]
    seeds += [path.read_bytes() for path in sorted((CASES / target).glob("*"))]
    for i, seed in enumerate(seeds):
        (where / f"seed-{i:03}").write_bytes(seed)


def fuzz(args, target, where):
    findings = pathlib.Path("fuzz-findings")
    findings.mkdir(exist_ok=True)
    limit = f"-max_total_time={args.seconds}" if args.seconds else f"-runs={args.runs}"
    command = [args.fuzzer, limit, "-seed=1", f"-max_len={MAX_BYTES}", "-timeout=60", "-rss_limit_mb=4096",
               "-print_final_stats=1", f"-artifact_prefix={findings}/{target}-"]
    if args.corpus:
        args.corpus.mkdir(parents=True, exist_ok=True)
        command.append(args.corpus)
    done = subprocess.run([*command, where], capture_output=True, text=True, check=False, errors="replace")
    if done.returncode != 0:
        print(done.stdout[-2000:], done.stderr[-20000:], sep="\n")
        print(f"not ok 1 - {target}: a finding, in {findings.resolve()}")
        return 1
    covered = int(COVERED.search(done.stderr)[1])
    counters = sum(int(n) for n in COUNTERS.findall(done.stderr))
    executed = int(EXECUTED.search(done.stderr)[1])
    good = covered >= args.floor
    print(f"{'ok' if good else 'not ok'} 1 - {target}: {covered} edges of {counters} in {executed} executions,"
          f" wanted {args.floor}")
    return 0 if good else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("fuzzer", type=pathlib.Path)
    parser.add_argument("make_corpus")
    parser.add_argument("golden_dir", type=pathlib.Path)
    parser.add_argument("--floor", type=int, default=0)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--corpus", type=pathlib.Path)
    args = parser.parse_args()
    target = args.fuzzer.name.removeprefix("lib")
    with tempfile.TemporaryDirectory() as where:
        make(target, args.make_corpus, args.golden_dir, pathlib.Path(where))
        return fuzz(args, target, where)


if __name__ == "__main__":
    sys.exit(main())
