# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What every test in tests/mounted starts with: a work directory of its own, a daemon to mount a
# store with, and an end that leaves nothing behind.  Sourced.
#
# A test is an executable file; that it is there registers it.  It ends with 0 (passed), 77
# (skipped, reason printed) or anything else (failed).  A daemon that writes a line with "error",
# "warning" or "fault" fails the test, unless the test said expect_log.  Other tests run beside it.
# Three comment lines at its head are for the runner:
#	# timeout: SECONDS			default 60, doubled because others run beside it
#	# also: CONFIG...			besides the gcc build, where every test runs
#	# alone: REASON				no other test may run beside it
#
# By hand: BUILD=build/gcc tests/mounted/NAME.  KEEP=1 keeps the work directory of a test that
# passes.  FREYJAFS_TEST_OPTIONS=io_uring=on gives the daemon that option, unless the test sets it
# itself.
set -Eeuo pipefail
export LC_ALL=C.UTF-8

tests_dir=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=tests/lib/leftovers.sh
source "$tests_dir/lib/leftovers.sh"
# shellcheck disable=SC2034 # for the tests
source_dir=$(dirname -- "$tests_dir")
test_name=$(basename -- "$0")
build_dir=$(cd "${BUILD:-$source_dir/build/gcc}" && pwd -P) || {
	echo "FAILED: build it first, for example with tests/run gcc" >&2
	exit 1
}
freyjafs=$build_dir/fuse/freyjafs

work=$(mktemp -d "${FREYJAFS_TEST_ROOT:-${TMPDIR:-/tmp}}/freyjafs-$test_name.XXXXXX")
export FREYJAFS_TEST_DIR=$work # marks every process of this test
data=$work/data
mnt=$work/mnt
# shellcheck disable=SC2034
keys=$mnt/keys
daemon_log=$work/daemon.log
daemon_pid=
daemon_prefix=() # what the daemon is started with, such as env A=B
expected_log=()
cleanups=()
mkdir "$mnt"

# --- how a test ends ---

fail()
{
	echo "FAILED: $*" >&2
	exit 1
}

skip()
{
	echo "SKIPPED: $*"
	exit 77
}

# Lines of the daemon's log that match the extended regular expression "$1" are what the test
# wants to see.
expect_log()
{
	expected_log+=("$1")
}

# Evaluates "$1" when the test ends, however it ends; the last one first.
at_end()
{
	cleanups+=("$1")
}

need_root()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root: $1"
}

need_tool()
{
	local tool

	for tool in "$@"; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
}

# Prints the lines of the daemon's log that speak of trouble nobody expected.
unexpected_log_lines()
{
	local pattern args=()

	[ -e "$daemon_log" ] || return 0
	for pattern in "${expected_log[@]}"; do
		args+=(-e "$pattern")
	done
	if [ "${#args[@]}" -gt 0 ]; then
		grep -vaE "${args[@]}" "$daemon_log" || true
	else
		cat "$daemon_log"
	fi | sed "s|$work||g" | grep -aiE 'error|warning|fault' || true # a test may be named errors_...
}

kill_the_rest()
{
	local pid

	[ -z "$daemon_pid" ] || kill -9 "$daemon_pid" 2>/dev/null || true
	for pid in $(jobs -p); do
		kill -9 "$pid" 2>/dev/null || true
	done
	for pid in $(processes_of "$work"); do
		kill -9 "$pid" 2>/dev/null || true
	done
	wait 2>/dev/null || true
}

