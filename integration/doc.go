// Package integration holds the tests that run the built fatvol binary on real mounts, next to
// real tools: mkfs.fat and fsck.fat of dosfstools, mtools, fio, mount(8) and umount(8).
//
// The helpers that the other files use are in main_test.go (building the binary, the watchdog)
// and mount_test.go (images, mounts, checks). A test that needs something the machine does not
// have skips, and names what is missing.
package integration
