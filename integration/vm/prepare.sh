#!/bin/sh
# Fetches what the tests in this directory boot: QEMU and busybox are installed; Debian's own kernel
# and the modules that the guest may load are unpacked into cache/ and installed nowhere.
#
# Quick and silent when everything is there. A newer kernel is not looked for; `rm -r cache` does
# that. Without apt it says what is missing; the tests then skip, or fail where the variable CI is set.
set -eu
cd "$(dirname "$0")"

missing=
command -v qemu-system-x86_64 >/dev/null || missing="$missing qemu-system-x86"
command -v busybox >/dev/null || missing="$missing busybox-static"
command -v xz >/dev/null || missing="$missing xz-utils"
kernel=
[ cache/kernel/complete -nt prepare.sh ] || kernel=yes
[ "$missing$kernel" ] || exit 0

if [ "$(uname -m)" != x86_64 ] || ! command -v apt-get >/dev/null; then
	echo "prepare.sh: the virtual machine needs x86_64 and Debian's packages:$missing${kernel:+ linux-image-amd64}" >&2
	exit 0
fi
root=
[ "$(id -u)" = 0 ] || root=sudo
apt_cache_is_empty() { [ -z "$(apt-cache depends linux-image-amd64 2>/dev/null)" ]; }
if apt_cache_is_empty; then
	$root apt-get -q update
fi
if [ "$missing" ]; then
	# shellcheck disable=SC2086 # a list of words
	$root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing
fi
[ "$kernel" ] || exit 0

package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
[ "$package" ] || { echo "prepare.sh: linux-image-amd64 names no kernel" >&2; exit 1; }
mkdir -p cache
tmp=$(mktemp -d cache/kernel.XXXXXX)
chmod 755 "$tmp"
trap 'rm -rf "$tmp"' EXIT INT TERM
echo "prepare.sh: fetching $package"
# The directory of the package is /usr/lib/modules in newer releases.
(cd "$tmp" && apt-get -q -o APT::Sandbox::User=root download "$package") || {
	$root apt-get -q update
	(cd "$tmp" && apt-get -q -o APT::Sandbox::User=root download "$package")
}
dpkg-deb --fsys-tarfile "$tmp"/*.deb | tar -x -C "$tmp" --wildcards --no-anchored \
	'vmlinuz-*' 'kernel/fs/*' 'kernel/lib/*' 'kernel/crypto/*' 'kernel/arch/*' 'kernel/net/9p/*' 'kernel/net/sunrpc/*' \
	'kernel/drivers/usb/*' 'kernel/drivers/scsi/*' 'kernel/drivers/block/*' 'kernel/drivers/char/*' \
	'kernel/drivers/virtio/*' 'kernel/drivers/md/*' 'kernel/block/*' 'kernel/drivers/cdrom/*' 'modules.builtin'
mv "$tmp"/boot/vmlinuz-* "$tmp/vmlinuz"
[ ! -d "$tmp/usr/lib/modules" ] || mv "$tmp/usr/lib" "$tmp/lib"
mv "$tmp"/lib/modules/* "$tmp/modules"
rm -rf "$tmp"/*.deb "$tmp/boot" "$tmp/lib" "$tmp/usr"
find "$tmp/modules" -name '*.ko.xz' -exec xz -d {} +
find "$tmp/modules" -name '*.ko.zst' -exec zstd -q -d --rm {} +
echo "$package" >"$tmp/complete"
rm -rf cache/kernel
mv "$tmp" cache/kernel
