package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode"
)

// text is the form for people.
func (info *imageInfo) text(style mapStyle) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s\n", info.Path, humanSize(info.Size), info.headline())
	for _, dir := range info.MountedOn {
		fmt.Fprintf(&b, "mounted on %s; a volume in use is marked dirty\n", dir)
	}
	for _, note := range info.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	if info.Damage != "" {
		fmt.Fprintf(&b, "damage: %s\n", info.Damage)
	}
	if info.Scheme != "none" {
		b.WriteString(info.table())
	}
	for _, p := range info.Partitions {
		b.WriteString(p.text(style))
	}
	return b.String()
}

func (info *imageInfo) headline() string {
	if info.Scheme == "none" {
		return "no partition table"
	}
	s := fmt.Sprintf("%s partition table, sectors of %d bytes", strings.ToUpper(info.Scheme), info.SectorSize)
	if info.DiskID != "" {
		s += ", disk " + info.DiskID
	}
	return s
}

// table lists the partitions.
func (info *imageInfo) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nNr\tStart\tSize\tHolds\tLabel\tName\tType\n")
	for _, p := range info.Partitions {
		label := ""
		if p.Volume != nil {
			label = p.Volume.Label
		}
		kind := p.TypeName
		if kind == "" {
			kind = p.Type
		}
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\t%s\t%s\n",
			p.Number, p.Start, humanSize(p.Size), p.Content, orDash(label), orDash(p.Name), orDash(kind))
	}
	w.Flush()
	return b.String()
}

// text describes the volume of a partition, and what is wrong with it.
func (p partitionInfo) text(style mapStyle) string {
	var b strings.Builder
	title := p.title()
	if p.Volume == nil {
		if p.Number == 0 {
			fmt.Fprintf(&b, "holds: %s\n", p.Content)
		}
		for _, problem := range p.Problems {
			fmt.Fprintf(&b, "%s: %s\n", title, problem)
		}
		return b.String()
	}
	v := p.Volume
	fmt.Fprintf(&b, "\nFAT%d volume in %s\n", v.Width, title)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("label", "%s", orDash(v.Label))
	row("serial", "%s", orDash(v.Serial))
	row("made by", "%s", orDash(v.OEM))
	row("size", "%s, %d clusters of %s, sectors of %d bytes", humanSize(v.Size), v.Clusters, humanSize(int64(v.ClusterSize)), v.SectorSize)
	if v.FreeBytes != nil {
		row("free", "%s, %d clusters", humanSize(*v.FreeBytes), *v.FreeClusters)
	}
	row("tables", "%d of %s, media %s", v.FATs, humanSize(v.FATSize), v.Media)
	if v.RootEntries > 0 {
		row("root", "%d entries", v.RootEntries)
	}
	row("state", "%s", v.state())
	if f := v.Fragments; f != nil {
		row("fragments", "%d of %d files and directories, %.1f %% of the steps", f.Fragments, f.Chains, f.Percent)
		row("bad", "%d clusters", f.Bad)
	}
	for _, problem := range p.Problems {
		row("problem", "%s", problem)
	}
	w.Flush()
	if v.drawn != nil {
		b.WriteByte('\n')
		b.WriteString(v.drawn.text(style, v.ClusterSize))
	}
	return b.String()
}

// title is what the partition is called.
func (p partitionInfo) title() string {
	if p.Number > 0 {
		return fmt.Sprintf("partition %d", p.Number)
	}
	return "the whole image"
}

func (v *volumeInfo) state() string {
	state := "clean"
	if v.Dirty {
		state = "dirty: in use, or not unmounted cleanly"
	}
	if v.HardError {
		state += "; disk errors were met"
	}
	return state
}

// orDash makes text from an image fit to be shown: it must not steer the terminal.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// humanSize is a number of bytes as people write it, and exact where that is short.
func humanSize(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		if value /= 1024; value < 1024 {
			break
		}
	}
	text := strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0")
	return text + " " + unit
}
