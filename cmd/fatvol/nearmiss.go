package main

import (
	"cmp"
	"slices"
)

// maxNear bounds how many near misses an error lists.
const maxNear = 3

// nearest returns the candidates that word could be a slip of, the closest first: one letter in
// three, or part of three, may be wrong.
func nearest(word string, candidates []string) []string {
	type miss struct {
		name     string
		distance int
	}
	var near []miss
	for _, name := range candidates {
		if d := editDistance(word, name); d <= (len(word)+2)/3 {
			near = append(near, miss{name, d})
		}
	}
	slices.SortStableFunc(near, func(a, b miss) int { return cmp.Compare(a.distance, b.distance) })
	names := make([]string, 0, maxNear)
	for _, m := range near[:min(maxNear, len(near))] {
		names = append(names, m.name)
	}
	return names
}

// editDistance counts the single-letter insertions, removals, replacements and swaps of two
// neighbours that turn a into b (optimal string alignment).
func editDistance(a, b string) int {
	before := make([]int, len(b)+1) // row i-2
	above := make([]int, len(b)+1)  // row i-1
	row := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			differ := 1
			if a[i-1] == b[j-1] {
				differ = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+differ)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
