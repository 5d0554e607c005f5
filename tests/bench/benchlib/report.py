# SPDX-License-Identifier: MIT
"""Markdown of what was measured."""

import statistics

from . import required
from .machine import size_text


def rate_text(rate):
    if rate >= 999500:
        return f"{rate / 1e6:.2f} M"
    if rate >= 9995:
        return f"{rate / 1e3:.0f} k"
    if rate >= 999.5:
        return f"{rate / 1e3:.1f} k"
    if rate >= 99.95:
        return f"{rate:.0f}"
    return f"{rate:.3g}"


def at_text(row):
    return size_text(row["at"]) if row["axis"] in ("call", "file size") else str(row["at"])


def ratio_text(ratio):
    return f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})"


def ratios_text(ratios, with_labels):
    """The fastest is first."""
    return "; ".join(ratio_text(r) + (f" {label}" if with_labels else "")
                     for label, r in ratios.items()) or "-"


def beside_text(beside):
    return ", ".join(f"{name}: {rate_text(statistics.median(values))} "
                     f"({rate_text(min(values))}-{rate_text(max(values))})"
                     for name, values in beside.items()) or "-"


def table(rows):
    """What is comparable but for the value of the axis."""
    beside = any(row["beside"] for row in rows)
    heads = [rows[0]["axis"], "what", rows[0]["unit"], "lowest-highest", "of the ceiling",
             "of the peers"] + (["beside it"] if beside else [])
    out = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        ours = row["role"] == "ours"
        label = f"**{row['label']}**" if ours else row["label"]
        if row["role"] == "ceiling":
            label = f"ceiling: {label}"
        cells = [at_text(row), label, rate_text(row["median"]),
                 f"{rate_text(row['low'])}-{rate_text(row['high'])}",
                 ratios_text(row["of_ceiling"], False) if row["role"] != "ceiling" else "-",
                 ratios_text(row["of_peer"], True) if ours else "-"]
        out.append("| " + " | ".join(cells + ([beside_text(row["beside"])] if beside else []))
                   + " |")
    return out


def title_of(row):
    curve = "scaling: " if row["work"].startswith("curve ") else ""
    return f"{curve}{row['step']}, {row['what']}, class {row['durability']}, {row['disk']}"


def required_table(title, found):
    """One row for each required ratio, with the limit that nobody can pass."""
    if not found:
        return []
    out = [f"### {title}", "", "| what | at | disk | required | measured | limit |",
           "|---|---|---|---|---|---|"]
    for need, row, ratio in found:
        out.append(f"| {need.what} | {row['axis']} {at_text(row)} | {row['disk']} "
                   f"| {need.at_least:g} | {ratio_text(ratio)} | {need.limit} |")
    return [*out, ""]


def markdown(result):
    rows = result["rows"]
    found = list(required.verdicts(rows, result["transports"]))
    reached = [one for one in found if one[2]["median"] >= one[0].at_least]
    missed = [one for one in found if one[2]["median"] < one[0].at_least]
    out = [f"Machine class: {result['machine']}. {result['turns']} turns of "
           f"{result['seconds']:g} s each.", "", *required_table("Gains for a user", reached)]
    for title in dict.fromkeys(map(title_of, rows)):
        out += [f"### {title}", "", *table([r for r in rows if title_of(r) == title]), ""]
    return "\n".join([*out, *required_table("Required ratios that are not reached", missed)])
