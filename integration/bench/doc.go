//go:build linux

// Command bench measures fatvol beside other file systems, in one run, on one machine: numbers of different
// machines, or of one machine at different times, say little, and ratios within a run say much.
//
//	make bench                                  everything
//	make bench BENCHFLAGS='-quick -run create'  some of it, shorter
//
// What is measured (rows.go) is what a program that uses the mount sees; beside each figure stand the CPU
// seconds that the server took and its peak memory. Who takes part (systems.go): fatvol as it comes and with
// -o writeback; np, a loopback of the same go-fuse that only forwards ("no passthrough"), which is what a file
// system in user space can reach; the plain directory; and what Debian packages: fusefat, mtools and, where
// asked for, guestmount.
//
// The systems take turns in each row, so that what the machine does meanwhile meets all of them. A figure is
// the median of its runs; beside it stand the smallest and the largest. Every run has a mount of its own, which
// has seen nothing before: what it reads is cold as far as the server and the kernel's cache of the mount go.
// The store under it is in the page cache, or in a tmpfs: the medium's own speed is not what is measured.
//
//	make bench-scale                            how fatvol's costs grow (scale_axes.go), with a plot of each axis
//	make bench-memory                           what memory its server takes (memory.go)
package main
