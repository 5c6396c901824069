package fat_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

var (
	worlds      = flag.Int("worlds", 200, "how many `worlds` TestCutWorlds cuts")
	world32     = flag.Bool("world-32", false, "have TestCutWorlds cut volumes of FAT32, which takes much longer")
	worldSync   = flag.Bool("world-sync", false, "have TestCutWorlds use the volumes with the option sync")
	worldCommit = flag.Duration("world-commit", -time.Second, "how often what TestCutWorlds does is committed in the background; a seed does not repeat a failure then")
	world1      = flag.Int("world", 0, "the `seed` of the first of them")
)

// A world is a volume on which names come, go and change at random. What was synced has to be there, after a cut and the
// repair, under one of the names that it has had since.
type world struct {
	scene *scene
	rng   *rand.Rand
	dirs  []string              // paths; "" is the root
	files map[string]*worldFile // by path
	known []*worldFile          // those, and what was removed since the last sync
	names map[string]bool       // that anything was ever given
	needs []worldNeed
	open  []worldHandle
	trace []string
	dev   *roughDevice // nil for one that does what it is told
}

// worldLayouts are those of the worlds, by their seed.
var worldLayouts = []fattest.Layout{
	{Width: 12, Clusters: 900}, {Width: 16, Clusters: 4200}, {Width: 12, Clusters: 300, ClusterSize: 2048, RootEntries: 128},
	{Width: 16, Clusters: 4200, FATs: 1}, {Width: 12, Clusters: 400, SectorSize: 4096},
}

// A roughDevice discards so that nothing is left of what was there, and fails writes and syncs while it is told to: then of a write
// a part may be there.
type roughDevice struct {
	*faultdev.Recorder
	rng     *rand.Rand
	failing bool
}

func (d *roughDevice) DiscardAt(off, n int64) error {
	_, err := d.Recorder.WriteAt(bytes.Repeat([]byte{0xdd}, int(n)), off)
	return err
}

func (d *roughDevice) WriteAt(p []byte, off int64) (int, error) {
	if d.failing && d.rng.IntN(6) == 0 {
		n, _ := d.Recorder.WriteAt(p[:d.rng.IntN(len(p)/512+1)*512], off)
		return n, errRough
	}
	return d.Recorder.WriteAt(p, off)
}

func (d *roughDevice) Sync() error {
	if d.failing && d.rng.IntN(4) == 0 {
		return errRough
	}
	return d.Recorder.Sync()
}

var errRough = errors.New("the device fails")

type worldFile struct {
	data    string
	was     string          // at the last sync
	paths   map[string]bool // since the last sync
	synced  bool            // before the last sync
	touched bool            // its contents, since then
	grown   bool            // the same, and only appended to
	gone    bool            // removed or replaced
}

// A worldNeed is what has to be there from a length of the record on: contents, and where they may be.
type worldNeed struct {
	from  int
	paths map[string][]string
	start map[string]bool // those that something may follow
}

func (w *world) path() string {
	name := []string{"A.TXT", "B.TXT", "SHORT.BIN", "C"}[w.rng.IntN(4)]
	if w.rng.IntN(3) > 0 {
		k := w.rng.IntN(6) // few names, so that they come back
		name = fmt.Sprintf("n%d %sx", k, strings.Repeat("long ", k%4*3))
	}
	w.names[name] = true
	return w.spelled(path.Join(w.dirs[w.rng.IntN(len(w.dirs))], name))
}

func (w *world) isDir(p string) bool { return slices.Contains(w.dirs, p) }

