package fat

import (
	"math/rand/v2"
	"testing"
)

// TestClusterSet compares the bitmap with a map.
func TestClusterSet(t *testing.T) {
	const entries = 3*setPage + 77
	rng := rand.New(rand.NewPCG(1, 2))
	s, want := newClusterSet(entries), map[Cluster]bool{}
	for range 300 {
		c := Cluster(rng.Uint32N(entries))
		switch rng.IntN(3) {
		case 0:
			s.add(c)
			want[c] = true
		case 1:
			s.remove(c)
			delete(want, c)
		default:
			n := min(rng.Uint32N(300), entries-uint32(c))
			s.addRun(c, n)
			for i := range n {
				want[c+Cluster(i)] = true
			}
		}
	}
	next, last := Cluster(0), Cluster(0)
	for c := Cluster(entries); c > 0; c-- {
		if s.has(c-1) != want[c-1] {
			t.Fatalf("cluster %d: %v, want %v", c-1, s.has(c-1), want[c-1])
		}
	}
	for c := range Cluster(entries) {
		if !want[c] {
			continue
		}
		got, ok := s.next(next)
		if !ok || got != c {
			t.Fatalf("next from %d: %d %v, want %d", next, got, ok, c)
		}
		if n := s.without(last, entries-uint32(last)); n != uint32(c-last) {
			t.Fatalf("without from %d: %d, want %d", last, n, c-last)
		}
		next = c + 1
		last = next
	}
	if c, ok := s.next(next); ok {
		t.Fatalf("next from %d: %d, want none", next, c)
	}
}
