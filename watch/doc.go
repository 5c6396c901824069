// Package watch stands between a volume and the medium that its image lives on, which can vanish at
// any instant and come back.
//
// A Medium is what the volume reads and writes. While the medium is there, calls go through to the
// host, each with a deadline. When it goes — a call fails or overruns, or a detector says so — every
// call from then on fails at once, without asking the host for anything. When something is at the
// image's path again, one verifier looks whether it is the same volume, unchanged, has what was lost
// written again, and lets calls through: the volume and all its open files go on.
//
// It refuses to guess and to retry: an operation never verifies, never waits for the medium, and never
// makes a second attempt.
//
// # States
//
//	Present    --call failed | removed | deadline-->     Gone
//	Gone       --something at the path-->                Verifying
//	Verifying  --the same, unchanged, replayed-->        Present, of the next generation
//	Verifying  --another | changed | error | deadline--> Gone
//	any        --Close-->                                Closed
//
// There is one transition function with a table of what is legal (state.go). What follows from a
// transition — closing the descriptor, one log line, telling the listeners — happens in one place, after
// it (medium.go). Why none of this can recurse or storm is argued in docs/medium.md.
//
// # Locks
//
//	Medium.mu   serializes transitions; nothing is called under it
//	watchdog.mu calls under way; nothing is called under it
package watch
