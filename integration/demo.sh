#!/bin/bash
# The story of fatvol in a few seconds: a disk image on a stick is mounted and used, the stick is
# pulled out while a program writes, and comes back; nothing is lost.
#
# As root, the stick is a file with an ext4 file system on a loop device, which really vanishes. For
# other users, the image itself is taken away and put back. It works in a temporary directory, and
# cleans up whatever happens.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C.UTF-8 # names with umlauts are shown

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold= dim= plain=; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { printf '%s$ %s%s\n' "$dim" "$*" "$plain"; }
do_() {
	local line= word
	for word in "$@"; do
		case $word in *" "*) word="\"$word\"" ;; esac
		line="$line $word"
	done
	show "${line# }"
	"$@"
}
die() {
	echo "demo: $*" >&2
	exit 1
}
# until_ SECONDS COMMAND: waits until it succeeds.
until_() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -le "$end" ] || die "waited too long for: $*"
		sleep 0.05
	done
}

if [ ! -e /dev/fuse ]; then
	die "/dev/fuse is missing. Try 'modprobe fuse'; in a container, start that with
      --device /dev/fuse --cap-add SYS_ADMIN"
fi
.ci/install-deps demo

work=$(mktemp -d)
mnt=$work/mnt
stick=$work/stick
loop=
writer=
cleanup() {
	set +e
	trap - EXIT
	cd /
	[ -z "$writer" ] || kill "$writer" 2>/dev/null
	if grep -qs " $mnt fuse" /proc/self/mounts; then
		umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt" 2>/dev/null
	fi
	if grep -qs " $stick ext4" /proc/self/mounts; then umount -l "$stick"; fi
	[ -z "$loop" ] || losetup -d "$loop" 2>/dev/null
	# What was kept for an image of the demo is of no use without it.
	fatvol replay list 2>/dev/null | grep -F "$work/" | cut -d' ' -f1 | while read -r name; do
		fatvol replay discard "$name"
	done
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# ---- the stick

make_stick() {
	mkdir "$stick"
	[ "$(id -u)" -eq 0 ] && command -v losetup >/dev/null && command -v mkfs.ext4 >/dev/null || return 0
	truncate -s 160M "$work/flash"
	mkfs.ext4 -q -m 0 "$work/flash"
	if loop=$(losetup --find --show "$work/flash" 2>/dev/null) && mount "$loop" "$stick" 2>/dev/null; then return 0; fi
	[ -z "$loop" ] || losetup -d "$loop"
	loop=
}

# What has reached the stick by now is what comes back with it. It goes in one instant for fatvol, which is
# stopped for the moment that it takes here.
pull() {
	local server
	server=$(state pid)
	kill -STOP "$server"
	if [ -n "$loop" ]; then
		cp --sparse=always "$work/flash" "$work/flash.pulled"
		truncate -s 0 "$work/flash"
		losetup --set-capacity "$loop" # a device of no bytes: all that is asked of it fails
	else
		cp --sparse=always "$stick/card.img" "$work/card.pulled"
		rm "$stick/card.img"
	fi
	kill -CONT "$server"
}

plug_in() {
	if [ -n "$loop" ]; then
		umount -l "$stick"
		losetup -d "$loop"
		mv "$work/flash.pulled" "$work/flash"
		loop=$(losetup --find --show "$work/flash")
		mount "$loop" "$stick"
	else
		mv "$work/card.pulled" "$stick/card.img"
	fi
}

# The state, reason or the like that fatvol tells of a mount: the first member of that name, for its history
# has some too.
state() { fatvol status --json "$mnt" | grep -o "\"$1\":[^,]*" | head -n 1 | cut -d: -f2 | tr -d '"'; }
is() { [ "$(state state)" = "$1" ]; }

# ---- the story

say "1. Build fatvol"
do_ make --no-print-directory build
PATH=$PWD/bin:$PATH
cd "$work"
make_stick
mkdir mnt

say "2. A memory stick, and on it the image of a camera's card: a file with a FAT volume inside"
truncate -s 64M stick/card.img
do_ mkfs.fat -F 32 -n HOLIDAY stick/card.img
if [ -n "$loop" ]; then
	show "df --output=source,fstype,target stick"
	df --output=source,fstype,target stick
else
	echo "(Without root there is no stick to play with: the image itself will vanish and come back.)"
fi

say "3. Mount the volume in the image. It needs no root, no loop device, no FAT driver in the kernel"
do_ fatvol mount stick/card.img mnt
do_ mkdir -p "mnt/Photos/Zürich 2026"
do_ dd if=/dev/urandom "of=mnt/Photos/Zürich 2026/IMG_0001.JPG" bs=1M count=8 status=none
(cd mnt/Photos && sha256sum */IMG_0001.JPG) >before.sha256
do_ ls -lR mnt/Photos

say "4. A program has a file open and goes on writing to it"
# It notes every line that was acknowledged; when the stick is gone, it tries that line again.
(
	exec 3>>mnt/diary.txt
	n=0
	while [ ! -e finish ]; do
		if echo "line $((n + 1))" >&3; then
			n=$((n + 1))
			echo "line $n" >>acknowledged.txt
		fi
		sleep 0.02
	done
) 2>/dev/null &
writer=$!
until_ 60 grep -qs "line 30" acknowledged.txt
do_ tail -n 1 mnt/diary.txt

say "5. The stick is pulled out, while the file is open and its last lines are not on the stick yet"
pull
echo "*** pulled ***"
until_ 60 is gone
before=$(wc -l <acknowledged.txt)
echo "The program has written $before lines so far."

say "6. From now on everything fails at once, with an error that is true. Nothing hangs, nothing lies"
do_ ls mnt || true
do_ cat mnt/diary.txt || true
do_ fatvol status mnt

say "7. The stick is plugged in again. No remount: the program that had the file open just goes on"
plug_in
until_ 60 is present
more() { [ "$(wc -l <acknowledged.txt)" -gt $((before + 10)) ]; }
until_ 60 more
do_ fatvol status mnt
touch finish
wait "$writer"
writer=

say "8. Was anything lost?"
show "cmp acknowledged.txt mnt/diary.txt"
cmp acknowledged.txt mnt/diary.txt && echo "all $(wc -l <acknowledged.txt) lines are there, those from just before the pull among them"
(cd mnt/Photos && do_ sha256sum -c ../../before.sha256)

say "9. Unmount. The command comes back when the image is complete; other tools find it sound"
do_ fatvol umount -v mnt
do_ fsck.fat -n stick/card.img
do_ mdir -i stick/card.img ::/Photos

say "10. And if the stick had not come back? Then fatvol keeps what is not on it, and writes it next time"
do_ fatvol mount stick/card.img mnt
show "echo 'the last words' > mnt/words.txt"
echo 'the last words' >mnt/words.txt
pull
until_ 60 is gone
do_ fatvol umount mnt || true
plug_in
do_ fatvol mount stick/card.img mnt
do_ cat mnt/words.txt
do_ fatvol umount mnt
do_ fsck.fat -n stick/card.img

say "That was it. README.md goes on from here, and 'fatvol mount --help'"