// below are the paths of the files in a directory, at any depth.
func (w *world) below(dir string) (out []string) {
	for p := range w.files {
		if strings.HasPrefix(p, dir+"/") {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

// begin takes down an operation that is about to be done, and what has to be there from now on.
func (w *world) begin(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%4d ", w.scene.rec.Len())+fmt.Sprintf(format, args...))
	need := worldNeed{w.scene.rec.Len(), map[string][]string{}, map[string]bool{}}
	for _, f := range w.known {
		if f.synced && !f.touched && !f.gone && f.was != "" {
			need.paths[f.was] = slices.Sorted(maps.Keys(f.paths))
			need.start[f.was] = f.grown
		}
	}
	w.needs = append(w.needs, need)
}

func (w *world) sync() {
	w.begin("sync")
	if w.dev != nil {
		w.dev.failing = true
		for try := 0; try < 5 && w.scene.v.Sync() != nil; try++ {
		}
		w.dev.failing = false
	}
	w.scene.Sync()
	w.synced()
}

// synced notes that everything is on the medium.
func (w *world) synced() {
	w.known = slices.DeleteFunc(w.known, func(f *worldFile) bool { return f.gone })
	for _, f := range w.known {
		f.synced, f.touched, f.grown, f.was, f.paths = true, false, false, f.data, map[string]bool{}
	}
	for p, f := range w.files {
		f.paths[p] = true
	}
}

// step does one operation, or none where what it picked does not fit.
func (w *world) step() {
	p, q := w.path(), w.path()
	if there := slices.Sorted(maps.Keys(w.files)); w.rng.IntN(3) > 0 && len(there) > 0 {
		p = there[w.rng.IntN(len(there))]
		if w.rng.IntN(3) == 0 {
			q = there[w.rng.IntN(len(there))]
		}
	}
	f, g := w.files[p], w.files[q]
	switch k := w.rng.IntN(34); {
	case k < 4 && f == nil && !w.isDir(p):
		w.begin("create %q", p)
		f = &worldFile{data: w.scene.Data(max(0, w.rng.IntN(5000)-1000)), paths: map[string]bool{p: true}}
		w.scene.Create(p, f.data).Close()
		w.files[p] = f
		w.known = append(w.known, f)
	case 4 <= k && k < 7 && f != nil:
		f.gone = true
		w.begin("unlink %q", p)
		w.scene.Unlink(p)
		delete(w.files, p)
	case 7 <= k && k < 11 && f != nil && p != q && !w.isDir(q):
		w.rename(p, q)
	case k == 11:
		w.exchange(w.some(p), w.some(q))
	case k == 12 && f != nil:
		w.truncate(p, f)
	case k == 13 && f == nil && !w.isDir(p) && strings.Count(p, "/") < 2:
		w.mkdir(p)
	case k == 14:
		w.rmdir(w.dirs[w.rng.IntN(len(w.dirs))])
	case k == 15 && g == nil && !w.isDir(q) && strings.Count(q, "/") < 2:
		w.move(w.dirs[w.rng.IntN(len(w.dirs))], q)
	case k == 16 && f != nil && g == nil && p != q && !w.isDir(q) && strings.Count(p, "/") < 2:
		w.rename(p, q)
		w.mkdir(p)
		there := slices.Sorted(maps.Keys(w.files))
		from := there[w.rng.IntN(len(there))]
		w.rename(from, path.Join(p, path.Base(from)))
	case k == 17 && f != nil && path.Dir(p) != "." && !w.isDir(q):
		w.clear(path.Dir(p), q)
	case k > 22:
		w.more(p, q)
	case k > 17 && w.rng.IntN(3) == 0:
		w.sync()
	}
}

// some is the file at a path, or now and then another one or a directory.
func (w *world) some(p string) string {
	if all := slices.Sorted(maps.Keys(w.files)); len(all) > 0 && w.files[p] == nil {
		p = all[w.rng.IntN(len(all))]
	}
	if w.rng.IntN(2) == 0 {
		p = w.dirs[w.rng.IntN(len(w.dirs))]
	}
	return p
}

// exchange exchanges two files or directories.
func (w *world) exchange(p, q string) {
	there := func(p string) bool { return p != "" && (w.files[p] != nil || w.isDir(p)) }
	if !there(p) || !there(q) || p == q || strings.HasPrefix(p, q+"/") || strings.HasPrefix(q, p+"/") {
		return
	}
	swap := func(at string) string {
		switch {
		case at == p || strings.HasPrefix(at, p+"/"):
			return q + at[len(p):]
		case at == q || strings.HasPrefix(at, q+"/"):
			return p + at[len(q):]
		}
		return at
	}
	files := map[string]*worldFile{}
	for at, f := range w.files {
		f.paths[swap(at)] = true
		files[swap(at)] = f
	}
	w.begin("exchange %q and %q", p, q)
	w.scene.Exchange(p, q)
	w.files = files
	for i, at := range w.dirs {
		w.dirs[i] = swap(at)
	}
}

// truncate makes a file shorter, or writes it anew.
func (w *world) truncate(p string, f *worldFile) {
	f.touched = true
	n := w.rng.IntN(len(f.data) + 1)
	w.begin("truncate %q to %d", p, n)
	h := w.scene.Open(p)
	defer h.Close()
	h.Truncate(n)
	f.data = f.data[:n]
	if w.rng.IntN(2) == 0 {
		h.Truncate(0)
		if f.data = w.scene.Data(w.rng.IntN(3000)); f.data != "" {
			h.Append(f.data)
		}
	}
}

// rename renames a file.
func (w *world) rename(p, q string) {
	f := w.files[p]
	f.paths[q] = true
	if g := w.files[q]; g != nil {
		g.gone = true
	}
	w.begin("rename %q to %q", p, q)
	w.scene.Rename(p, q)
	delete(w.files, p)
	w.files[q] = f
}

func (w *world) mkdir(p string) {
	w.begin("mkdir %q", p)
	w.scene.Mkdir(p)
	w.dirs = append(w.dirs, p)
}

func (w *world) rmdir(dir string) {
	inside := func(p string) bool { return strings.HasPrefix(p, dir+"/") }
	if dir == "" || len(w.below(dir)) > 0 || slices.ContainsFunc(w.dirs, inside) {
		return
	}
	w.begin("rmdir %q", dir)
	w.scene.Rmdir(dir)
	w.dirs = slices.DeleteFunc(w.dirs, func(p string) bool { return p == dir })
}

// clear takes the last files out of a directory, one of them to a path where a file may be, and removes the directory, or
// moves another one there.
func (w *world) clear(dir, to string) {
	inside := w.below(dir)
	if strings.HasPrefix(to, dir+"/") || path.Dir(to) == dir || len(inside) > 2 {
		return
	}
	for i, from := range inside {
		if i > 0 {
			to = "left over"
		}
		if w.files[to] != nil {
			w.names["former"] = true
			w.rename(to, "former")
		}
		w.names[to] = true
		w.rename(from, to)
	}
	other := w.dirs[w.rng.IntN(len(w.dirs))]
	below := func(p string) bool { return strings.HasPrefix(p, dir+"/") }
	switch {
	case w.rng.IntN(2) == 0:
		w.rmdir(dir)
	case other != "" && other != dir && !below(other) && !strings.HasPrefix(dir, other+"/") && !slices.ContainsFunc(w.dirs, below):
		w.dirs = slices.DeleteFunc(w.dirs, func(p string) bool { return p == dir })
		w.move(other, dir)
	}
}

func (w *world) move(dir, to string) {
	if dir == "" || to == dir || strings.HasPrefix(to, dir+"/") {
		return
	}
	inside := w.below(dir)
	for _, p := range inside {
		w.files[p].paths[to+p[len(dir):]] = true
	}
	w.begin("rename %q to %q", dir, to)
	w.scene.Rename(dir, to)
	for i, p := range w.dirs {
		if p == dir || strings.HasPrefix(p, dir+"/") {
			w.dirs[i] = to + p[len(dir):]
		}
	}
	for _, p := range inside {
		f := w.files[p]
		delete(w.files, p)
		w.files[to+p[len(dir):]] = f
	}
}

// judge looks at what a cut left, has it repaired, and looks again: nothing is damaged, every name is one that somebody
// gave, and what had been synced is there.
func (w *world) judge(m *device.Mem, at int) error {
	before, err := fattest.Check(m)
	if err == nil {
		err = before.DamageErr()
	}
	if err == nil {
		err = fattest.Unmingled(before)
	}
	if err != nil {
		return err
	}
	if _, err := repaired(m, fat.Options{}); err != nil {
		return err
	}
	r, err := fattest.Check(m)
	if err != nil {
		return err
	}
	for _, f := range r.Findings {
		// What is behind the end of a directory nobody reads, and the next entry there writes over it.
		if f.Kind != fattest.OrphanSlots || !strings.Contains(f.Detail, "behind the end") {
			return fmt.Errorf("after the repair: %v", f)
		}
	}
	for _, f := range r.Files {
		for name := range strings.SplitSeq(strings.Trim(f.Path, "/"), "/") {
			if name != "" && !w.names[name] {
				return fmt.Errorf("after the repair %q has a name that nobody gave", f.Path)
			}
		}
	}
	var need worldNeed
	for _, n := range w.needs {
		if n.from <= at {
			need = n
		}
	}
	for data, allowed := range need.paths {
		if !hasNamed(r, data, allowed, need.start[data]) {
			return fmt.Errorf("of %d bytes that were synced none of %q has them: there are%s; before the repair%s", len(data), allowed, paths(r), paths(before))
		}
	}
	return nil
}

// hasNamed reports whether a file with the last name of one of the paths has the contents: a directory above it may have
// another name at a cut.
func hasNamed(r *fattest.Report, data string, allowed []string, start bool) bool {
	for _, f := range r.Files {
		if slices.ContainsFunc(allowed, func(p string) bool { return path.Base(p) == path.Base(f.Path) }) {
			if got, err := f.Contents(); err == nil && (string(got) == data || start && strings.HasPrefix(string(got), data)) {
				return true
			}
		}
	}
	return false
}

// TestCutWorlds cuts worlds at every write. A failure names the seed and what was done: -world SEED -worlds 1 replays it.
func TestCutWorlds(t *testing.T) {
	n := *worlds
	if testing.Short() {
		n = min(n, 20)
	}
	cuts := 0
	for seed := *world1; seed < *world1+n; seed++ {
		l := worldLayouts[seed%len(worldLayouts)]
		if *world32 {
			l = fattest.Layout{Width: 32, Clusters: 65600}
		}
		w := &world{rng: rand.New(rand.NewPCG(uint64(seed), 77)), dirs: []string{""}, files: map[string]*worldFile{}, names: map[string]bool{}}
		mem := fattest.Formatted(t, l)
		base := mem.Clone()
		c := &scene{t: t, rec: faultdev.NewRecorder(mem)}
		opt, dev := fat.Options{CommitDelay: *worldCommit, Sync: *worldSync}, device.Device(c.rec)
		if seed%2 == 1 {
			w.dev = &roughDevice{Recorder: c.rec, rng: rand.New(rand.NewPCG(uint64(seed), 76))}
			dev, opt.Discard = w.dev, seed%4 == 1
		}
		c.recordWith(dev, opt, func(c *scene) {
			w.scene = c
			for i := range w.rng.IntN(14) {
				name := fmt.Sprintf("filler%d", i)
				w.names[name] = true
				c.Create(name, "").Close()
			}
			w.sync()
			for range 60 {
				w.step()
				if *worldSync {
					w.synced()
				}
			}
			w.closeAll()
			w.sync()
		})
		rng := rand.New(rand.NewPCG(uint64(seed), 78))
		err := faultdev.EachCut(base, c.rec.Log(), func(x *faultdev.Cut) error {
			for k := 0; k == 0 || k < 3 && x.Open() > 0; k++ {
				m, err := (*device.Mem)(nil), error(nil)
				if k == 0 {
					m, err = x.Torn(rng.IntN(16))
				} else {
					m, err = x.Scattered(rng)
				}
				if err == nil {
					cuts++
					err = w.judge(m, x.At)
				}
				if err != nil {
					return fmt.Errorf("cut after %d of %d, %d: %w", x.At, c.rec.Len(), k, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("seed %d, FAT%d: %v\n%s", seed, l.Width, err, strings.Join(w.trace, "\n"))
		}
	}
	t.Logf("%d cuts", cuts)
}
