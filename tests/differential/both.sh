# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For tests that let a tool loose on the mount and on ext4, and want the same of both.  Sourced
# after tests/lib/mounted.sh; "both" says it all.

# shellcheck disable=SC2154 # of tests/lib/mounted.sh
here=$work/here
if [ "$(stat -f -c %T "$work")" != ext2/ext3 ]; then
	mount_loop_ext4 600 "$here"
fi

# The two directories: $plain is on ext4, $keys/dir is in the mount.
plain=$here/dir
mkdir -p "$plain"

# Mounts the store and makes the directory in it.
mount_both()
{
	mount_store "$@"
	mkdir "$keys/dir"
}

# both FUNCTION [ARGUMENT...]: runs it in both directories; status and output have to agree, and
# so have the trees then.
both()
{
	local status_plain=0 status_mount=0

	(cd "$plain" && "$@") >"$work/output.plain" 2>&1 </dev/null || status_plain=$?
	(cd "$keys/dir" && "$@") >"$work/output.mount" 2>&1 </dev/null || status_mount=$?
	sed -i "s|$plain|DIR|g" "$work/output.plain"
	sed -i "s|$keys/dir|DIR|g" "$work/output.mount"
	diff "$work/output.plain" "$work/output.mount" >&2 || fail "$*: output differs (ext4, mount)"
	same "$status_plain" "$status_mount" "$*: status"
	[ "$status_plain" -eq 0 ] || fail "$*: status $status_plain: $(cat "$work/output.plain")"
	compare_both "$*"
}

compare_both()
{
	python3 "$tests_dir/differential/tree.py" "$plain" "$keys/dir" || fail "after $1"
}

# The trees agree after kill -9 and after an unmount.
both_survive()
{
	cd "$work" || return
	sync "$keys"
	crash_and_remount "$@"
	compare_both "kill -9"
	remount_store "$@"
	compare_both "unmount"
}
