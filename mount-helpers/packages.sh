# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The Debian 12 packages for building, running and testing freyjafs, and functions to install the
# missing ones.  Sourced by mount-helpers/quickstart and tests/run.

# For building the daemon and mounting with it.
# shellcheck disable=SC2034 # used by the scripts that source this file
packages_build=(
	gcc libc6-dev meson ninja-build pkg-config
	libarchive-dev libbsd-dev libfuse3-dev libisal-dev libmount-dev libseccomp-dev liburing-dev libxxhash-dev
	uthash-dev zlib1g-dev
	fuse3
)

# For testing it: compilers and linters, then the tools that the mounted tests run on a mount.
# shellcheck disable=SC2034
packages_test=(
	abigail-tools clang clang-format clang-tidy libclang-rt-14-dev libcmocka-dev man-db
	python3 python3-prometheus-client shellcheck
	attr diffutils e2fsprogs git mount rsync sqlite3 tar util-linux vim-tiny xfsprogs
	bonnie++ borgbackup dbench fio make nano openssl patch perl postmark stress-ng tmux unzip zip
)

# For comparing it: the peers of tests/bench/run (docs/BENCHMARKS.md).
# shellcheck disable=SC2034
packages_bench=(
	bindfs fuse2fs fuse-overlayfs gnuplot-nox gocryptfs libfuse3-dev liblmdb-dev librocksdb-dev libsqlite3-dev
	mergerfs ntfs-3g
)

# Prints the packages among "$@" that are not installed, one per line.
packages_missing()
{
	local package

	for package in "$@"; do
		case $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) in
		installed) ;;
		*) echo "$package" ;;
		esac
	done
}

# Installs the packages among "$@" that are missing.  If it cannot, prints what to do and returns 1.
packages_install()
{
	local missing=() as_root=()

	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		echo "This is not Debian: install the equivalents of these packages:" >&2
		echo "  $*" >&2
		return 0
	fi
	mapfile -t missing < <(packages_missing "$@")
	[ "${#missing[@]}" -gt 0 ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		if ! command -v sudo >/dev/null; then
			echo "Packages are missing and there is no sudo.  As root, run:" >&2
			echo "  apt-get update" >&2
			echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
			return 1
		fi
		as_root=(sudo)
	fi
	echo "Installing: ${missing[*]}"
	as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
	if ! "${as_root[@]}" update </dev/null ||
		! "${as_root[@]}" install --no-install-recommends -y "${missing[@]}" \
			</dev/null >/dev/null; then
		echo "apt-get could not install: ${missing[*]}" >&2
		return 1
	fi
}
