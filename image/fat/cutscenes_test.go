package fat_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

var (
	sceneSeed = flag.Uint64("scene-seed", 1, "seed of the random parts of TestCutScenes")
	sceneCut  = flag.Int("scene-cut", 0, "the only cut of each scene that TestCutScenes looks at; 0: all")
)

// leastCuts is how many cuts a whole run of TestCutScenes has to look at.
const leastCuts = 20_000

// A promise says what a file must hold at every cut from one on, until another promise of the path.
type vow struct {
	from    int // length of the log
	path    string
	allowed []string // "" stands for a file that is not there; no entry at all for anything
}

// scene runs a workload on a volume whose writes are recorded.
type scene struct {
	t        testing.TB
	v        *fat.Volume
	rec      *faultdev.Recorder
	rng      *rand.Rand
	promises []vow
	id       uint32
	shown    int // volumes that fsck.fat looked at
}

func (c *scene) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *scene) promise(path string, allowed ...string) {
	c.promises = append(c.promises, vow{c.rec.Len(), path, allowed})
}

// data is size bytes of which each record of 8 tells which data it belongs to: bytes of something else
// can be told from them.
func (c *scene) data(size int) string {
	c.id++
	b := make([]byte, size+8)
	for i := 0; i < size; i += 8 {
		binary.LittleEndian.PutUint32(b[i:], c.id)
		binary.LittleEndian.PutUint32(b[i+4:], uint32(i)|1<<31)
	}
	return string(b[:size])
}

func (c *scene) dir(path string) *fat.Node {
	n := c.v.Root()
	for _, name := range strings.Split(path, "/") {
		if name == "" || name == "." {
			continue
		}
		next, _, err := c.v.Lookup(n, name)
		c.must(err)
		n = next
	}
	return n
}

