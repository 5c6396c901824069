package image

import (
	"cmp"
	"fmt"
	"slices"
)

// region is a range of an image in bytes, [start, end), that a partition should not share.
type region struct {
	start, end int64
	name       string
}

// markOverlaps sets Overlap on those of the selected partitions that share bytes with one another
// or with one of the reserved regions. Its cost is that of sorting.
func markOverlaps(parts []Partition, reserved []region, selected func(Partition) bool) {
	type item struct {
		region
		p *Partition // nil: reserved
	}
	var items []item
	for _, r := range reserved {
		items = append(items, item{region: r})
	}
	for i := range parts {
		p := &parts[i]
		if p.Size > 0 && selected(*p) {
			items = append(items, item{region{p.Start, p.end(), p.describe()}, p})
		}
	}
	slices.SortStableFunc(items, func(a, b item) int { return cmp.Compare(a.start, b.start) })
	// It is enough to compare with the one that reaches furthest: whatever overlaps another one
	// that began before also overlaps it.
	var far *item
	for i := range items {
		it := &items[i]
		if far != nil && it.start < far.end {
			mark(it.p, far.name)
			mark(far.p, it.name)
		}
		if far == nil || it.end > far.end {
			far = it
		}
	}
}

func mark(p *Partition, other string) {
	if p != nil && p.Overlap == nil {
		p.Overlap = fmt.Errorf("%s %w %s", p.describe(), ErrOverlap, other)
	}
}
