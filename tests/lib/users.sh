# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154 # work and mnt come from mounted.sh
# What a test needs where a user who is not root mounts the store.  Sourced after mounted.sh.

# as_user ID COMMAND...
as_user()
{
	local id=$1

	shift
	setpriv --reuid "$id" --regid "$id" --clear-groups -- "$@"
}

# Lets user 65534 run $freyjafs, which is moved to where he can reach it, with $data and $mnt.  He is
# nobody: fusermount3 wants a user that has a name.
# shellcheck disable=SC2034 # data and freyjafs are for the tests
need_user()
{
	local dir

	need_root "to be several users"
	need_tool setpriv
	[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not set-uid root"
	chmod 755 "$work"
	for dir in "$work" "$(dirname "$work")"; do
		as_user 65534 test -x "$dir" || skip "user 65534 cannot reach $dir"
	done
	if ! as_user 65534 test -r /dev/fuse -a -w /dev/fuse; then
		# Where no udev has made it so.
		at_end "chmod $(stat -c %a /dev/fuse) /dev/fuse"
		chmod 666 /dev/fuse
	fi
	if [ ! -e /etc/mtab ]; then
		# Where nothing has booted; fusermount3 looks there who may unmount.
		at_end "rm -f /etc/mtab"
		ln -s ../proc/self/mounts /etc/mtab
	fi
	cp "$freyjafs" "$work/freyjafs"
	chmod 755 "$work/freyjafs"
	freyjafs=$work/freyjafs
	mkdir "$work/home"
	chown 65534:65534 "$mnt" "$work/home"
	data=$work/home/data
}
