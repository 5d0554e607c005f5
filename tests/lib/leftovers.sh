# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What a test may not leave behind: mounts below a directory, and processes that were started
# with it in their environment.  Sourced by tests/run and tests/lib/mounted.sh.

# Mount points at or below "$1", the innermost first.
mounts_below()
{
	local path

	awk '{ print $5 }' /proc/self/mountinfo | tac | while read -r path; do
		printf -v path '%b' "$path" # mountinfo writes a space as \040
		case $path in
		"$1" | "$1"/*) echo "$path" ;;
		esac
	done
}

# Processes whose FREYJAFS_TEST_ROOT or FREYJAFS_TEST_DIR is "$1" or below it, but for the caller.
processes_of()
{
	local quoted environs=() environ pid

	# shellcheck disable=SC2001 # each of the characters
	quoted=$(sed 's/[][\\.*^$]/\\&/g' <<<"$1")
	mapfile -t environs < <(grep -lzx -e "FREYJAFS_TEST_\(ROOT\|DIR\)=$quoted\(/.*\)\?" \
		/proc/[0-9]*/environ 2>/dev/null || true)
	for environ in "${environs[@]}"; do
		pid=${environ//[^0-9]/}
		case $pid in
		"$$" | "$BASHPID" | "$PPID") ;;
		*) echo "$pid" ;;
		esac
	done
}

# Ends such processes and unmounts such mounts.  Prints what there was and returns 1 if there was
# anything.
leftovers_remove()
{
	local pid path found=0

	for pid in $(processes_of "$1"); do
		echo "left behind: process $pid: $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")"
		kill -9 "$pid" 2>/dev/null || true
		found=1
	done
	for path in $(mounts_below "$1"); do
		echo "left behind: mount $path"
		fusermount3 -uz -- "$path" 2>/dev/null || umount -l -- "$path" || true
		found=1
	done
	return "$found"
}
