package fattest

import (
	"math/rand/v2"
	"path"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Slots that the generator uses, of files and of directories.
const (
	fileSlots = 6
	dirSlots  = 2
)

// baseNames are what files are called: 8.3 names in one case and in several, long ones, ones with
// every kind of character that FAT holds, and pairs that differ by case or composition alone. None
// holds a '~', so that no alias the volume makes up is a name of another file.
var baseNames = []string{
	"A", "B.TXT", "readme.txt", "Readme.md", "UPPER.low", "lower.UPP", "no-ext", ".hidden", "a.b.c",
	"Long name with spaces.text", "+[];=,.x", "x@#$%&'()-!^_`{}.1", "größe.txt", "ΑΒΓδεζ", "漢字かな交じり文.txt",
	"emoji 😀🎉.bin", "e\u0301t\u00e9", "  two leading spaces", strings.Repeat("long", 30),
	strings.Repeat("w", 242) + "exactly  .255", strings.Repeat("😀", 127) + "z", "Ж", "12345678.123", "123456789.123",
	"trailing.dots.inside..x", "\u00a0nbsp", "AUX1", "dir", "sub",
}

// badNames cannot be made.
var badNames = []string{"a:b", "a*b", "what?", `back\slash`, "a|b", "<", ">", "\"", "tab\there", "\x01",
	"trailing.", "trailing ", "...", strings.Repeat("n", 256), strings.Repeat("😀", 128), strings.Repeat("ü", 256)}

// mode is what the exerciser is after for some time.
type mode struct {
	name    string
	weights map[OpKind]int
	large   bool // sizes that fill the volume
}

var modes = []mode{
	{"everything", map[OpKind]int{OpOpen: 12, OpClose: 6, OpRead: 10, OpWrite: 14, OpFtruncate: 4, OpTruncate: 2,
		OpAllocate: 2, OpZero: 2, OpPunch: 2, OpCopy: 3, OpFsync: 2, OpSync: 1, OpStat: 6, OpFstat: 4, OpMkdir: 4,
		OpRmdir: 3, OpUnlink: 6, OpRename: 8, OpList: 3, OpDirOpen: 1, OpDirRead: 4, OpTimes: 2, OpAttr: 2, OpStatfs: 1}, false},
	{"names", map[OpKind]int{OpOpen: 20, OpClose: 15, OpStat: 10, OpMkdir: 10, OpRmdir: 6, OpUnlink: 14, OpRename: 20,
		OpList: 4, OpDirOpen: 2, OpDirRead: 8, OpSync: 1, OpAttr: 2, OpTimes: 2, OpWrite: 3}, false},
	{"data", map[OpKind]int{OpOpen: 5, OpClose: 3, OpRead: 30, OpWrite: 30, OpFtruncate: 8, OpAllocate: 3, OpZero: 4,
		OpPunch: 4, OpCopy: 6, OpFsync: 2, OpFstat: 4, OpUnlink: 2, OpSync: 1}, false},
	{"fill", map[OpKind]int{OpOpen: 10, OpClose: 4, OpRead: 6, OpWrite: 14, OpFtruncate: 8, OpTruncate: 3, OpAllocate: 6,
		OpZero: 3, OpCopy: 3, OpUnlink: 3, OpMkdir: 3, OpRename: 3, OpStatfs: 2, OpSync: 1, OpFsync: 1, OpList: 1}, true},
	{"purge", map[OpKind]int{OpUnlink: 30, OpRmdir: 20, OpTruncate: 8, OpClose: 20, OpStat: 3, OpList: 3, OpDirRead: 3, OpSync: 2}, false},
}

// generator makes operations that make sense in the model's present state, most of the time.
type generator struct {
	rng     *rand.Rand
	m       *Model
	mode    mode
	total   int // of the mode's weights
	left    int // operations until the mode changes
	nodes   []*node
	version int
	queue   []Op // what comes next: a look at what the last operation did
}

func newGenerator(seed uint64, m *Model) *generator {
	return &generator{rng: rand.New(rand.NewPCG(seed, 0x666174)), m: m, version: -1}
}

func (g *generator) chance(percent int) bool { return g.rng.IntN(100) < percent }

func pick[T any](g *generator, of []T) T { return of[g.rng.IntN(len(of))] }

// next is one operation.
func (g *generator) next() Op {
	if g.left == 0 {
		g.mode, g.left, g.total = pick(g, modes), 50+g.rng.IntN(800), 0
		for _, w := range g.mode.weights {
			g.total += w
		}
	}
	g.left--
	if g.version != g.m.version {
		g.nodes, g.version = g.m.nodes(), g.m.version
	}
	if len(g.queue) > 0 {
		op := g.queue[0]
		g.queue = g.queue[1:]
		return op
	}
	n := g.rng.IntN(g.total)
	kind := OpOpen
	for k := OpOpen; k < OpRemount; k++ {
		if n -= g.mode.weights[k]; n < 0 {
			kind = k
			break
		}
	}
	// The tree stays small enough for names to meet.
	if len(g.nodes) > 120 && (kind == OpOpen || kind == OpMkdir) && g.chance(70) {
		kind = OpUnlink
	}
	op := g.fill(Op{Kind: kind})
	g.look(op)
	return op
}

// look queues an operation that shows what op has done, now and then.
func (g *generator) look(op Op) {
	if !g.chance(30) {
		return
	}
	switch op.Kind {
	case OpDirOpen:
		for range g.rng.IntN(20) {
			g.queue = append(g.queue, Op{Kind: OpDirRead, Slot: op.Slot, Len: 1 + g.rng.Int64N(8)})
		}
	case OpTimes, OpAttr, OpTruncate, OpMkdir, OpRmdir, OpUnlink:
		g.queue = append(g.queue, Op{Kind: OpStat, Path: op.Path})
	case OpRename:
		g.queue = append(g.queue, Op{Kind: OpStat, Path: op.To}, Op{Kind: OpStat, Path: op.Path})
	case OpFtruncate, OpAllocate, OpZero, OpPunch, OpWrite, OpClose:
		g.queue = append(g.queue, Op{Kind: OpFstat, Slot: op.Slot})
	case OpCopy:
		g.queue = append(g.queue, Op{Kind: OpFstat, Slot: op.Slot2}, Op{Kind: OpRead, Slot: op.Slot2, Off: op.Off2, Len: op.Len})
	}
}

func (g *generator) fill(op Op) Op {
	switch op.Kind {
	case OpOpen:
		op.Slot = g.rng.IntN(fileSlots)
		op.Path = g.file()
		if g.chance(60) {
			op.Path, op.Flags = g.anyPath(), Create
			if g.chance(25) {
				op.Flags |= Excl
			}
		}
		for _, f := range [...]struct{ flag, percent int }{{Trunc, 6}, {Append, 10}, {Direct, 10}} {
			if g.chance(f.percent) {
				op.Flags |= f.flag
			}
		}
	case OpRead, OpWrite, OpFtruncate, OpAllocate, OpZero, OpPunch, OpCopy, OpFstat, OpFsync, OpClose:
		op.Slot = g.slot()
		g.span(&op)
	case OpTruncate:
		op.Path = g.file()
		g.span(&op)
	case OpStat:
		op.Path = g.anyPath()
	case OpUnlink:
		op.Path = g.file()
	case OpMkdir:
		op.Path = g.anyPath()
	case OpRmdir:
		op.Path = g.path(func(n *node) bool { return n.dir && n.parent != nil })
	case OpRename:
		op.Path = g.path(func(n *node) bool { return n.parent != nil })
		op.To = g.anyPath()
		switch {
		case g.chance(10):
			op.To = g.respell(op.Path, 50)
		case g.chance(30):
			op.To = g.path(func(n *node) bool { return n.parent != nil })
		case g.chance(5):
			op.To = op.Path + "/" + g.name()
		}
		if g.chance(15) {
			op.Flags |= NoReplace
		}
		if g.chance(15) {
			op.Flags |= Exchange
		}
	case OpList:
		op.Path = g.dir()
	case OpDirOpen:
		op.Slot, op.Path = g.rng.IntN(dirSlots), g.dir()
	case OpDirRead:
		op.Slot, op.Len = g.rng.IntN(dirSlots), int64(1+g.rng.IntN(8))
	case OpTimes:
		op.Path = g.existing()
		// From before 1980 to after 2107.
		op.Off, op.Off2 = g.rng.Int64N(4500000000)-100000000, g.rng.Int64N(4500000000)-100000000
	case OpAttr:
		op.Path, op.Flags = g.existing(), g.rng.IntN(256)&(attrReadOnly|attrHidden|attrSystem|attrArchive)
	}
	return op
}

// slot is an open file's, nearly always.
func (g *generator) slot() int {
	first := g.rng.IntN(fileSlots)
	for i := range fileSlots {
		if s := (first + i) % fileSlots; g.m.slots[s] != nil {
			return s
		}
	}
	return first
}

// path is that of a node which ok selects, sometimes in another spelling.
func (g *generator) path(ok func(*node) bool) string {
	first := g.rng.IntN(len(g.nodes))
	for i := range g.nodes {
		if n := g.nodes[(first+i)%len(g.nodes)]; ok(n) {
			return g.respell(n.path(), 15)
		}
	}
	return g.name()
}

// existing is the path of a file or directory that is there, nearly always.
func (g *generator) existing() string {
	if g.chance(4) {
		return g.anyPath()
	}
	return g.path(func(*node) bool { return true })
}

func (g *generator) file() string {
	if g.chance(4) {
		return g.anyPath()
	}
	return g.path(func(n *node) bool { return !n.dir })
}

func (g *generator) dir() string {
	if g.chance(4) {
		return g.anyPath()
	}
	if g.chance(30) {
		return ""
	}
	return g.path(func(n *node) bool { return n.dir })
}

// anyPath is a name in some directory, which may be there or not, and may be impossible.
func (g *generator) anyPath() string {
	dir := g.path(func(n *node) bool { return n.dir && strings.Count(n.path(), "/") < 4 })
	switch {
	case g.chance(2):
		dir = g.path(func(n *node) bool { return !n.dir })
	case g.chance(1):
		dir = path.Join(dir, "not there")
	}
	if dir == "" {
		return g.name()
	}
	return dir + "/" + g.name()
}

func (g *generator) name() string {
	if g.chance(3) {
		return pick(g, badNames)
	}
	name := pick(g, baseNames)
	if g.chance(30) {
		name = string(rune('a'+g.rng.IntN(26))) + name
	}
	return g.respell(name, 25)
}

// respell changes case and composition of a path, with a chance of so many percent.
func (g *generator) respell(p string, percent int) string {
	if !g.chance(percent) || p == "" && g.m.NoDots {
		return p
	}
	switch g.rng.IntN(5) {
	case 0:
		return strings.ToUpper(p)
	case 1:
		return norm.NFD.String(p)
	case 2:
		if g.chance(20) {
			return p + pick(g, []string{".", " ", "..", ". "})
		}
	}
	return strings.Map(func(r rune) rune {
		// Only letters whose cases are one another's only other case, and of the same length.
		lower, upper := unicode.ToLower(r), unicode.ToUpper(r)
		if unicode.ToUpper(lower) != upper || unicode.ToLower(upper) != lower || g.chance(50) {
			return r
		}
		if r == lower {
			return upper
		}
		return lower
	}, p)
}

// span gives the operation an offset and a length that hurt: at the limits of clusters, of the
// file, of the volume and of FAT.
func (g *generator) span(op *Op) {
	cs := int64(g.m.ClusterSize)
	size := int64(0)
	if h := g.m.slots[op.Slot]; h != nil {
		size = h.n.size
	}
	volume := int64(g.m.Clusters) * cs
	length := func() int64 {
		switch g.rng.IntN(8) {
		case 0:
			return g.rng.Int64N(16)
		case 1:
			return cs + g.rng.Int64N(3) - 1
		case 2:
			return g.rng.Int64N(4)*512 + g.rng.Int64N(3)
		case 3:
			return g.rng.Int64N(min(8*cs, 256<<10))
		default:
			return g.rng.Int64N(5000)
		}
	}
	offset := func() int64 {
		switch n := g.rng.IntN(20); {
		case n < 5:
			return size
		case n < 12:
			return g.rng.Int64N(size + 1)
		case n < 15:
			return (size/cs+g.rng.Int64N(3))*cs + g.rng.Int64N(3) - 1
		case n < 16:
			return size + g.rng.Int64N(min(4*cs, 64<<10))
		case n < 17 && g.mode.large:
			return g.rng.Int64N(volume + cs)
		case n < 18 && (volume > maxFile || g.chance(5)):
			return maxFile - g.rng.Int64N(3*cs)
		}
		return 0
	}
	op.Off, op.Off2, op.Len = max(0, offset()), max(0, offset()), max(0, length())
	switch op.Kind {
	case OpWrite:
		op.Seed = g.rng.Uint64() | 1
		if g.mode.large && g.chance(30) {
			op.Len = min(g.rng.Int64N(volume/4+1), 512<<10)
		}
	case OpFtruncate, OpTruncate:
		op.Len = op.Off
		switch {
		case g.chance(20):
			op.Len = 0
		case g.mode.large && g.chance(30):
			op.Len = g.rng.Int64N(volume + cs)
		case g.chance(3):
			op.Len = maxFile + g.rng.Int64N(3)
		}
		op.Off = 0
	case OpAllocate, OpZero, OpPunch:
		if g.mode.large && g.chance(30) {
			op.Len = g.rng.Int64N(volume/2 + 1)
		}
		if op.Kind != OpPunch && g.chance(40) {
			op.Flags |= KeepSize
		}
	case OpCopy:
		op.Slot2 = g.slot()
	}
	switch op.Kind {
	case OpRead, OpWrite:
		op.Off2 = 0
		if g.chance(10) {
			op.Flags |= Mapped
		}
	case OpAllocate, OpZero, OpPunch:
		op.Off2 = 0
	case OpFtruncate, OpTruncate:
		op.Off, op.Off2 = 0, 0
	case OpFstat, OpFsync, OpClose:
		op.Off, op.Off2, op.Len = 0, 0, 0
	}
}
