// Package fat reads and writes FAT12, FAT16 and FAT32 volumes on a device.Device. It knows nothing of
// FUSE, of paths on the host, or of partitions.
//
// It refuses to guess: a number of the boot sector that cannot be true is an error that names the
// field; a chain that loops, leaves the volume or ends too early is an error for the part that is not
// there; and nothing is written outside of the volume, or at all under Options.ReadOnly.
//
// # Concepts
//
// A Volume is an open file system. A Node is a file or directory that somebody holds, by references
// (Lookup, Create, Mkdir, EntryNode; given back with Release) or by a Handle. Names in any spelling
// lead to one Node: other case, composed or decomposed, or the 8.3 alias.
//
// Changes of names, attributes, sizes and of the FAT are made in memory, in the open epoch, and reach
// the device by a commit: on Sync, at the latest Options.CommitDelay later, and when memory for them
// runs short. Data of files goes to the device at once, to clusters that nothing on the medium refers
// to until the commit.
//
// # Errors
//
// Errors are wrapped sentinels of this package, or the device's own. An operation that returns one has
// changed nothing, with these exceptions: bytes overwritten within a file, CopyTo, and the options
// Sync, DirSync and Flush, under which the change stands in memory when only its commit has failed. A
// failed commit is kept and tried again; each Handle reports a failure of the background once.
//
// # Durability
//
// What Sync (of a volume, node or handle) covered is on the medium. Of the rest a cut of power may lose
// the newest changes, but at every instant the volume is sound: see docs/order-of-writes.md.
//
// # Locks, in the order in which they are taken
//
//	Volume.life          each call, shared, and not a second time within; Close and Reset, exclusively
//	Volume.exchange      a rename, shared; an exchange, exclusively
//	  Node.mu            a file's data, size and chain; never two at once
//	    dir.loadMu       one reader, or grower, of a directory's contents
//	      Volume.commitMu  one commit at a time, and what is left over from the last
//	        dir.loadMu     of another directory, which the commit has to read
//	          Volume.meta  names, attributes, the open epoch; no data is read or written under it
//	            chain.mu   the clusters of one node; held while the FAT is read
//	              table.mu the pages of the FAT and the allocator; held while a page is read
//
// A grower of a directory may wait for a commit while it holds that directory's loadMu: a commit never
// waits for it, since it only reads directories that are not in memory, and one that grows is.
package fat
