#!/bin/sh
# Compares `fatvol create --from` with mkfs.fat and mcopy -s, and with a plain copy, in one run: the least time of
# each of RUNS runs, in turns, and the least time of processors, which others on the machine disturb less.
# mcopy's time for names that begin alike grows with the cube of their number: NAMES=2000 takes it half an hour.
# Usage: integration/bench/create.sh [DIRECTORY], where files of 3 GiB have room; by default in memory.
set -eu
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:/sbin
RUNS=${RUNS:-7} NAMES=${NAMES:-1000}
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

# cost COMMAND: the seconds that it takes, and those of processors, in one line.
cost() {
	start=$(date +%s.%N)
	cpu=$("$@" >/dev/null 2>&1; times)
	end=$(date +%s.%N)
	# The last four of these are minutes and seconds of children, in user and system mode.
	echo "$start" "$end" $cpu | sed 's/[ms]/ /g' | awk '{ printf "%f %f\n", $2 - $1, $(NF-3) * 60 + $(NF-2) + $(NF-1) * 60 + $NF }'
}
by_mtools() {
	truncate -s "$2" mtools.img
	mkfs.fat mtools.img
	mcopy -s -i mtools.img "$1" ::
}
by_fatvol() { ./fatvol create fatvol.img -q --size "$2" --from "$1"; }
by_copy() { cp -r "$1" copied; }

# compare NAME SOURCE SIZE PEER RUNS: prints the least of both, and their ratios.
compare() {
	for _ in $(seq "$5"); do
		rm -rf fatvol.img mtools.img copied
		sync
		echo "o $(cost by_fatvol "$2" "$3")"
		sync
		echo "t $(cost "$4" "$2" "$3")"
	done | awk -v what="$1" '
		function least(key, v) { if (!(key in min) || v < min[key]) min[key] = v }
		{ least($1 "wall", $2); least($1 "cpu", $3) }
		END {
			printf "%-44s time: fatvol %8.3f s, peer %8.3f s, ratio %.1f; processors: %.3f s, %.3f s, ratio %.1f\n", what,
				min["owall"], min["twall"], min["twall"] / min["owall"], min["ocpu"], min["tcpu"], min["tcpu"] / min["ocpu"] }'
}
compare "3000 files, against mkfs.fat and mcopy" tree 128M by_mtools "$RUNS"
compare "1 GiB in 4 files, against cp" big 1200M by_copy "$(( RUNS > 5 ? 5 : RUNS ))"
compare "$NAMES names that begin alike, against mcopy" same 128M by_mtools 1
