package main

import (
	"slices"
	"testing"
)

func TestEditDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0},
		{"umask", "umsk", 1}, {"umask", "dmask", 1}, {"sync", "sycn", 1},
		{"kitten", "sitting", 3}, {"ab", "ba", 1}, {"flaw", "lawn", 2},
	} {
		if got := editDistance(tc.a, tc.b); got != tc.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
		if got := editDistance(tc.b, tc.a); got != tc.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", tc.b, tc.a, got, tc.want)
		}
	}
}

func TestNearest(t *testing.T) {
	all := []string{"dmask", "fmask", "quiet", "rodir", "ro", "umask", "uid"}
	for _, tc := range []struct {
		word string
		want []string
	}{
		{"umsk", []string{"umask", "dmask", "fmask"}},
		{"mask", []string{"dmask", "fmask", "umask"}},
		{"quite", []string{"quiet"}},
		{"r", []string{"ro"}},
		{"something", nil},
	} {
		if got := nearest(tc.word, all); !slices.Equal(got, tc.want) {
			t.Errorf("nearest(%q) = %q, want %q", tc.word, got, tc.want)
		}
	}
}
