package fat_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// hostileBase is a volume with a tree on it, and what damages copies of it.
type hostileBase struct {
	*device.Mem
	*fattest.Mutator
}

func hostileBases(t testing.TB) (bases []hostileBase) {
	t.Helper()
	for _, l := range []fattest.Layout{
		{Width: 12, Clusters: 300}, {Width: 16, Clusters: 4100, RootEntries: 64}, {Width: 32, Clusters: 65600},
	} {
		mem := fattest.Formatted(t, l)
		v, err := fat.Open(mem, fat.Options{CommitDelay: -time.Second})
		if err != nil {
			t.Fatal(err)
		}
		dir := v.Root()
		for depth := 0; depth < 3; depth++ {
			for i := 0; i < 8; i++ {
				n, err := v.Create(dir, fmt.Sprintf("file %d with a longer name.bin", i), 0)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := n.WriteAt(make([]byte, 700*i), 0); err != nil {
					t.Fatal(err)
				}
				n.Release(1)
			}
			if dir, err = v.Mkdir(dir, fmt.Sprintf("directory %d", depth), 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		mutator, err := fattest.NewMutator(mem)
		if err != nil {
			t.Fatal(err)
		}
		bases = append(bases, hostileBase{mem, mutator})
	}
	return bases
}

// hostile uses a volume as somebody would who knows nothing of its damage, as script says. What fails must
// fail with an error. Nothing may panic, hang, leave goroutines behind, take memory by what the volume
// says, show a name that leads elsewhere, or write beyond the volume.
type hostile struct {
	t      testing.TB
	v      *fat.Volume
	script []byte
	nodes  []*fat.Node // with a reference each; the root is the first
	files  []*fat.Handle
	names  []string // that listings have shown
}

// hostileMemory is what a session may allocate in all, in bytes, whatever the volume says.
const hostileMemory = 256 << 20

// session opens a damaged volume and runs the script on it.
func session(t testing.TB, vol *device.Mem, script []byte) {
	t.Helper()
	fattest.Contained(t, hostileMemory, func() {
		h := &hostile{t: t, script: script}
		h.run(vol)
		if len(script)%3 == 0 {
			h.check(vol, len(script)%2 == 0)
		}
	})
}

func (h *hostile) run(dev device.Device) {
	opt := fat.Options{CommitDelay: -time.Second, Log: slog.New(slog.DiscardHandler), CacheBytes: 1 << 20,
		Errors: fat.ErrorPolicy(h.next() % 2), Repair: fat.RepairMode(h.next() % 3), ReadOnly: h.next()%8 == 0}
	v, err := fat.Open(dev, opt)
	if err != nil {
		h.within(err)
		if err.Error() == "" {
			h.t.Error("an error without words")
		}
		return
	}
	h.v, h.nodes = v, []*fat.Node{v.Root()}
	h.walk()
	for len(h.script) > 0 {
		h.within(h.step())
	}
	h.within(v.Sync())
	_, err = v.Stat()
	h.within(err)
	for _, f := range h.files {
		f.Close()
	}
	for _, n := range h.nodes[1:] {
		n.Release(1)
	}
	h.within(v.Close())
}

// check has the volume checked and repaired, before it is mounted again.
func (h *hostile) check(dev device.Device, keep bool) {
	_, err := fat.Check(dev, fat.CheckOptions{Repair: true, Keep: keep})
	h.within(err)
	if err == nil {
		h.run(dev)
	}
}

// next is a byte of the script, 0 at its end.
func (h *hostile) next() (b byte) {
	if len(h.script) > 0 {
		b, h.script = h.script[0], h.script[1:]
	}
	return b
}

// within fails the test for an access outside of the volume.
func (h *hostile) within(err error) {
	if errors.Is(err, device.ErrBounds) {
		h.t.Helper()
		h.t.Fatalf("outside of the volume: %v", err)
	}
}

const (
	hostileNodes = 300 // that a walk keeps
	hostileFiles = 8
)

// walk takes in what can be reached, breadth first, as far as a listing goes.
func (h *hostile) walk() {
	for i := 0; i < len(h.nodes) && len(h.nodes) < hostileNodes; i++ {
		if h.nodes[i].IsDir() {
			h.list(h.nodes[i], 64)
		}
	}
}

// list reads a directory to its end, and keeps the first entries.
func (h *hostile) list(dir *fat.Node, keep int) {
	total, last := 0, uint64(0)
	var entries []fat.Entry
	h.within(h.v.ReadDir(dir, 0, func(e *fat.Entry) bool {
		if total++; total > 1<<16 || e.Cookie <= last {
			h.t.Fatalf("entry %d of a listing, at %d after %d", total, e.Cookie, last)
		}
		last = e.Cookie
		if !fattest.OneComponent(e.Name) {
			h.t.Errorf("a listing shows %q", e.Name)
		}
		if len(entries) < keep {
			entries = append(entries, *e)
		}
		return true
	}))
	for i := range entries {
		n, err := h.v.EntryNode(dir, &entries[i])
		h.within(err)
		if err != nil {
			continue
		}
		_, err = n.Attr()
		h.within(err)
		if len(h.nodes) < hostileNodes {
			h.nodes, h.names = append(h.nodes, n), append(h.names, entries[i].Name)
		} else {
			n.Release(1)
		}
	}
}

func (h *hostile) node() *fat.Node { return h.nodes[int(h.next())%len(h.nodes)] }

// name is one that a listing has shown, mostly.
func (h *hostile) name() string {
	n := int(h.next())
	switch {
	case n < 32 || len(h.names) == 0:
		return fmt.Sprintf("name of ours %d", n)
	case n < 48:
		return []string{"..", ".", "", "a/b", "\x00", "\xff", ":d800", strings.Repeat("long", 64)}[n%8]
	}
	return h.names[(n*7+int(h.next()))%len(h.names)]
}

// offset is within the file, mostly, or where offsets end.
func (h *hostile) offset(n *fat.Node) int64 {
	a, err := n.Attr()
	h.within(err)
	switch k := int64(h.next()); {
	case k < 16:
		return fat.MaxFileSize - k
	case k < 32:
		return a.Size
	default:
		return k * 977 % (min(a.Size, 1<<20) + 512)
	}
}

func (h *hostile) step() error {
	op, n := h.next(), h.node()
	buf := make([]byte, 1+int(h.next())*37)
	switch op % 16 {
	case 0:
		_, err := n.ReadAt(buf, h.offset(n))
		return err
	case 1:
		_, err := n.WriteAt(buf, h.offset(n))
		return err
	case 2:
		if op&0x80 != 0 {
			_, err := n.WriteAllAt(buf, h.offset(n))
			return err
		}
		_, _, err := n.Append(buf)
		return err
	case 3:
		if op&0x80 != 0 {
			return n.Truncate(0)
		}
		return n.Truncate(min(h.offset(n), 4<<20))
	case 4:
		if op&0x40 != 0 {
			return n.Allocate(h.offset(n), int64(len(buf)), op&0x80 != 0)
		}
		return n.Zero(h.offset(n), int64(len(buf)), op&0x80 != 0)
	case 5:
		made, err := h.v.Create(n, h.name(), 0)
		return h.made(made, err)
	case 6:
		made, err := h.v.Mkdir(n, h.name(), 0)
		return h.made(made, err)
	case 7:
		return h.v.Unlink(n, h.name())
	case 8:
		return h.v.Rmdir(n, h.name())
	case 9, 10:
		return h.v.Rename(n, h.name(), h.node(), h.name(), fat.RenameFlags(h.next()%3))
	case 11:
		found, _, err := h.v.Lookup(n, h.name())
		return h.made(found, err)
	case 12:
		if n.IsDir() {
			h.list(n, 4)
		}
		return nil
	case 13:
		now := time.Unix(int64(h.next())<<24, 0)
		return errors.Join(n.SetTimes(&now, &now, &now), n.SetAttributes(fat.Attributes(h.next())))
	case 14:
		return h.open(n)
	default:
		switch op >> 6 {
		case 2:
			return h.v.Sync()
		case 3:
			<-h.v.Repaired()
			return n.Sync()
		}
		_, err := n.CopyTo(h.node(), h.offset(n), h.offset(n), int64(len(buf)))
		return err
	}
}

func (h *hostile) made(n *fat.Node, err error) error {
	if err == nil && n != h.v.Root() {
		if len(h.nodes) < hostileNodes {
			h.nodes = append(h.nodes, n)
		} else {
			n.Release(1)
		}
	}
	return err
}

// open opens a file, or closes one that is open.
func (h *hostile) open(n *fat.Node) error {
	if len(h.files) >= hostileFiles || n.IsDir() {
		if len(h.files) > 0 {
			h.files[0].Close()
			h.files = h.files[1:]
		}
		return nil
	}
	f, err := n.Open()
	if err == nil {
		h.files = append(h.files, f)
	}
	return err
}

// randomBytes is what a seed makes of a session: changes of the volume, and a script.
func randomBytes(seed uint64) (changes, script []byte) {
	rng := rand.New(rand.NewPCG(seed, 7))
	fill := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	return fill(8 * (1 + rng.IntN(1+rng.IntN(30)))), fill(rng.IntN(400))
}

// foundBy are seeds of sessions that found something.
var foundBy = []uint64{
	1150, // a directory that was read again, and then lacked entries that were in use
}

// TestHostileVolumes runs sessions on damaged volumes: the same ones each time, and some that are new.
func TestHostileVolumes(t *testing.T) {
	bases := hostileBases(t)
	usual, others := uint64(500), uint64(150)
	if testing.Short() {
		usual, others = 120, 40
	}
	run := func(seed uint64) {
		changes, script := randomBytes(seed)
		base := bases[seed%uint64(len(bases))]
		vol := base.Clone()
		base.Mutate(vol, changes)
		session(t, vol, script)
		if t.Failed() {
			t.Fatalf("seed %d; -seed %d begins with it", seed, seed)
		}
	}
	for _, seed := range foundBy {
		run(seed)
	}
	for seed := range usual {
		run(seed)
	}
	first := *seed
	if first == usualSeed {
		first = rand.Uint64()
	}
	t.Logf("random sessions from seed %d on", first)
	for n := range others {
		run(first + n)
	}
}

func FuzzVolume(f *testing.F) {
	bases := hostileBases(f)
	add := func(seed uint64) {
		changes, script := randomBytes(seed)
		f.Add(uint8(seed%uint64(len(bases))), changes, script)
	}
	for _, seed := range foundBy {
		add(seed)
	}
	for seed := range uint64(60) {
		add(seed)
	}
	f.Fuzz(func(t *testing.T, which uint8, changes, script []byte) {
		if len(changes) > 8*64 || len(script) > 1000 {
			return
		}
		base := bases[int(which)%len(bases)]
		vol := base.Clone()
		base.Mutate(vol, changes)
		session(t, vol, script)
	})
}
