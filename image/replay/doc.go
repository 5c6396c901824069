// Package replay keeps what was written to a device and is not yet known to be on the medium, so that
// it can be written again when the medium vanished and came back.
//
// A Log is a device.Device on top of another one. A write that the lower device took has only reached
// the host's page cache: the Log keeps a copy until a Sync covers it. When the medium goes, the copies
// stay; when it is back and proves to be the same and unchanged (Verify), Replay writes them in order
// and syncs. When the mount ends without the medium, Save puts them into a file, and the next mount of
// the volume applies that after the same verification.
//
// It refuses to guess: a medium on which one byte that the engine holds in memory is neither what it
// was nor what we wrote is ErrChanged, and nothing is written to it.
//
// # What is verified
//
// The engine tells the Log, by device.Keep, which blocks it holds in memory: FAT, directories, boot
// sector. The Log keeps a hash of each, and for a block with unsynced writes of each state that the
// medium may have it in: the one before the first of these writes, and the one after each. Memory
// follows the engine's caches, time at a return follows what is held.
//
// # Bounds
//
// Writers wait for a Sync when the copies reach the limit; a syncer in the background keeps them about
// a second young, and below a quarter of the limit where the medium is fast enough. Their memory is used
// again, and goes back to the system once nothing is written.
//
// # Locks
//
//	Log.flight   shared by each call that reaches the lower device, exclusively by Replay, Save, Detach, and to wait for them
//	  Log.syncMu one Sync at a time
//	    Log.mu   the copies and hashes; never held during I/O
package replay
