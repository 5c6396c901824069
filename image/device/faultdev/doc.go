// Package faultdev holds devices for tests: one that fails, one that records, one that loses
// what was not synced.
//
// A Device counts the operations on another device and breaks those that Rules select: with an
// error before, in the middle of or after their effect, or by not returning until released.
// The usual test fails operation 1, 2, 3 … until a run comes through without a failure:
//
//	for k := int64(1); ; k++ {
//		d := faultdev.New(base.Clone())
//		d.Inject(faultdev.Rule{From: k, Count: 1})
//		err := scenario(d)
//		if d.Injected() == 0 {
//			break // every operation has had its turn
//		}
//		if err == nil {
//			t.Errorf("operation %d failed and nobody noticed", k)
//		}
//	}
//
// A Recorder keeps every change in order, with the syncs between them, and rebuilds the device
// as a power cut at any moment may have left it: see Replay, Torn and Scatter. A Crash is the
// simplest of these: after its Cut only what a Sync covered is there.
//
// All of them may be used concurrently and stacked on one another.
package faultdev
