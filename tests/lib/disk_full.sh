# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154 # work, keys and tests_dir come from mounted.sh
# What a store does when its disk is full, whatever the disk.  Sourced after mounted.sh, with the
# disk mounted on $work/disk.

disk_full()
{
	local i good=0

	data=$work/disk/data
	mount_store
	head -c 65536 /dev/urandom >"$work/64k"
	for ((i = 0; i < 1000; i++)); do
		cp "$work/64k" "$keys/fill.$i" 2>"$work/output" || break
		good=$((good + 1))
	done
	[ "$good" -lt 1000 ] || fail "the disk did not fill"
	[ "$good" -gt 20 ] || fail "the disk was full after $good files"
	said 'No space left on device'
	full_keeps_what_was "$good"
	full_takes_deletes
	heals
	unmount_store
	python3 "$tests_dir/tools/decode.py" "$data/active.data" >/dev/null ||
		fail "a partial record"
}

# Nothing is there in part, old values stay, and reading goes on.
full_keeps_what_was()
{
	local i

	fill_to_the_last_byte
	for ((i = 0; i < $1; i++)); do
		cmp "$work/64k" "$keys/fill.$i" || fail "fill.$i of the full disk"
	done
	refused cp "$work/64k" "$keys/fill.0x"
	said 'No space left on device'
	refused dd if="$work/64k" of="$keys/fsynced" conv=fsync status=none
	said 'No space left on device'
	head -c 65536 /dev/urandom >"$work/other"
	refused cp "$work/other" "$keys/fill.1"
	grep -F "$mnt: keys/fill.0x: the value was not committed: No space left on device" \
		"$daemon_log" >/dev/null || fail "no message about fill.0x"
	[ "$(status_of failed_commits)" -ge 3 ] || fail "failed_commits: $(status_of failed_commits)"
	crash_and_remount
	cmp "$work/64k" "$keys/fill.1" || fail "the old value went when the new one found no space"
	[ ! -e "$keys/fill.0x" ] || fail "a file that found no space is there"
	same 0 "$(in_quarantine '*')" "files in quarantine"
}

# What is left of the space may still take a small record, or a tombstone: uses it up.
fill_to_the_last_byte()
{
	local i size

	for size in 4000 500 1; do
		head -c "$size" "$work/64k" >"$work/small"
		for ((i = 0; i < 5000; i++)); do # hints and reserves may have come free
			cp "$work/small" "$keys/small.$size.$i" 2>/dev/null || break
		done
		[ "$i" -lt 5000 ] || fail "the disk has space for one more value of $size bytes"
	done
}

# Also when new values have taken what earlier deletes left of the space for them.
full_takes_deletes()
{
	local i

	for ((i = 2; i < 20; i++)); do
		[ "$i" -ne 10 ] || fill_to_the_last_byte
		rm "$keys/fill.$i" || fail "rm on a full disk, of file $i"
	done
	crash_and_remount
	for ((i = 2; i < 20; i++)); do
		[ ! -e "$keys/fill.$i" ] || fail "what was removed on the full disk is back"
	done
}

# When there is space again, the same mount goes on.
heals()
{
	rm "$work/disk/ballast"
	cp "$work/other" "$keys/healed" || fail "no space, though there is"
	cmp "$work/other" "$keys/healed" || fail "the first value after the disk was full"
	crash_and_remount
	cmp "$work/other" "$keys/healed" || fail "the same value after kill -9"
	cmp "$work/64k" "$keys/fill.0" || fail "an old value after the disk was full"
}
