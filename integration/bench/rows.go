//go:build linux

package main

import (
	"time"
)

// A row is one thing that is measured.
type row struct {
	name, title string
	unit        string
	rate        bool // the more the better; otherwise the less
	disk        bool // the store is on a disk, not in a tmpfs
	content     content
	// changes: the row changes the store, so each run gets one of its own.
	changes bool
	// do measures. It returns the figure.
	do func(c *cell) (float64, error)
	// tool is the same for mtools, which mount nothing; nil where they cannot.
	tool func(c *cell) (float64, error)
	// goals are what fatvol is to reach.
	goals []goal
	// only are those who take part, where not everybody does; not are those who do not.
	only, not []string
	// all: so does -o writeback, which otherwise does where there is a goal for it.
	all bool
}

// A goal is a ratio of two systems' figures, as the row's unit has them.
type goal struct {
	system, to string
	ratio      float64 // at least, where the row is a rate; at most, otherwise
	absolute   float64 // instead of a ratio: at most
}

// goals are those of fatvol against np and, where that is not 0, against the kernel's vfat in the same virtual machine.
func goals(np, vfat float64) []goal {
	list := []goal{{system: fatvolName, to: npName, ratio: np}}
	if vfat > 0 {
		list = append(list, goal{system: fatvolName, to: vfatName, ratio: vfat})
	}
	return list
}

// rows is the table. What a full run and a quick one differ in is in scale.
func (b *bench) rows() []*row {
	s := b.scale
	files := func(n int) content { return content{dir: n} }
	rate, ms, sec := "MiB/s", "ms", "s"
	list := []*row{
		{name: "seq-write", title: "sequential write, 1 MiB blocks", unit: rate, rate: true, changes: true,
			do:   func(c *cell) (float64, error) { return c.seqWrite(s.file, false) },
			tool: func(c *cell) (float64, error) { return c.toolWrite(s.file) }, goals: goals(1.3, 0.7)},
		{name: "seq-read", title: "sequential read, cold", unit: rate, rate: true, content: content{file: s.file},
			do: (*cell).seqRead, tool: (*cell).toolRead, goals: goals(1.4, 0.7)},
		{name: "rand-read-1", title: "4 KiB random read, O_DIRECT, 1 job", unit: "IOPS", rate: true, content: content{file: s.randFile},
			do: func(c *cell) (float64, error) { return c.random(1, false) }, goals: goals(1, 0)},
		{name: "rand-read-4", title: "4 KiB random read, O_DIRECT, 4 jobs", unit: "IOPS", rate: true, content: content{file: s.randFile},
			do: func(c *cell) (float64, error) { return c.random(4, false) }, goals: goals(1, 0)},
		{name: "rand-write", title: "4 KiB random write, O_DIRECT", unit: "IOPS", rate: true, content: content{file: s.randFile}, changes: true,
			do: func(c *cell) (float64, error) { return c.random(1, true) }, goals: goals(1, 0)},
		{name: "small-write", title: "buffered writes of 4 KiB", unit: rate, rate: true, changes: true,
			do:    func(c *cell) (float64, error) { return c.smallWrites(s.small) },
			goals: append(goals(1, 0), goal{system: "writeback", to: npName, ratio: 6})},
	}
	for _, n := range s.creates {
		list = append(list, &row{name: count("create", n), title: count("create files in one directory,", n), unit: "1/s", rate: true, changes: true,
			do:   func(c *cell) (float64, error) { return c.create(n) },
			tool: func(c *cell) (float64, error) { return c.toolCreate(n) }, goals: goals(1.4, 1.5)})
	}
	for _, n := range s.stats {
		list = append(list, &row{name: count("stat", n), title: count("stat, cold,", n), unit: "1/s", rate: true, content: files(n),
			do: (*cell).stat, goals: goals(1.3, 1.5)})
	}
	list = append(list,
		&row{name: "readdir", title: count("readdir, cold,", s.dir), unit: ms, content: files(s.dir), do: (*cell).readdir, tool: (*cell).toolList, goals: goals(0.3, 0)},
		&row{name: "unlink", title: count("unlink", s.dir), unit: "1/s", rate: true, content: files(s.dir), changes: true,
			do: (*cell).unlink, tool: (*cell).toolUnlink, goals: goals(1, 0)},
		&row{name: "untar", title: "untar 3000 files, 41 MB", unit: sec, changes: true, do: (*cell).untar, tool: (*cell).toolCopy, goals: goals(0.65, 1/0.6)},
		&row{name: "ls-lR", title: "ls -lR of it, cold", unit: sec, content: content{tree: true}, do: (*cell).ls, tool: (*cell).toolListAll, goals: goals(0.5, 1/0.6)},
		&row{name: "disk-write", title: "sequential write + fsync, on disk", unit: rate, rate: true, disk: true, changes: true,
			do: func(c *cell) (float64, error) { return c.seqWrite(s.file, true) }, goals: goals(1.3, 0)},
		&row{name: "disk-untar", title: "untar, on disk", unit: sec, disk: true, changes: true, do: (*cell).untar, goals: goals(0.4, 0)},
		&row{name: "mount", title: "start to mounted, 32 GiB sparse", unit: ms, content: content{huge: true},
			do: (*cell).mount, goals: []goal{{system: fatvolName, absolute: 10}}, not: []string{"direct", "writeback"}},
		&row{name: "statfs", title: "first statfs, 32 GiB sparse", unit: ms, content: content{huge: true},
			do: (*cell).statfs, goals: []goal{{system: fatvolName, absolute: 5}, {system: fatvolName, to: vfatName, ratio: 0.1}}, not: []string{"direct", "writeback"}},
	)
	return list
}

// A scale is how much of everything a run does.
type scale struct {
	file, randFile, small int64 // bytes
	random                time.Duration
	creates, stats        []int
	dir                   int // files in the directory that is listed and emptied
	runs                  int
}

var (
	fullScale = scale{file: 512 << 20, randFile: 256 << 20, small: 128 << 20, random: 2 * time.Second,
		creates: []int{2000, 8000, 30000}, stats: []int{2000, 8000}, dir: 8000, runs: 5}
	quickScale = scale{file: 256 << 20, randFile: 64 << 20, small: 32 << 20, random: time.Second / 2,
		creates: []int{2000, 8000, 30000}, stats: []int{2000, 8000}, dir: 8000, runs: 3}
	// tinyScale is for the test of the rows themselves.
	tinyScale = scale{file: 4 << 20, randFile: 1 << 20, small: 256 << 10, random: 20 * time.Millisecond,
		creates: []int{50}, stats: []int{50}, dir: 50, runs: 1}
)