func dirAndName(path string) (string, string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

func (c *scene) create(path, data string) *fat.Node {
	dir, name := dirAndName(path)
	n, err := c.v.Create(c.dir(dir), name, 0)
	c.must(err)
	c.append(n, data)
	return n
}

func (c *scene) append(n *fat.Node, data string) {
	k, _, err := n.Append([]byte(data))
	c.must(err)
	if k != len(data) {
		c.t.Fatalf("append: %d of %d bytes", k, len(data))
	}
}

func (c *scene) mkdir(path string) {
	dir, name := dirAndName(path)
	n, err := c.v.Mkdir(c.dir(dir), name, 0)
	c.must(err)
	n.Release(1)
}

func (c *scene) unlink(path string) {
	dir, name := dirAndName(path)
	c.must(c.v.Unlink(c.dir(dir), name))
}

func (c *scene) rename(from, to string, flags fat.RenameFlags) {
	fd, fn := dirAndName(from)
	td, tn := dirAndName(to)
	c.must(c.v.Rename(c.dir(fd), fn, c.dir(td), tn, flags))
}

// workloads are what is cut.
var workloads = map[string]func(c *scene){
	"append": func(c *scene) {
		for i := 0; i < 12; i++ {
			path := fmt.Sprintf("file with a long name, number %d.data", i)
			all := c.data(c.rng.IntN(3000) + 1)
			n := c.create(path, all)
			c.must(n.Sync())
			c.promise(path, all)
			for k := 0; k < 3; k++ {
				c.promise(path)
				more := c.data(c.rng.IntN(9000) + 1)
				c.append(n, more)
				all += more
				c.must(n.Sync())
				c.promise(path, all)
			}
			n.Release(1)
		}
	},
	"editor": func(c *scene) {
		old := c.data(2000)
		c.create("Document.text", old).Release(1)
		c.must(c.v.Sync())
		c.promise("Document.text", old)
		for i := 0; i < 25; i++ {
			text := c.data(c.rng.IntN(8000) + 1)
			n := c.create("document.text.tmp~", text)
			if i%3 == 0 {
				c.must(n.Sync())
			}
			c.promise("Document.text", old, text)
			c.rename("document.text.tmp~", "Document.text", 0)
			if i%2 == 0 {
				c.must(n.Sync())
				c.promise("Document.text", text)
			}
			n.Release(1)
			if i%2 != 0 {
				c.must(c.v.Sync())
				c.promise("Document.text", text)
			}
			old = text
		}
	},
	"rewrite": func(c *scene) { // truncation to nothing and new contents
		old := c.data(5000)
		n := c.create("settings.ini", old)
		c.must(n.Sync())
		c.promise("settings.ini", old)
		for i := 0; i < 15; i++ {
			text := c.data(c.rng.IntN(9000) + 1)
			c.promise("settings.ini", old, text)
			c.must(n.Truncate(0))
			c.append(n, text)
			c.must(n.Sync())
			c.promise("settings.ini", text)
			old = text
		}
		n.Release(1)
	},
	"trees": func(c *scene) {
		for i := 0; i < 8; i++ {
			top := fmt.Sprintf("Directory number %d", i)
			c.mkdir(top)
			c.mkdir(top + "/sub directory")
			text := c.data(700)
			c.create(top+"/sub directory/some file.txt", text).Release(1)
			if i%2 == 0 {
				c.must(c.v.Sync())
			}
			c.mkdir(top + " other")
			c.rename(top+"/sub directory", top+" other/moved here", 0)
			c.must(c.v.Sync())
			c.promise(top+" other/moved here/some file.txt", text)
			c.rename(top+" other", top+"/deeper", 0)
			c.promise(top + " other/moved here/some file.txt")
			if i%3 == 0 {
				c.must(c.v.Sync())
				c.promise(top+"/deeper/moved here/some file.txt", text)
			}
			c.promise(top + "/deeper/moved here/some file.txt")
			c.unlink(top + "/deeper/moved here/some file.txt")
			dir := c.dir(top + "/deeper")
			c.must(c.v.Rmdir(dir, "moved here"))
			c.must(c.v.Rmdir(c.dir(top), "deeper"))
			c.must(c.v.Sync())
		}
	},
	"reuse": func(c *scene) { // fill, remove, fill again: freed clusters and slots get new owners
		for round := 0; round < 6; round++ {
			var paths []string
			for i := 0; i < 12; i++ {
				path := fmt.Sprintf("round %d of file %d", round, i)
				text := c.data(c.rng.IntN(4000) + 200)
				c.create(path, text).Release(1)
				paths = append(paths, path)
			}
			c.must(c.v.Sync())
			for i, p := range paths {
				if i%3 == 0 {
					continue
				}
				c.unlink(p)
				if i%4 == 0 { // the very name comes back
					c.create(p, c.data(900)).Release(1)
				}
			}
			c.must(c.v.Sync())
		}
	},
	"truncate": func(c *scene) {
		id := c.data(40000)
		n := c.create("grows and shrinks.bin", id)
		c.must(n.Sync())
		size := int64(len(id))
		for i := 0; i < 20; i++ {
			c.promise("grows and shrinks.bin")
			size = int64(c.rng.IntN(40000))
			c.must(n.Truncate(size))
			if i%2 == 0 {
				c.must(n.Truncate(size + 5000))
			}
			if i%5 == 0 {
				c.rename("grows and shrinks.bin", "x", 0)
				c.rename("x", "grows and shrinks.bin", 0)
			}
			c.must(n.Sync())
		}
		n.Release(1)
	},
	"growth": func(c *scene) { // of a directory, and its end coming back
		c.mkdir("d")
		for round := 0; round < 3; round++ {
			for i := 0; i < 60; i++ {
				c.create(fmt.Sprintf("d/entry with a rather long name so that slots run out %d", i), "").Release(1)
				if i%20 == 19 {
					c.must(c.v.Sync())
				}
			}
			for i := 0; i < 60; i++ {
				c.unlink(fmt.Sprintf("d/entry with a rather long name so that slots run out %d", i))
				if i%25 == 24 {
					c.must(c.v.Sync())
				}
			}
			c.must(c.v.Sync())
		}
	},
	"exchange": func(c *scene) {
		c.mkdir("far away")
		for i := 0; i < 30; i++ { // so that the two names do not share an atom
			c.create(fmt.Sprintf("far away/filler %d", i), "").Release(1)
		}
		a, b := c.data(1000), c.data(2000)
		c.create("left.bin", a).Release(1)
		c.create("far away/right.bin", b).Release(1)
		c.must(c.v.Sync())
		for i := 0; i < 10; i++ {
			c.promise("left.bin", a, b)
			c.promise("far away/right.bin", a, b)
			c.rename("left.bin", "far away/right.bin", fat.RenameExchange)
			a, b = b, a
			c.must(c.v.Sync())
			c.promise("left.bin", a)
			c.promise("far away/right.bin", b)
		}
	},
	"rotate": func(c *scene) { // names that go and come in one epoch
		texts := map[int]string{}
		for i := 0; i < 4; i++ {
			texts[i] = c.data(500 + i)
			c.create(fmt.Sprintf("the log file.%d", i), texts[i]).Release(1)
		}
		c.must(c.v.Sync())
		for round := 0; round < 10; round++ {
			c.rename("the log file.2", "the log file.3", 0)
			c.rename("the log file.1", "the log file.2", 0)
			c.rename("the log file.0", "the log file.1", 0)
			c.create("the log file.0", c.data(300)).Release(1)
			if round%2 == 0 {
				c.must(c.v.Sync())
			}
		}
	},
}

func TestCutScenes(t *testing.T) {
	// Small clusters and an almost full directory page make every kind of crossing happen.
	layouts := []fattest.Layout{
		{Width: 12, Clusters: 900}, {Width: 12, Clusters: 600, ClusterSize: 2048, FATs: 1},
		{Width: 16, Clusters: 4200}, {Width: 32, Clusters: 65600}, {Width: 32, Clusters: 65530, SectorSize: 4096},
	}
	cuts := 0
	for name, work := range workloads {
		for _, l := range layouts {
			t.Run(fmt.Sprintf("%s/FAT%d-%d-%d", name, l.Width, l.SectorSize, l.ClusterSize), func(t *testing.T) {
				cuts += cutScene(t, l, work)
			})
		}
	}
	t.Logf("%d cuts checked", cuts)
	if cuts < leastCuts && !t.Failed() && !filtered() {
		t.Errorf("only %d cuts were looked at, expected at least %d", cuts, leastCuts)
	}
}

// filtered reports whether -run picks some of the scenes.
func filtered() bool {
	run := flag.Lookup("test.run")
	return run != nil && strings.Contains(run.Value.String(), "/")
}

// cut runs a workload and checks what every cut of it, and samples of what the host may make of the
// writes since the last sync, leave behind.
func cutScene(t *testing.T, l fattest.Layout, work func(*scene)) (cuts int) {
	size, err := fattest.VolumeSize(l)
	if err != nil {
		t.Fatal(err)
	}
	mem := device.NewMem(size)
	if err := fattest.Format(mem, l); err != nil {
		t.Fatal(err)
	}
	base := mem.Clone()
	c := &scene{t: t, rec: faultdev.NewRecorder(mem), rng: rand.New(rand.NewPCG(*sceneSeed, 2))}
	c.record(c.rec, work)
	check(t, mem)

	log := c.rec.Log()
	state, synced, covered := base.Clone(), base.Clone(), 0
	for upTo := 0; upTo <= len(log); upTo++ {
		if upTo > 0 {
			if err := faultdev.Replay(state, log[upTo-1:upTo], 1); err != nil {
				t.Fatal(err)
			}
		}
		if s := faultdev.Synced(log, upTo); s > covered {
			if err := faultdev.Replay(synced, log[covered:s], s-covered); err != nil {
				t.Fatal(err)
			}
			covered = s
		}
		for k, how := range []string{"in order", "scattered", "a subset of the writes", "the next write torn", "scattered"} {
			// Small volumes are cheap to look at.
			if k > 0 && l.Width != 12 && (upTo+k)%4 != 0 || k > 3 && l.Width != 12 {
				continue
			}
			cuts++
			if *sceneCut != 0 && *sceneCut != cuts {
				continue
			}
			// Each cut has numbers of its own, so that it can be repeated alone.
			rng := rand.New(rand.NewPCG(*sceneSeed, uint64(cuts)))
			m := state
			switch k {
			case 1, 4:
				m = synced.Clone()
				err = faultdev.Scatter(m, log[covered:upTo], rng)
			case 2:
				m = synced.Clone()
				err = subset(m, log[covered:upTo], rng)
			case 3:
				if m = state.Clone(); upTo < len(log) {
					err = faultdev.Tear(m, log[upTo], rng.IntN(16))
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := c.problem(m, upTo); err != nil {
				t.Errorf("cut after write %d of %d, %s: %v\nto repeat: -run '%s' -scene-seed %d -scene-cut %d",
					upTo, c.rec.Len(), how, err, t.Name(), *sceneSeed, cuts)
				return cuts
			}
		}
	}
	return cuts
}

// record runs a workload on a volume on dev.
func (c *scene) record(dev device.Device, work func(*scene)) {
	var err error
	c.v, err = fat.Open(dev, fat.Options{CommitDelay: -time.Second})
	c.must(err)
	work(c)
	c.must(c.v.Close())
}

// subset applies some of the changes of a log, each whole: a host that writes back some pages and not others.
func subset(m *device.Mem, log []faultdev.Entry, rng *rand.Rand) error {
	for i := range log {
		if rng.IntN(2) == 0 {
			if err := faultdev.Replay(m, log[i:i+1], 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestCutScenesFindOneFault shows that the checks notice much less than no order at all: a single sync that
// is missing, or one phase before the one that it has to follow.
func TestCutScenesFindOneFault(t *testing.T) {
	l := fattest.Layout{Width: 16, Clusters: 4200}
	for _, name := range []string{"append", "editor", "trees", "reuse"} {
		c, base := recordScene(t, l, workloads[name])
		log := c.rec.Log()
		var syncs []int
		for i, e := range log {
			if e.Mark == "" && e.Kind == faultdev.Sync {
				syncs = append(syncs, i)
			}
		}
		missing, swapped := 0, 0
		for k := 1; k+1 < len(syncs) && (missing == 0 || swapped == 0); k++ {
			before, at, after := syncs[k-1], syncs[k], syncs[k+1]
			start := base.Clone()
			if err := faultdev.Replay(start, log, before); err != nil {
				t.Fatal(err)
			}
			// Without the sync at at, what is on both of its sides comes in any order.
			rng := rand.New(rand.NewPCG(*sceneSeed, uint64(k)))
			both := append(append([]faultdev.Entry{}, log[before+1:at]...), log[at+1:after]...)
			for range 12 {
				m := start.Clone()
				if err := faultdev.Scatter(m, both, rng); err != nil {
					t.Fatal(err)
				}
				if c.problem(m, after) != nil {
					missing++
					break
				}
			}
			// The later phase first, and nothing of the other.
			if err := faultdev.Replay(start, log[at+1:after], after-at-1); err != nil {
				t.Fatal(err)
			}
			if c.problem(start, before) != nil {
				swapped++
			}
		}
		if missing == 0 || swapped == 0 {
			t.Errorf("%s: with a sync missing, %d faults found; with two phases swapped, %d", name, missing, swapped)
		}
	}
}

// syncless hides the syncs from what is below: then there is no order at all.
type syncless struct{ device.Device }

func (syncless) Sync() error { return nil }

// TestCutScenesFindFaults shows that the checks fail where they should: without syncs between the phases
// every workload leaves damage behind some cut.
func TestCutScenesFindFaults(t *testing.T) {
	l := fattest.Layout{Width: 16, Clusters: 4200}
	size, err := fattest.VolumeSize(l)
	if err != nil {
		t.Fatal(err)
	}
	for name, work := range workloads {
		mem := device.NewMem(size)
		if err := fattest.Format(mem, l); err != nil {
			t.Fatal(err)
		}
		base := mem.Clone()
		c := &scene{t: t, rec: faultdev.NewRecorder(mem), rng: rand.New(rand.NewPCG(*sceneSeed, 2))}
		c.record(syncless{c.rec}, work)
		rng := rand.New(rand.NewPCG(*sceneSeed, 3))
		found := false
		for try := 0; try < 300 && !found; try++ {
			upTo := rng.IntN(c.rec.Len() + 1)
			mixed := base.Clone()
			if err := c.rec.Scatter(mixed, upTo, rng); err != nil {
				t.Fatal(err)
			}
			found = c.problem(mixed, upTo) != nil
		}
		if !found {
			t.Errorf("%s: no cut without syncs did any damage", name)
		}
	}
}

// verify checks one state of the medium.
func (c *scene) verify(dev fattest.Source, upTo int, how string) bool {
	err := c.problem(dev, upTo)
	if err != nil {
		c.t.Errorf("cut after write %d of %d, %s: %v\n-run '%s' -scene-seed %d", upTo, c.rec.Len(), how, err, c.t.Name(), *sceneSeed)
	}
	return err == nil
}

// problem is what is wrong with a state of the medium after a cut.
func (c *scene) problem(dev fattest.Source, upTo int) error {
	r, err := fattest.Check(dev)
	if err == nil {
		err = r.DamageErr()
	}
	if err == nil {
		err = c.kept(r, upTo)
	}
	if err == nil {
		err = unmingled(r)
	}
	return err
}

// kept looks whether what was promised is there.
func (c *scene) kept(r *fattest.Report, upTo int) error {
	now := map[string][]string{}
	for _, p := range c.promises {
		if p.from <= upTo {
			now[p.path] = p.allowed
		}
	}
	for path, allowed := range now {
		if len(allowed) == 0 {
			continue
		}
		f := r.Find(path)
		if f == nil {
			return fmt.Errorf("%q is not there", path)
		}
		got, err := f.Contents()
		if err != nil {
			return fmt.Errorf("%q: %w", path, err)
		}
		ok := false
		for _, a := range allowed {
			ok = ok || string(got) == a
		}
		if !ok {
			return fmt.Errorf("%q holds %d bytes that it never should", path, len(got))
		}
	}
	return nil
}

// unmingled looks for bytes of one file in another: two files that are not one under two names never hold
// records of the same data.
func unmingled(r *fattest.Report) error {
	owner := map[uint32]*fattest.File{}
	for _, f := range r.Files {
		if f.Size == 0 || f.IsDir {
			continue
		}
		got, err := f.Contents()
		if err != nil {
			return fmt.Errorf("%q: %w", f.Path, err)
		}
		for i := 0; i+8 <= len(got); i += 8 {
			id, at := binary.LittleEndian.Uint32(got[i:]), binary.LittleEndian.Uint32(got[i+4:])
			if at&(1<<31) == 0 {
				continue // zeros, or the end of a piece that is no multiple of a record
			}
			o := owner[id]
			if o == nil {
				owner[id] = f
			} else if o != f && o.Extents[0] != f.Extents[0] {
				return fmt.Errorf("%q holds bytes of %q", f.Path, o.Path)
			}
		}
	}
	return nil
}
