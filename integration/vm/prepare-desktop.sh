#!/bin/sh
# Fetches what the desktop scene (TestDesktop) runs in the guest besides what prepare.sh has fetched: udisks2,
# polkit, udev and D-Bus, with everything that they need. Debian's packages are unpacked into cache/desktop/ and
# installed nowhere.
#
# Quick and silent when everything is there. Without apt it says so, and the test skips.
set -eu
cd "$(dirname "$0")"
[ ! -e cache/desktop/complete ] || exit 0
if [ "$(uname -m)" != x86_64 ] || ! command -v apt-get >/dev/null; then
	echo "prepare-desktop.sh: the desktop scene needs x86_64 and Debian's packages" >&2
	exit 0
fi
root=
[ "$(id -u)" = 0 ] || root=sudo
mkdir -p cache
tmp=$(mktemp -d cache/desktop.XXXXXX)
chmod 755 "$tmp"
trap 'rm -rf "$tmp"' EXIT INT TERM
: >"$tmp/status"
# As if nothing were installed, so that all that is needed is named; what nothing here runs is left out.
list() {
	apt-get -qq -y --no-install-recommends --print-uris -o "Dir::State::status=$PWD/$tmp/status" -o Debug::NoLocking=1 \
		install udisks2 polkitd udev dbus-daemon fuse3 2>/dev/null | sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p" |
		grep -Ev '^(perl.*|libperl.*|dpkg|tar|adduser|passwd|debconf|base-.*|e2fsprogs|gdisk|fdisk|parted)$'
}
packages=$(list) && [ "$packages" ] || {
	$root apt-get -q update
	packages=$(list)
}
echo "prepare-desktop.sh: fetching $(echo "$packages" | wc -w) packages"
# shellcheck disable=SC2086 # a list of words
(cd "$tmp" && apt-get -qq -o APT::Sandbox::User=root download $packages)
mkdir "$tmp/root"
for deb in "$tmp"/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$tmp/root" --keep-directory-symlink --exclude './usr/share/doc' --exclude './usr/share/locale' --exclude './usr/share/man'
	rm "$deb"
done
echo "$packages" >"$tmp/complete"
rm -rf cache/desktop
mv "$tmp" cache/desktop
