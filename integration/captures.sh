#!/bin/bash
# Prints what docs/status-terminal.txt holds: what somebody sees who looks at a mount while its medium is pulled
# and returned, and who presses tab. For root; the stick is an ext4 file system on a loop device.
#
#   integration/captures.sh bin/fatvol > docs/status-terminal.txt
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 FATVOL" >&2; exit 1; }
fatvol=$(realpath "$1")
work=$(mktemp -d)
home=/tmp/stick-demo # short, and the same each time: it is in what is printed
[ ! -e $home ] || { echo "$home is in the way: remove it" >&2; exit 1; }
mkdir -p $home/bin $home/media $home/mnt
ln -s "$fatvol" $home/bin/fatvol
export PATH=$home/bin:$PATH HOME=$work TMUX_TMPDIR=$work XDG_STATE_HOME=$work
cd $home
loop=

cleanup() {
	terminal kill-server 2>/dev/null || true
	fatvol umount mnt 2>/dev/null || true
	unplug 2>/dev/null || true
	rm -rf "$work" $home
}
trap cleanup EXIT

plug() { loop=$(losetup --find --show "$work/flash") && mount "$loop" media; }
unplug() { umount -l media; losetup -d "$loop"; }
terminal() { tmux -L captures -f /dev/null "$@"; }
start() { terminal new-session -d -x 80 -y 24 "$@"; }
type_() { terminal send-keys -l "$1"; }
screen() { terminal capture-pane -p | sed -e 's/[[:space:]]*$//' | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'; }

# await TEXT: until it is on the screen.
await() {
	for _ in $(seq 300); do
		terminal capture-pane -p | grep -qF -- "$1" && return
		sleep 0.1
	done
	echo "no '$1' on the screen:" >&2
	terminal capture-pane -p >&2
	exit 1
}

# show TITLE: what is on the screen, below a title.
show() {
	printf '\n%s\n%s\n\n' "$1" "$(printf '%*s' ${#1} '' | tr ' ' -)"
	screen
}

truncate -s 64M "$work/flash"
mkfs.ext4 -q "$work/flash"
plug
mkdir "$work/tree" "$work/tree/photos"
echo hello > "$work/tree/readme.txt"
echo hello > "$work/tree/read me first.txt"
fatvol create media/disk.img --size 40M --label STICK --from "$work/tree" --quiet
fatvol mount media/disk.img mnt

echo "Made by integration/captures.sh, on a terminal of 80 columns and 24 lines."

start env 'PS1=$ ' bash --norc
type_ 'fatvol status'
terminal send-keys Enter
await present
show 'fatvol status'

type_ 'clear; fatvol status --watch mnt'
terminal send-keys Enter
await history
(
	for i in $(seq 20); do # a program that goes on writing
		dd if=/dev/zero of=mnt/video bs=256k count=4 seek=$((i * 4)) conv=notrunc status=none || break
		sleep 0.25
	done
) &
sleep 3
show 'fatvol status --watch mnt: something is written'
wait
unplug
await 'gone  since'
cat mnt/readme.txt 2>/dev/null || true
await '1 request failed'
show 'the stick is pulled'
plug
await 'present again'
sleep 1.2
show 'and returned'
fatvol umount mnt
await 'unmounted at'
show 'the mount is unmounted: the terminal is as it was'
terminal kill-server

fatvol mount media/disk.img mnt
for shell in bash zsh fish; do
	case $shell in
	bash) start env 'PS1=$ ' bash --norc; init='. /usr/share/bash-completion/bash_completion; . <(fatvol completion bash)' ;;
	zsh) start env 'PS1=$ ' zsh -f; init='autoload -U compinit; compinit -u -D; . <(fatvol completion zsh)' ;;
	fish) start fish --no-config --init-command 'function fish_prompt; echo "> "; end'; init='set -g fish_autosuggestion_enabled 0; fatvol completion fish | source' ;;
	esac
	sleep 1
	type_ "$init; clear; echo rea''dy"
	terminal send-keys Enter
	await ready
	for line in 'fatvol st' 'fatvol umount ' 'fatvol ls media/di' 'fatvol cat media/disk.img:/re' 'fatvol mount media/disk.img mnt -o short'; do
		type_ "$line"
		for tab in 1 2 3; do
			[ $tab = 3 ] && [ $shell != bash ] && break # others choose with it
			terminal send-keys Tab
			sleep 1
		done
		printf '\n%s: "%s" and tabs\n\n' "$shell" "$line"
		screen | grep -v '^ready$'
		terminal send-keys C-c
		sleep 0.3
		terminal send-keys C-u
		type_ 'clear'
		terminal send-keys Enter
		sleep 0.5
	done
	terminal kill-server
	sleep 0.3
done
