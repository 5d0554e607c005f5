#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of libfreyjalog as a program finds it: an installed copy, its header, symbols and ABI, and the
examples of docs/.

usage: test_install.py [--write-abi] SOURCE_DIR BUILD_DIR

--write-abi replaces writer/freyjalog/freyjalog.abi by the ABI of the library in BUILD_DIR, which must
have been built by gcc with debug information.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import decode as decoder  # noqa: E402

WARNINGS = ("-Wall", "-Wextra", "-pedantic", "-Werror")
EXAMPLE_C = """
#include <freyjalog.h>
int main(void)
{
	struct freyja_config config;
	freyja_config_init(&config, sizeof(config));
	return config.fsync_interval_ns == 1000000000 && freyja_version()[0] != 0 ? 0 : 1;
}
"""


class Skip(Exception):
    pass


def run(*command, expect=0, **named):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **named)
    assert done.returncode == expect, f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def dump_abi(source, library, out):
    run("abidw", "--exported-interfaces-only", "--drop-private-types", "--no-elf-needed", "--no-corpus-path",
        "--no-comp-dir-path", "--no-show-locs", "--headers-dir", source / "writer/freyjalog",
        "--out-file", out, library)


class Install:
    def __init__(self, source, build, work):
        self.source, self.build, self.work = source, build, work
        self.root = work / "root"
        run("meson", "install", "-C", build, "--no-rebuild", "--destdir", self.root)
        self.pc = self.one("freyjalog.pc")
        self.library = self.one("libfreyjalog.so.0").resolve()
        self.environment = dict(os.environ, LD_LIBRARY_PATH=str(self.library.parent), PYTHONDONTWRITEBYTECODE="1",
                                PKG_CONFIG_LIBDIR=str(self.pc.parent), PKG_CONFIG_SYSROOT_DIR=str(self.root))

    def one(self, name):
        found = list(self.root.rglob(name))
        assert len(found) == 1, f"{name}: {found}"
        return found[0]

    def pkg_config(self, *options):
        return run("pkg-config", *options, "freyjalog", env=self.environment).split()

    def build_program(self, compiler, source, *options):
        program = self.work / "program" / pathlib.Path(source).stem
        program.parent.mkdir(exist_ok=True)
        run(*compiler, *WARNINGS, *options, "-o", program, source, *self.pkg_config("--cflags", "--libs"),
            env=self.environment)
        return program

    def run_program(self, *command, expect=0):
        return run(*command, expect=expect, env=self.environment)


def test_files(i):
    """header, library with soname, links, pkg-config file, man page, Python module"""
    version = re.search(r"version: '([\d.]+)'", (i.source / "meson.build").read_text()).group(1)
    assert i.library.name == f"libfreyjalog.so.{version}", i.library
    assert i.one("libfreyjalog.so").resolve() == i.library
    assert "[libfreyjalog.so.0]" in run("readelf", "-d", i.library)
    assert i.one("freyjalog.h").read_text() == (i.source / "writer/freyjalog/freyjalog.h").read_text()
    assert i.one("freyjalog.3").parent.name == "man3"
    assert i.one("freyjalog.py").parent.name == "dist-packages"
    assert i.pkg_config("--modversion") == [version]
    assert f"-I{i.one('freyjalog.h').parent}" in i.pkg_config("--cflags")
    assert "-lfreyjalog" in i.pkg_config("--libs")


def test_headers_are_alone(i):
    """no other header and no static library is installed"""
    assert [p.name for p in i.root.rglob("*.h")] == ["freyjalog.h"]
    assert not list(i.root.rglob("*.a"))


def test_symbols(i):
    """the library exports the functions of freyjalog.map, freyjalog.h and freyjalog(3)"""
    folder = i.source / "writer/freyjalog"
    exported = {line.split()[-1].split("@")[0] for line in
                run("nm", "-D", "--defined-only", i.library).splitlines() if line.split()[-2] != "A"}
    listed = set(re.findall(r"^\t(freyja_\w+);", (folder / "freyjalog.map").read_text(), re.MULTILINE))
    declared = set(re.findall(r"\b(freyja_\w+)\(", re.sub(r"/\*.*?\*/", "", (folder / "freyjalog.h").read_text(),
                                                           flags=re.DOTALL)))
    man = (i.source / "docs/freyjalog.3").read_text().partition(".SH DESCRIPTION")
    in_synopsis = set(re.findall(r"\b(freyja_\w+)\(", man[0]))
    described = set(re.findall(r"^\.BR (freyja_\w+) \(\)", man[2], re.MULTILINE))
    assert len(exported) > 10
    assert exported == listed == declared == in_synopsis == described, \
        [exported ^ other for other in (listed, declared, in_synopsis, described)]


