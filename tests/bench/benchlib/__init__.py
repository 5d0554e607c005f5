# SPDX-License-Identifier: MIT
"""What tests/bench/run is made of.

machine     disks, processes, sizes, and what must be undone at the end
targets     where work is done: on a disk itself, or on the mount of a daemon above it
works       what is done there, in steps
startup     opening a store; compaction: what it costs
groups      who is compared with whom: turns, medians, ratios
suites      all groups there are, by name
required    the ratios that are required
report      Markdown and JSON; plots: SVG
"""
