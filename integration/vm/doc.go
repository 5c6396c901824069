// Package vm boots a virtual machine with a USB stick that can really be pulled, and runs scenes
// with it: the kernel's own vfat next to fatvol, and the medium going away and coming back.
//
// The machine is QEMU under software emulation, so nothing but a package of Debian is needed and
// every machine that runs the tests can run these. It boots Debian's own kernel, which prepare.sh
// unpacks into cache/, with an initramfs that the test writes: the modules, busybox, the tools of
// dosfstools, mtools and e2fsprogs with their libraries, the fatvol binary, and the program in
// guest/ as its first process. That program runs commands and workloads for the test, which calls it
// over a virtio serial port (guestapi holds what both sides share).
//
// The stick is a raw file on this side. Plug and Pull attach and detach it with QEMU's monitor; the
// guest's kernel sees a device that is there or is not, in the middle of whatever it is doing. While
// it is pulled, the stick's file can be changed with the tools of this side, as another computer
// would.
//
// A network share is NFS from nfsserver, a process of the guest that a test stops or ends.
//
// Instants are compared on the guest's clock: Pull translates the instant of the pull, and says how
// well it knows it. Emulation on a busy machine is slow in bursts, so each measurement comes with
// what the guest lost to those, and the limits of the scenes are counted without it.
//
// One machine is shared by the tests of the package, which take turns: shared boots it, or boots
// another where a scene has left a wreck.
package vm