finish()
{
	local status=$? i path bad

	trap '' INT TERM
	trap - EXIT
	set +e
	if [ "$status" -eq 0 ] && [ -n "$daemon_pid" ]; then
		if ! fusermount3 -u -- "$mnt" || ! wait "$daemon_pid"; then
			echo "FAILED: the last unmount, or the daemon after it" >&2
			status=1
		fi
		daemon_pid=
	fi
	for path in $(mounts_below "$mnt"); do
		if [ "$status" -eq 0 ]; then
			echo "FAILED: the test left $path mounted" >&2
			status=1
		fi
		fusermount3 -uz -- "$path" 2>/dev/null || umount -l -- "$path"
	done
	kill_the_rest
	for ((i = ${#cleanups[@]} - 1; i >= 0; i--)); do
		eval "${cleanups[$i]}"
	done
	bad=$(unexpected_log_lines)
	if [ -n "$bad" ] && [ "$status" -ne 77 ]; then
		printf 'FAILED: the daemon wrote:\n%s\n' "$bad" >&2
		status=1
	fi
	if [ "$status" -ne 0 ] && [ "$status" -ne 77 ]; then
		[ ! -s "$daemon_log" ] || sed 's/^/daemon: /' "$daemon_log" | tail -n 60 >&2
		echo "Kept: $work" >&2
	elif [ -z "${KEEP-}" ]; then
		chmod -R u+rwX "$work" 2>/dev/null
		rm -rf --one-file-system -- "$work"
	fi
	exit "$status"
}
trap finish EXIT
trap 'exit 143' INT TERM
trap 'echo "FAILED: ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND" >&2' ERR

# Lets the test write to "$1", a setting of the whole machine.  No other test that asks for it has
# it meanwhile, and what was there comes back at the end, even that of kill -9.
borrow_setting()
{
	local was lock

	need_tool flock setsid
	[ -w "$1" ] || skip "$1 cannot be written"
	exec {lock}<"$1"
	flock -w 60 "$lock" || skip "another test has $1"
	was=$(cat "$1")
	# It must not be taken for something that the test has left behind.
	env -u FREYJAFS_TEST_ROOT -u FREYJAFS_TEST_DIR setsid \
		sh -c 'tail --pid="$1" -f /dev/null; echo "$2" >"$3"' sh $$ "$was" "$1" &
	at_end "kill -- -$! 2>/dev/null; echo '$was' >'$1'"
	disown
}

uring_switch=/sys/module/fuse/parameters/enable_uring

# The test needs FUSE over io_uring.  Root turns it on for the time of the test.
need_uring()
{
	local was

	grep -q io_uring_submit "$freyjafs" || skip "built without liburing"
	[ -e "$uring_switch" ] || skip "this kernel has no FUSE over io_uring"
	was=$(cat "$uring_switch")
	[ "$was" != Y ] || return 0
	if ! { echo Y >"$uring_switch"; } 2>/dev/null; then
		skip "FUSE over io_uring is off, and cannot be turned on from here"
	fi
	at_end "echo '$was' >'$uring_switch'"
}

# --- the store under test ---

# Starts the daemon on $data and $mnt, or fails the test.  Arguments go to the daemon.
mount_store()
{
	start_daemon "$@"
	wait_until_mounted || fail "the daemon did not mount the store"
}

# Starts the daemon and does not wait for anything.
start_daemon()
{
	"${daemon_prefix[@]}" "$freyjafs" "$data" "$mnt" -f -o "${FREYJAFS_TEST_OPTIONS-}" "$@" \
		>>"$daemon_log" 2>&1 </dev/null &
	daemon_pid=$!
}

# Waits until /status can be read.  Returns 1 when the daemon ends before.
wait_until_mounted()
{
	local i

	for ((i = 0; i < 3000; i++)); do
		if [ -r "$mnt/status" ]; then
			return 0
		fi
		kill -0 "$daemon_pid" 2>/dev/null || return 1
		sleep 0.02
	done
	return 1
}

# Unmounts and waits for the daemon, which has to exit with 0.
unmount_store()
{
	fusermount3 -u -- "$mnt" || fail "cannot unmount $mnt"
	wait_for_daemon || fail "the daemon exited with $?"
}

# Waits for the daemon and returns its exit status.
wait_for_daemon()
{
	local status=0

	wait "$daemon_pid" || status=$?
	daemon_pid=
	return "$status"
}

# The daemon dies as in a crash, and what is left of the mount goes away.
kill_store()
{
	kill -9 "$daemon_pid"
	wait "$daemon_pid" 2>/dev/null || true
	daemon_pid=
	fusermount3 -uz -- "$mnt"
}

remount_store()
{
	unmount_store
	mount_store "$@"
}

crash_and_remount()
{
	kill_store
	mount_store "$@"
}

# Prints the value of the line "$1: value" in /status.
status_of()
{
	local value

	value=$(sed -n "s/^$1: //p" "$mnt/status")
	[ -n "$value" ] || fail "/status has no line '$1'"
	echo "$value"
}

# Says whether process "$1" has ended, also when nobody has waited for it yet.
gone()
{
	[ -z "$(tr -d "\0" 2>/dev/null <"/proc/$1/cmdline")" ]
}

# Prints the process that has $data, as DATADIR/lock says it.
holder_pid()
{
	local pid

	pid=$(sed -n 's/^pid \([0-9]*\) mounted on .*/\1/p' "$data/lock")
	[ -n "$pid" ] || fail "the lock does not say who: $(cat "$data/lock")"
	echo "$pid"
}

# The size of active.data in bytes.
log_bytes()
{
	stat -c %s "$data/active.data"
}

# Prints the names in the directory "$1" (default: the top of the store), sorted, in one line.
names_in()
{
	find "${1:-$keys}" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | paste -sd ' '
}

# Says whether every rotated segment is sealed: MANIFEST lists it some time after its sync.
all_sealed()
{
	[ -z "$(find "$data" -maxdepth 1 -name '*.full')" ]
}

# Prints how many files in quarantine have a name like the pattern "$1".
in_quarantine()
{
	if [ -d "$data/quarantine" ]; then
		find "$data/quarantine" -type f -name "$1" | wc -l
	else
		echo 0
	fi
}

# The durable offset that active.synced holds.
durable_mark()
{
	od -An -t u8 -j 24 -N 8 "$data/active.synced" | tr -d ' '
}

# --- assertions ---

# same WANTED GOT WHAT
same()
{
	[ "$1" = "$2" ] || fail "$3: wanted '$1', got '$2'"
}

# Runs a command that has to fail; its output goes to $work/output, its status to $status.
refused()
{
	status=0
	"$@" >"$work/output" 2>&1 </dev/null || status=$?
	[ "$status" -ne 0 ] || fail "this should have failed: $*"
}

# said REGEX: what the last refused() command printed matches.
said()
{
	grep -qE -- "$1" "$work/output" || fail "wanted '$1', got: $(cat "$work/output")"
}

# Waits up to 60 s until the command succeeds.
eventually()
{
	local i

	for ((i = 0; i < 1200; i++)); do
		if "$@" >/dev/null 2>&1; then
			return
		fi
		sleep 0.05
	done
	fail "this never came true: $*"
}

# Makes a filesystem of "$2" MiB on a loop device and mounts it on "$3": "$1" is its type, and
# further arguments are for its mkfs.
mount_loop()
{
	local type=$1 image=$work/loop-$2.img dir=$3 device

	need_root "a loop device"
	need_tool "mkfs.$type" losetup
	truncate -s "${2}M" "$image"
	shift 3
	"mkfs.$type" -q "$@" "$image" >&2
	device=$(losetup -f --show -- "$image" 2>&1) || skip "no loop device: $device"
	at_end "losetup -d '$device'"
	mkdir -p "$dir"
	mount -t "$type" "$device" "$dir" || skip "$type cannot be mounted here"
	at_end "umount '$dir' 2>/dev/null || umount -l '$dir' 2>/dev/null"
}

mount_loop_ext4()
{
	mount_loop ext4 "$1" "$2" -F -m 0
}

mount_loop_xfs()
{
	mount_loop xfs "$1" "$2"
}

# Mounts a tmpfs of "$1" on "$2".
mount_tmpfs()
{
	need_root "a tmpfs"
	mkdir -p "$2"
	mount -t tmpfs -o "size=$1,mode=0755" freyjafs-test "$2" ||
		skip "tmpfs cannot be mounted here"
	at_end "umount '$2' 2>/dev/null || umount -l '$2' 2>/dev/null"
}

if [ ! -e /dev/fuse ]; then
	skip "there is no /dev/fuse"
fi
command -v fusermount3 >/dev/null || skip "fusermount3 is not installed"
[ -x "$freyjafs" ] || fail "there is no $freyjafs: build it first"
