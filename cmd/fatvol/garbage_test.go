package main

import "testing"

// TestGrowth: up to the same heap for whatever less is in use, and then to twice as much.
func TestGrowth(t *testing.T) {
	for live := uint64(0); live < 64<<20; live += 100_000 {
		goal := live * uint64(100+growth(live)) / 100
		switch {
		case live >= smallHeap/2 && goal != 2*live, live >= 4<<20 && live < smallHeap/2 && (goal > smallHeap || goal < smallHeap-smallHeap/50), goal > max(smallHeap, 2*live):
			t.Errorf("%d bytes in use: collected at %d", live, goal)
		}
	}
}
