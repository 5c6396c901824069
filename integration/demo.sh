#!/bin/bash
# A guided tour of fatvol in a few seconds: it makes a disk image, mounts the volume in it, uses
# that, unmounts it, and lets other tools look. It needs no root, changes nothing outside of a
# temporary directory, and cleans up whatever happens.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C.UTF-8 # names with umlauts are shown

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold= dim= plain=; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
do_() {
	local line= word
	for word in "$@"; do
		case $word in *" "*) word="\"$word\"" ;; esac
		line="$line $word"
	done
	printf '%s$%s%s\n' "$dim" "$line" "$plain"
	"$@"
}

if [ ! -e /dev/fuse ]; then
	echo "demo: /dev/fuse is missing. Try 'modprobe fuse'; in a container, start that with" >&2
	echo "      --device /dev/fuse --cap-add SYS_ADMIN" >&2
	exit 1
fi
.ci/install-deps demo

work=$(mktemp -d)
mnt=$work/mnt
cleanup() {
	cd /
	if grep -qs " $mnt fuse" /proc/self/mounts; then
		umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say "1. Build fatvol"
do_ make --no-print-directory build
PATH=$PWD/bin:$PATH
cd "$work"
mkdir mnt

say "2. Make a disk image of 64 MiB, as it would come from a camera's card or a stick"
truncate -s 64M card.img
do_ mkfs.fat -F 32 -n HOLIDAY card.img

say "3. Mount the volume in it. No root, no loop device, no kernel driver for FAT"
do_ fatvol mount card.img mnt
grep " $mnt " /proc/self/mounts | cut -d' ' -f1-3

say "4. It is a directory like any other"
do_ mkdir -p "mnt/Photos/Zürich 2026"
printf '%s$ echo "..." > "mnt/Photos/Zürich 2026/A long name, with umlauts äöü.txt"%s\n' "$dim" "$plain"
echo "Hello from inside a FAT volume." >"mnt/Photos/Zürich 2026/A long name, with umlauts äöü.txt"
do_ dd if=/dev/urandom of=mnt/Photos/big.bin bs=1M count=32 status=none
(cd mnt && sha256sum Photos/big.bin) >big.sha256
do_ ls -l mnt/Photos
do_ df -h mnt

say "5. Names keep their case, and case does not matter in finding them, as on Windows"
do_ cat "mnt/PHOTOS/zürich 2026/a LONG name, with umlauts äöü.TXT"

say "6. What is mounted is locked: a second mount would destroy it, so it is refused"
mkdir other
do_ fatvol mount card.img other || echo "(exit code $?)"

say "7. Unmount. The command comes back when the image is complete"
do_ fatvol umount -v mnt

say "8. Other tools see the same: fsck.fat finds nothing, mtools reads the names"
do_ fsck.fat -n card.img
do_ mdir -i card.img -b -/ ::/

say "9. Mount it again, for reading only: everything is there"
do_ fatvol mount -o ro card.img mnt
(cd mnt && do_ sha256sum -c ../big.sha256)
do_ fatvol umount mnt

say "10. What fatvol knows about the image"
do_ fatvol info card.img

say "That was it. 'fatvol mount --help' goes on from here, and so does README.md"
