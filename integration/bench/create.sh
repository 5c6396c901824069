#!/bin/sh
# Compares `fatvol create --from` with mkfs.fat and mcopy -s, and with a plain copy, in one run: the best time of
# each of RUNS runs, in turns. The 2000 names that begin alike take mcopy minutes; NAMES=n makes them fewer.
# Usage: integration/bench/create.sh [DIRECTORY], where files of 3 GiB have room; by default in memory.
set -eu
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:/sbin
RUNS=${RUNS:-3} NAMES=${NAMES:-2000}
dir=$(mktemp -d "${1:-/dev/shm}/fatvol-bench.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
CGO_ENABLED=0 go build -o "$dir/fatvol" ./cmd/fatvol
cd "$dir"

mkdir tree same big
for d in $(seq 30); do
	mkdir "tree/directory $d"
	for i in $(seq 100); do head -c $((i * 137 % 20000)) /dev/urandom >"tree/directory $d/file number $i.txt"; done
done
for i in $(seq "$NAMES"); do echo "$i" >"same/a beginning that all names have $i.dat"; done
for i in 1 2 3 4; do head -c 268435456 /dev/urandom >"big/$i"; done

# seconds COMMAND: how long it takes.
seconds() {
	start=$(date +%s.%N)
	"$@" >/dev/null 2>&1
	end=$(date +%s.%N)
	echo "$start $end" | awk '{ print $2 - $1 }'
}
by_mtools() {
	truncate -s "$2" mtools.img
	mkfs.fat mtools.img
	mcopy -s -i mtools.img "$1" ::
}
by_fatvol() { ./fatvol create fatvol.img -q --size "$2" --from "$1"; }
by_copy() { cp -r "$1" copied; }

# compare NAME SOURCE SIZE PEER RUNS: prints the best of both and their ratio.
compare() {
	ours='' theirs=''
	for _ in $(seq "$5"); do
		rm -rf fatvol.img mtools.img copied
		sync
		ours="$ours $(seconds by_fatvol "$2" "$3")"
		sync
		theirs="$theirs $(seconds "$4" "$2" "$3")"
	done
	echo "$ours;$theirs" | awk -F ';' -v what="$1" '
		function best(list, n, v, i) { n = split(list, v, " "); b = v[1]; for (i = 2; i <= n; i++) if (v[i] < b) b = v[i]; return b }
		{ o = best($1); t = best($2); printf "%-44s fatvol %8.3f s, peer %8.3f s, ratio %.1f\n", what, o, t, t / o }'
}
compare "3000 files, against mkfs.fat and mcopy" tree 128M by_mtools "$RUNS"
compare "1 GiB in 4 files, against cp" big 1200M by_copy "$RUNS"
compare "$NAMES names that begin alike, against mcopy" same 128M by_mtools 1
