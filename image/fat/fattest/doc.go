// Package fattest is support for tests of FAT volumes: a formatter, a strict checker, an
// in-memory model of what a FAT volume means, and a random exerciser that compares the model with
// a real volume, operation by operation. Workloads know what they were promised after a cut of power:
// see Scene and Promises.
//
// Nothing in it uses the engine under test. The formatter and the checker have decoders of their
// own, written from the FAT specification (Microsoft fatgen103), so that an error of the engine
// cannot hide in a shared function. The package therefore also serves the engine's internal tests.
//
// Findings of the checker are of two classes. Harmless findings are what an interruption at any
// instant may leave behind: leaked clusters, a chain longer than its file's size, one file under
// two names, long-name slots without their short entry, FAT copies that lag behind the first.
// Everything else is Damage: it loses data or misleads a reader.
package fattest
