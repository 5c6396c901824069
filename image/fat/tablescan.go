package fat

import (
	"fmt"

	"fatvol/image/device"
)

// RunState is what the FAT says of the clusters of a Run.
type RunState uint8

const (
	RunFree RunState = iota
	RunUsed
	RunBad
)

// A Run is a piece of the data area of which the FAT says one thing. A used run is a piece of a chain
// as well: each of its clusters but the last leads to the next one.
type Run struct {
	Start Cluster
	Count uint32
	State RunState
	// End: the last cluster of a used run ends its chain. Otherwise the chain goes on elsewhere, or,
	// in a damaged FAT, nowhere.
	End bool
}

// scanChunk is how much of the FAT ScanTable reads at once, in bytes: a multiple of 3, so that no
// entry of FAT12 lies across two chunks.
const scanChunk = 3 << 18

// ScanTable reads the FAT that a mount reads from end to end and calls fn for its runs in the order of their
// clusters; together they are the data area, without gaps. No chain is followed, so that a damaged
// FAT gives odd runs and nothing worse, and the memory needed is the same for every volume. An error
// of fn ends the scan.
func ScanTable(dev device.Device, g *Geometry, fn func(Run) error) error {
	w := widths[g.Width]
	entries := int64(g.Clusters) + int64(firstCluster)
	size := (entries*int64(g.Width) + 7) / 8
	sound := *g
	if err := sound.chooseFAT(dev); err != nil {
		return err
	}
	base := sound.activeFAT()
	chunk := make([]byte, min(scanChunk, size))
	var run Run
	c, next := Cluster(0), false // next: the last cluster of run leads to c
	for off := int64(0); off < size; off += scanChunk {
		p := chunk[:min(scanChunk, size-off)]
		if _, err := dev.ReadAt(p, base+off); err != nil {
			return fmt.Errorf("read FAT at offset %d: %w", off, err)
		}
		for i := uint32(0); int64(i) < int64(len(p))*8/int64(g.Width) && int64(c) < entries; i, c = i+1, c+1 {
			if c < firstCluster {
				continue
			}
			value := w.get(p, i)
			kind := w.classify(value, g.Clusters)
			state := RunUsed
			switch kind {
			case entryFree:
				state = RunFree
			case entryBad:
				state = RunBad
			}
			if run.Count > 0 && (state != run.State || state == RunUsed && !next) {
				if err := fn(run); err != nil {
					return err
				}
				run = Run{}
			}
			if run.Count == 0 {
				run = Run{Start: c, State: state}
			}
			run.Count++
			run.End = kind == entryEnd
			next = kind == entryNext && value == uint32(c)+1
		}
	}
	if run.Count > 0 {
		return fn(run)
	}
	return nil
}