def test_abi(i):
    """no function and no struct differs from writer/freyjalog/freyjalog.abi"""
    if shutil.which("abidiff") is None:
        raise Skip("abidiff is not installed (abigail-tools)")
    now = i.work / "now.abi"
    dump_abi(i.source, i.library, now)
    done = subprocess.run(["abidiff", i.source / "writer/freyjalog/freyjalog.abi", now], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, (f"{done.stdout}{done.stderr}A change that breaks a program needs a new soname "
                                  "(docs/COMPATIBILITY.md).  Then, or after an addition: test_install.py --write-abi")


def test_header_c(i):
    """the header compiles as C11 without extensions, alone and with a program"""
    source = i.work / "header_c.c"
    source.write_text(EXAMPLE_C)
    i.run_program(i.build_program(["cc", "-std=c11"], source, "-Wstrict-prototypes"))


def test_header_cxx(i):
    """the header compiles as C++11 and C++17, and C++ code links with the library"""
    source = i.work / "header_cxx.cc"
    source.write_text(EXAMPLE_C.replace("(void)", "()"))
    for standard in ("c++11", "c++17"):
        # Needs no C++ library, which clang does not bring with it.
        i.run_program(i.build_program(["clang++", f"-std={standard}", "-nodefaultlibs", "-lc"], source))


def orders(number):
    key = b"orders/%d" % number
    return [(key, b"open"), (key + b"/lines/1", b"3 apples"), (key + b"/lines/2", b"1 pear")]


def group(record):
    """The records of a group, by a decoder that knows nothing of groups."""
    assert record.key.startswith(b"//freyja-group/"), record
    return [(r.key, r.value) for commit in decoder.commits(record.value) for r in commit]


def test_example_write(i):
    """docs/examples/freyjalog_write.c: the log has its groups; all is durable; callbacks come"""
    program = i.build_program(["cc", "-std=c11"], i.source / "docs/examples/freyjalog_write.c")
    log = i.work / "db/active.data"
    out = i.run_program(program, log, 3)
    records = [r for commit in decoder.commits(log.read_bytes()) for r in commit]
    assert [group(r) for r in records[:3]] == [orders(n) for n in (1, 2, 3)]
    assert [(r.key, r.value) for r in records[3:]] == [(b"orders/1", b"")]
    size = log.stat().st_size
    assert f"{size} of {size} bytes are durable" in out
    assert sorted(re.findall(r"order (\d) is durable", out)) == ["1", "2", "3"]
    assert "/no/such" in subprocess.run([program, i.work / "no/such/x.data", "1"], env=i.environment, check=False,
                                        capture_output=True, text=True).stderr


def test_example_read(i):
    """docs/examples/freyjalog_read.c: reads what freyjalog_write.c has written, from any position"""
    program = i.build_program(["cc", "-std=c11"], i.source / "docs/examples/freyjalog_read.c")
    log = i.work / "db/active.data"
    lines = i.run_program(program, log).splitlines()
    expected = [f"put {key.decode()} = {value.decode()}" for n in (1, 2, 3) for key, value in orders(n)]
    expected += ["delete orders/1", f"{lines[9].split()[0]} delete orders/1"]
    assert [line.partition(" ")[2] for line in lines] == expected, lines
    position = lines[4].split()[0]
    assert i.run_program(program, log, position).splitlines() == lines[4:]
    i.run_program(program, log, 10**9, expect=1)


def example(path, begin, end):
    """The lines of an example in a document."""
    text = path.read_text().partition(begin)[2].partition(end)[0]
    assert "freyja_open(" in text, path
    return text


def test_documented_examples(i):
    """the examples in README.md and freyjalog(3) compile and write"""
    for name, body in (("readme", example(i.source / "README.md", "shows its keys as files", "\n`cc ")),
                       ("man", example(i.source / "docs/freyjalog.3", ".SH EXAMPLES\n.nf\n", "\n.fi"))):
        source = i.work / f"{name}.c"
        source.write_text("#include <err.h>\n#include <freyjalog.h>\nint main(void)\n{\n"
                          + body[body.index("struct freyja_config"):] + "\nreturn 0;\n}\n")
        directory = i.work / name
        directory.mkdir()
        run(i.build_program(["cc"], source), cwd=directory, env=i.environment)
        records = [r for c in decoder.commits((directory / "db/active.data").read_bytes()) for r in c]
        assert [(r.key, r.value) for r in records] == [(b"greeting", b"hello")]


def test_python(i):
    """the installed Python module reads the log of the example"""
    program = ("import freyjalog, sys; log = freyjalog.open(sys.argv[1], read_only=True); "
               "print(*[r.key.decode() for r in log]); print(freyjalog.__file__); log.close()")
    out = run(sys.executable, "-c", program, i.work / "db/active.data",
              env=dict(i.environment, PYTHONPATH=str(i.one("freyjalog.py").parent)))
    keys, module = out.splitlines()
    assert keys.split() == [key.decode() for n in (1, 2, 3) for key, _ in orders(n)] + ["orders/1"]
    assert pathlib.Path(module) == i.one("freyjalog.py")


TESTS = (test_files, test_headers_are_alone, test_symbols, test_abi, test_header_c, test_header_cxx,
         test_example_write, test_example_read, test_documented_examples, test_python)


def main(argv):
    write_abi = argv[1] == "--write-abi"
    source, build = (pathlib.Path(path).resolve() for path in argv[-2:])
    if write_abi:
        dump_abi(source, build / "writer/freyjalog/libfreyjalog.so.0", source / "writer/freyjalog/freyjalog.abi")
        return 0
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        install = Install(source, build, pathlib.Path(work))
        print(f"1..{len(TESTS)}")
        for number, test in enumerate(TESTS, 1):
            note, good = "", True
            try:
                test(install)
            except Skip as skip:
                note = f" # SKIP {skip}"
            except Exception:  # whatever it is: this case has failed, the others go on
                traceback.print_exc()
                good = False
            failed |= not good
            print(f"{'ok' if good else 'not ok'} {number} - {test.__doc__}{note}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv))
