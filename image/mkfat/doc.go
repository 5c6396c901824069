// Package mkfat makes disk images: a FAT volume with a tree of files in it, laid out in one pass, and
// if wanted a partition table around it.
//
// A tree of Nodes says what is to be stored; ScanDir and ScanTar make one of a directory and of an
// archive. New decides everything about the image (geometry, clusters, aliases, identity) and refuses
// what cannot be, before a byte is written. Plan.Write then writes the image to a device, front to
// back; Plan.WriteFile makes a file of it that has its name only once it is whole.
//
// It refuses to make what others would misread: a FAT32 volume with the clusters of a FAT16 one, a
// name that DOS takes for a device, two names that differ by case only.
//
// # Errors
//
// What a tree holds and FAT cannot is a *RefusedError that lists all of it. Sizes and combinations that
// cannot be wrap ErrGeometry, and say what would do; a tree that does not fit wraps ErrNoRoom. What
// Write returns besides is from the sources, which it names, or from the device.
//
// docs/create.md has the rules by which an image is laid out.
package mkfat
