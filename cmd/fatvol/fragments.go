package main

import (
	"fmt"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// fragmentInfo says how scattered the files and directories of a volume are. A chain without a
// break is one fragment.
type fragmentInfo struct {
	Chains    uint32  `json:"chains"`    // files and directories that have clusters
	Fragments uint32  `json:"fragments"` // runs of consecutive clusters that these consist of
	Used      uint32  `json:"used_clusters"`
	Bad       uint32  `json:"bad_clusters"`
	Percent   float64 `json:"percent"` // of the steps from cluster to cluster that are no step to the next
}

// countFragments reads the FAT of a volume from end to end.
func countFragments(dev device.Device, g *fat.Geometry) (*fragmentInfo, error) {
	var f fragmentInfo
	err := fat.ScanTable(dev, g, func(r fat.Run) error {
		f.add(r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("fragments: %w", err)
	}
	f.finish()
	return &f, nil
}

func (f *fragmentInfo) add(r fat.Run) {
	switch r.State {
	case fat.RunBad:
		f.Bad += r.Count
	case fat.RunUsed:
		f.Used += r.Count
		f.Fragments++
		if r.End {
			f.Chains++
		}
	}
}

// finish works out the percentage once all runs were added.
func (f *fragmentInfo) finish() {
	if links := f.Used - min(f.Used, f.Chains); links > 0 {
		f.Percent = 100 * float64(f.Fragments-f.Chains) / float64(links)
	}
}
