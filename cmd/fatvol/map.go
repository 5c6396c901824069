package main

import (
	"fmt"
	"path/filepath"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// A spaceMap says where on a volume space is used, free, and fragmented: the data area in cells of as
// many clusters each as it takes.
type spaceMap struct {
	clusters uint32
	perCell  uint32 // clusters of each cell but the last
	cells    []mapCell
	fragmentInfo

	at uint32 // clusters drawn so far
}

// A mapCell is what lies in consecutive clusters.
type mapCell struct {
	clusters, used, bad uint32
	torn                uint32 // used ones in a fragment whose file goes on elsewhere
}

// drawSpaceMap reads the FAT of a volume into a map of at most limit cells.
func drawSpaceMap(dev device.Device, g *fat.Geometry, limit int) (*spaceMap, error) {
	m := &spaceMap{clusters: g.Clusters}
	m.perCell = max(1, (g.Clusters+uint32(limit)-1)/uint32(limit))
	m.cells = make([]mapCell, (g.Clusters+m.perCell-1)/m.perCell)
	for i := range m.cells {
		m.cells[i].clusters = min(m.perCell, g.Clusters-uint32(i)*m.perCell)
	}
	err := fat.ScanTable(dev, g, func(r fat.Run) error {
		m.add(r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("map: %w", err)
	}
	m.finish()
	return m, nil
}

func (m *spaceMap) add(r fat.Run) {
	m.fragmentInfo.add(r)
	at, end := m.at, m.at+r.Count
	m.at = end
	if r.State == fat.RunFree {
		return
	}
	for at < end {
		c := &m.cells[at/m.perCell]
		n := min(end, (at/m.perCell+1)*m.perCell) - at
		if r.State == fat.RunBad {
			c.bad += n
		} else if c.used += n; !r.End {
			c.torn += n
		}
		at += n
	}
}

// A cellKind is what a cell is drawn as.
type cellKind uint8

const (
	cellFree    cellKind = iota
	cellWhole            // no file is torn off here
	cellTorn             // of at most half of the clusters the file goes on elsewhere
	cellTornBad          // of more
	cellBad              // there are bad clusters
)

// kind is what the cell shows. What is rare and matters most wins.
func (c mapCell) kind() cellKind {
	switch {
	case c.bad > 0:
		return cellBad
	case c.used == 0:
		return cellFree
	case c.torn == 0:
		return cellWhole
	case c.torn <= c.used/2:
		return cellTorn
	}
	return cellTornBad
}

// fill is how much of the cell is used, from 0 to 1.
func (c mapCell) fill() float64 {
	return float64(c.used+c.bad) / float64(max(1, c.clusters))
}

// mapLegend is what the kinds mean, in the order in which they are listed.
var mapLegend = []struct {
	kind cellKind
	text string
}{
	{cellFree, "free"},
	{cellWhole, "used, in one piece"},
	{cellTorn, "used, half of it torn at most"},
	{cellTornBad, "used, and torn: files go on elsewhere"},
	{cellBad, "bad clusters"},
}

// mapInfo is the JSON form of a map.
type mapInfo struct {
	ClustersPerCell uint32        `json:"clusters_per_cell"`
	Cells           []mapCellInfo `json:"cells"` // in the order of their clusters
}

type mapCellInfo struct {
	Used uint32 `json:"used"`
	Bad  uint32 `json:"bad,omitempty"`
	Torn uint32 `json:"torn,omitempty"` // used ones whose file goes on elsewhere
}

func (m *spaceMap) info() *mapInfo {
	out := &mapInfo{ClustersPerCell: m.perCell, Cells: make([]mapCellInfo, len(m.cells))}
	for i, c := range m.cells {
		out.Cells[i] = mapCellInfo{Used: c.used, Bad: c.bad, Torn: c.torn}
	}
	return out
}

// panels are the maps of all volumes, for a picture.
func (info *imageInfo) panels() (list []mapPanel) {
	for _, p := range info.Partitions {
		if p.Volume == nil || p.Volume.drawn == nil {
			continue
		}
		title := fmt.Sprintf("%s: FAT%d volume in %s", filepath.Base(info.Path), p.Volume.Width, p.title())
		if p.Volume.Label != "" {
			title += fmt.Sprintf(", %q", p.Volume.Label)
		}
		list = append(list, mapPanel{orDash(title), p.Volume.ClusterSize, p.Volume.drawn})
	}
	return list
}

// dropMaps leaves the maps out of the report: they are in a picture.
func (info *imageInfo) dropMaps() {
	for _, p := range info.Partitions {
		if p.Volume != nil {
			p.Volume.drawn, p.Volume.Map = nil, nil
		}
	}
}

// summary is the map in a line.
func (m *spaceMap) summary(clusterSize int) string {
	size := func(n uint32) string { return humanSize(int64(n) * int64(clusterSize)) }
	s := fmt.Sprintf("%s used, %s free", size(m.Used), size(m.clusters-min(m.clusters, m.Used+m.Bad)))
	if m.Bad > 0 {
		s += fmt.Sprintf(", %s bad", size(m.Bad))
	}
	return s + fmt.Sprintf("; %s in %s", counted(m.Chains, "file or directory", "files and directories"), counted(m.Fragments, "piece", "pieces"))
}

// counted is a number of things, in words.
func counted[N uint32 | uint64 | int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
