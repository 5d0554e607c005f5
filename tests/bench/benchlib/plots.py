# SPDX-License-Identifier: MIT
"""Plots of what was measured, as SVG, by gnuplot."""

import os
import re
import shutil
import subprocess

from . import required
from .machine import say
from .report import at_text, title_of

SIZE = "900,540"
POINTS_MIN = 3              # of the axis, for a curve
BARS_AXIS = "threads"
AXIS_TEXTS = {"threads": "threads", "file size": "bytes of a file", "keys": "keys",
              "call": "bytes of a call"}


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def file_name(*words):
    return re.sub(r"[^a-z0-9]+", "-", " ".join(map(str, words)).lower()).strip("-") + ".svg"


def header(path, title, machine):
    text = quoted(f"{title}\n{machine}")
    return [f"set terminal svg size {SIZE} font 'sans,12' background '#ffffff'",
            f"set output {quoted(path)}",
            f"set title {text} noenhanced", "set grid",
            "set key outside below noenhanced", ""]


def curve(path, rows, machine):
    """A line for each contestant over the axis, with the lowest and the highest rate."""
    script = header(path, title_of(rows[0]), machine)
    script += ["set logscale xy", f"set xlabel {quoted(AXIS_TEXTS[rows[0]['axis']])}",
               f"set ylabel {quoted(rows[0]['unit'])}"]
    ats = sorted({row["at"] for row in rows})
    script.append(f"set xrange [{ats[0] / 1.3}:{ats[-1] * 1.3}]")
    if rows[0]["axis"] in ("threads", "call", "file size"):
        ticks = ", ".join(f"{quoted(at_text(row))} {row['at']}" for row in
                          (next(r for r in rows if r["at"] == at) for at in ats))
        script.append(f"set xtics ({ticks})")
    plots = []
    for number, label in enumerate(dict.fromkeys(row["label"] for row in rows)):
        script.append(f"$d{number} << end")
        script += [f"{r['at']} {r['median']} {r['low']} {r['high']}" for r in rows
                   if r["label"] == label]
        script.append("end")
        plots.append(f"$d{number} with yerrorlines linewidth 2 title {quoted(label)}")
    script.append("plot " + ", ".join(plots))
    return script


def bars(path, rows, machine):
    """A cluster for each step, a bar for each contestant."""
    steps = list(dict.fromkeys(row["step"] for row in rows))
    labels = list(dict.fromkeys(row["label"] for row in rows))
    first = rows[0]
    title = f"{first['what']}, {first['axis']}: {at_text(first)}, {first['disk']}"
    script = header(path, title, machine)
    script += ["set style data histogram", "set style histogram clustered gap 1",
               "set style fill solid 0.8", "set logscale y",
               f"set ylabel {quoted(first['unit'])}", "$d << end"]
    rates = {(row["step"], row["label"]): row["median"] for row in rows}
    script += ['"' + step + '" ' + " ".join(str(rates.get((step, label), "?")) for label in labels)
               for step in steps]
    script += ["end", "set datafile missing '?'", "plot " + ", ".join(
        f"$d using {number + 2}:xtic(1) title {quoted(label)}"
        for number, label in enumerate(labels))]
    return script


def verdicts(path, found, machine):
    """Each required ratio as what was measured over what is required, the lowest and the highest
    turn beside it."""
    script = header(path, "measured ratio / required ratio (at least 1)", machine)
    script += ["set logscale x", f"set yrange [{len(found)}.5:0.5]", "unset key",
               "set lmargin 62", "$d << end"]
    for number, (need, row, ratio) in enumerate(found, 1):
        label = f"{need.what}, {row['axis']} {at_text(row)}"
        low, middle, high = (ratio[name] / need.at_least for name in ("low", "median", "high"))
        script.append(f"{number} {middle} {low} {high} \"{label}\"")
    script += ["end", "set ytics noenhanced font ',9'",
               "set arrow from 1, graph 0 to 1, graph 1 nohead linewidth 2",
               "plot $d using 2:1:3:4:ytic(5) with xerrorbars pointtype 7 linewidth 2"]
    return script


def scripts(result, folder):
    """Yields one gnuplot script a plot."""
    rows, machine = result["rows"], result["machine"]
    found = list(required.verdicts(rows, result["transports"]))
    if found:
        yield verdicts(os.path.join(folder, "required.svg"), found, machine)
    for title in dict.fromkeys(map(title_of, rows)):
        of_title = [row for row in rows if title_of(row) == title]
        if len({row["at"] for row in of_title}) >= POINTS_MIN:
            name = file_name(of_title[0]["work"], of_title[0]["step"], of_title[0]["disk"])
            yield curve(os.path.join(folder, name), of_title, machine)
    clusters = {}
    for row in rows:
        if row["axis"] == BARS_AXIS and not row["work"].startswith("curve "):
            key = (row["work"], row["disk"], row["at"], row["unit"])
            clusters.setdefault(key, []).append(row)
    for (work, disk, at, _), of_cluster in clusters.items():
        if len({row["step"] for row in of_cluster}) > 1:
            yield bars(os.path.join(folder, file_name(work, at, disk)), of_cluster, machine)


def draw(result, folder):
    """Writes the plots into 'folder'.  Without gnuplot a line says so."""
    if not shutil.which("gnuplot"):
        say("skipped: plots (gnuplot is not here)")
        return
    os.makedirs(folder, exist_ok=True)
    for script in scripts(result, folder):
        subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True,
                       capture_output=True)
