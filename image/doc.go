// Package image opens disk images: it takes the file or block device, keeps others away from it,
// and finds the FAT volume inside.
//
// There are two ways on from there. Open returns the volume as a file system of package io/fs with
// the half that writes beside it, for programs that look into images and change them without a
// mount. OpenVolume returns a device.Device that is exactly the volume's bytes, for those who bring
// an engine along, as a mount does: no access through it can reach another partition or the
// partition table. Neither knows anything of FUSE.
//
// # The file system
//
// A FS is a thin layer over package fat: paths instead of nodes, an offset for each file, and
// WriteFile and Draft, which replace a file in one step, so that what fails leaves the old one whole.
// The engine's promises are its own: what Sync or Close has covered is on the medium, and at every
// instant the volume is sound. Locks of a File are taken before those of the volume.
//
// # Finding the volume
//
// An image is one volume from end to end (like a floppy), or it is divided by an MBR, with logical
// partitions in extended ones, or by a GPT, or by a GPT with a hybrid MBR. Scan finds out which
// and says what each partition holds. Contents decide: the type that a table gives to a partition
// is reported and otherwise ignored, because real tables are full of wrong ones.
//
// A boot sector of FAT and an MBR are both 512 bytes that end in 55 AA, and both can be there at
// once: boot loaders keep the BPB of whatever was formatted before the disk was partitioned, and
// the boot code of a volume may look like a table. See scan.go for the rules.
//
// Partitions are numbered as Linux numbers them: primary ones by their slot, logical ones from 5
// in the order of their chain, those of a GPT by their entry.
//
// # Hostile tables
//
// Every number is checked against the length of the image before it is used. A chain of logical
// partitions that loops, leaves its extended partition or does not end is cut there and reported
// in Layout.Damage; partitions that overlap others are never opened for writing; one which ends
// beyond the image is not opened at all. Time and memory are bounded whatever the image says.
//
// # Locks
//
// An image is locked for as long as it is open: for writing alone, for reading together with
// other readers. The lock belongs to the file, not to its name, so links and bind mounts do not
// get around it, and it ends with the process. A file behind a loop device, and a block device
// that is mounted, is refused. See lock.go.
//
// # Errors
//
// Causes are wrapped with the image's path and the place. ErrNoVolume, ErrNoPartition,
// ErrAmbiguous, ErrTable, ErrOverlap, ErrBeyondEnd and ErrLocked tell them apart;
// AmbiguousError and LockedError have the details.
package image
