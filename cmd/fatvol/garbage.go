package main

import (
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
)

const (
	// usual is the percentage by which the heap grows between two collections as Go has it, and firstHeap the
	// heap at which it looks for garbage first, of which such a percentage is taken as well.
	usual     = 100
	firstHeap = 4 << 20

	// firstCollection is the heap at which a short command first looks for garbage. Most never come to that, and end.
	firstCollection = 64 << 20
	// smallHeap is up to which heap a server does not look for garbage.
	smallHeap = 16 << 20
)

// collectLate keeps a command that will soon end from collecting garbage while there is hardly any. From the first
// collection on, all is as usual.
func collectLate() {
	if setUsual(usual * firstCollection / firstHeap) {
		runtime.AddCleanup(new([16]byte), func(percent int) { debug.SetGCPercent(percent) }, usual)
	}
}

// collectSeldom has a server look for garbage where its heap has come to smallHeap, or to twice what is in use, and not at a
// quarter of that, which a few thousand files make.
func collectSeldom() {
	if most := growth(0); setUsual(most) {
		paceNext(most)
	}
}

// paceNext sets after the next collection, and after each one that follows, how much the heap may grow, which is percent
// until then.
func paceNext(percent int) {
	runtime.AddCleanup(new([16]byte), func(percent int) {
		live := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}
		runtimemetrics.Read(live)
		next := growth(live[0].Value.Uint64())
		if next != percent {
			debug.SetGCPercent(next)
		}
		paceNext(next)
	}, percent)
}

// growth is the percentage by which the heap may grow from what was found in use, in bytes, to the next collection.
func growth(live uint64) int {
	const most = usual * smallHeap / firstHeap
	if live < smallHeap*usual/(usual+most) {
		return most
	}
	return int(max(usual, (smallHeap-min(live, smallHeap))*100/live))
}

// giveBack gives back to the system at once what is not in use: by itself, Go keeps it for minutes.
func giveBack() {
	runtime.GC() // what a sync.Pool holds outlives one collection
	debug.FreeOSMemory()
}

// setUsual sets the percentage unless $GOGC has set another one.
func setUsual(percent int) bool {
	before := debug.SetGCPercent(percent)
	if before != usual {
		debug.SetGCPercent(before)
		return false
	}
	return true
}
