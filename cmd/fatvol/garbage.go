package main

import (
	"runtime"
	"runtime/debug"
)

// firstCollection is the heap at which a short command first looks for garbage, in percent of the 4 MiB at which
// Go would: 64 MiB. Most commands never come to that, and end.
const firstCollection = 1600

// collectLate keeps a command that will soon end from collecting garbage while there is hardly any. From the first
// collection on, all is as usual.
func collectLate() {
	before := debug.SetGCPercent(firstCollection)
	if before < 0 || before > firstCollection {
		debug.SetGCPercent(before) // $GOGC says so
		return
	}
	runtime.AddCleanup(new([16]byte), func(percent int) { debug.SetGCPercent(percent) }, before)
}
