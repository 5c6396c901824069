package fat_test

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"fatvol/image/fat"
)

// worldHandle is an open file of a world.
type worldHandle struct {
	h *fat.Handle
	f *worldFile
}

// spelled is the path as it is spelled where there is one of that name.
func (w *world) spelled(p string) string {
	for _, q := range w.dirs {
		if strings.EqualFold(p, q) {
			return q
		}
	}
	for q := range w.files {
		if strings.EqualFold(p, q) {
			return q
		}
	}
	return p
}

// node calls fn with the node of a path.
func (w *world) node(p string, fn func(n *fat.Node) error) {
	n, err := walk(w.scene.v, p)
	if err == nil {
		err = fn(n)
		release(n)
	}
	if err != nil {
		w.scene.t.Fatalf("%q: %v\n%s", p, err, strings.Join(w.trace, "\n"))
	}
}

// more does one of the operations that change no name, or more than one.
func (w *world) more(p, q string) {
	f, g := w.files[p], w.files[q]
	switch k := w.rng.IntN(18); {
	case k == 0 && f != nil:
		w.grow(p, f, func(data string) {
			h := w.scene.Open(p)
			h.Append(data)
			h.Close()
		})
	case k == 1 && f != nil && len(w.open) < 4:
		w.begin("open %q", p)
		w.node(p, func(n *fat.Node) error {
			h, err := n.Open()
			w.open = append(w.open, worldHandle{h, f})
			return err
		})
	case k == 2 && len(w.open) > 0:
		x := w.open[w.rng.IntN(len(w.open))]
		w.grow("what is open", x.f, func(data string) {
			if _, _, err := x.h.Append([]byte(data)); err != nil {
				w.scene.t.Fatal(err)
			}
		})
	case k == 3:
		w.closeOne()
	case k == 4 && f != nil:
		w.begin("attributes of %q", p)
		w.node(p, func(n *fat.Node) error {
			return n.SetAttributes([]fat.Attributes{0, fat.AttrReadOnly, fat.AttrHidden}[w.rng.IntN(3)])
		})
	case k == 5:
		w.begin("label")
		if err := w.scene.v.SetLabel([]string{"", "ONE", "TWO"}[w.rng.IntN(3)]); err != nil {
			w.scene.t.Fatal(err)
		}
	case k == 6 && f != nil && strings.Count(p, "/") < 2 && !w.isDir(q) && g == nil:
		w.swap(p, q)
	case k == 7:
		w.replaceDir(w.dirs[w.rng.IntN(len(w.dirs))], w.dirs[w.rng.IntN(len(w.dirs))])
	case k == 8 && f != nil:
		f.touched = true
		w.begin("overwrite and reserve %q", p)
		w.node(p, func(n *fat.Node) error {
			data := w.scene.Data(600)
			at := w.rng.IntN(len(f.data)+1) &^ 7 // where a record may begin
			_, err := n.WriteAt([]byte(data), int64(at))
			f.data = f.data[:at] + data + f.data[min(len(f.data), at+len(data)):]
			if err == nil && w.rng.IntN(2) == 0 {
				err = n.Allocate(0, int64(len(f.data))+3000, true)
			}
			return err
		})
	case k == 9 && f != nil || k == 10 && f != nil:
		w.respell(p)
	case k == 11 && w.rng.IntN(3) == 0:
		w.closeAll()
		w.sync()
		w.begin("defrag")
		if _, err := w.scene.v.Defrag(w.scene.t.Context(), fat.DefragOptions{Pack: w.rng.IntN(2) == 0}); err != nil {
			w.scene.t.Fatal(err)
		}
	case k == 12 && w.rng.IntN(2) == 0 && f != nil:
		w.fill(p, f)
	case k == 13:
		w.burst(w.dirs[w.rng.IntN(len(w.dirs))])
	case k == 15 && f != nil:
		w.begin("times of %q", p)
		w.node(p, func(n *fat.Node) error {
			at := time.Now().Add(time.Duration(w.rng.IntN(3)-2) * time.Hour)
			return n.SetTimes(nil, &at, nil)
		})
	case k == 16:
		w.respellDir(w.dirs[w.rng.IntN(len(w.dirs))])
	case k == 17:
		w.intoOneAnother(w.dirs[w.rng.IntN(len(w.dirs))], w.dirs[w.rng.IntN(len(w.dirs))])
	case k == 14 && f != nil:
		f.touched = true
		w.begin("resize %q up", p)
		w.node(p, func(n *fat.Node) error {
			err := n.Truncate(int64(len(f.data) / 2))
			f.data = f.data[:len(f.data)/2] + strings.Repeat("\x00", 2000)
			return errors.Join(err, n.Truncate(int64(len(f.data))))
		})
	}
}

func (w *world) grow(p string, f *worldFile, add func(data string)) {
	f.grown = true
	// A record begins at a multiple of its length.
	data := strings.Repeat("\x00", -len(f.data)&7) + w.scene.Data(1+w.rng.IntN(3000))
	w.begin("append %d to %q", len(data), p)
	add(data)
	f.data += data
}

func (w *world) closeOne() {
	if len(w.open) == 0 {
		return
	}
	i := w.rng.IntN(len(w.open))
	w.begin("close")
	w.open[i].h.Close()
	w.open = slices.Delete(w.open, i, i+1)
}

func (w *world) closeAll() {
	for len(w.open) > 0 {
		w.closeOne()
	}
}

// swap fills a new directory, and has it take the place of what is at p, which goes to q.
func (w *world) swap(p, q string) {
	dir := path.Dir(p)
	name := "filled anew"
	if dir != "." {
		name = path.Join(dir, name)
	}
	if w.isDir(name) || w.files[name] != nil || p == q {
		return
	}
	w.names["filled anew"] = true
	w.mkdir(name)
	for range 1 + w.rng.IntN(2) {
		there := slices.Sorted(maps.Keys(w.files))
		from := there[w.rng.IntN(len(there))]
		to := path.Join(name, path.Base(from))
		if from == p || from == to || strings.HasPrefix(from, name+"/") || w.spelled(to) != to {
			continue
		}
		w.rename(from, to)
	}
	if w.rng.IntN(3) > 0 {
		w.rename(p, q)
	} else {
		w.files[p].gone = true
		w.begin("unlink %q", p)
		w.scene.Unlink(p)
		delete(w.files, p)
	}
	if w.rng.IntN(4) == 0 {
		w.mkdir(p)
		w.replaceDir(name, p)
		return
	}
	w.move(name, p)
}

// replaceDir moves a directory over an empty one.
func (w *world) replaceDir(dir, over string) {
	inside := func(p string) bool { return strings.HasPrefix(p, over+"/") }
	if dir == "" || over == "" || dir == over || len(w.below(over)) > 0 || slices.ContainsFunc(w.dirs, inside) ||
		strings.HasPrefix(over, dir+"/") {
		return
	}
	w.dirs = slices.DeleteFunc(w.dirs, func(p string) bool { return p == over })
	w.move(dir, over)
}

// respell changes the case of a name.
func (w *world) respell(p string) {
	base := path.Base(p)
	if base[0] != 'n' && base[0] != 'N' && base != "A.TXT" && base != "a.txt" && base != "A.Txt" {
		return
	}
	var to string
	switch w.rng.IntN(3) {
	case 0:
		to = strings.ToUpper(base)
	case 1:
		to = strings.ToLower(base)
	default:
		if to = strings.ToUpper(base[:1]) + strings.ToLower(base[1:]); base[0] == 'A' || base[0] == 'a' {
			to = "A.Txt"
		}
	}
	if to == base {
		return
	}
	w.names[to] = true
	if dir := path.Dir(p); dir != "." {
		to = path.Join(dir, to)
	}
	w.rename(p, to)
}

// respellDir changes the case of a directory's name.
func (w *world) respellDir(dir string) {
	base := path.Base(dir)
	to := strings.ToUpper(base)
	if to == base {
		to = strings.ToLower(base)
	}
	if dir == "" || to == base {
		return
	}
	w.names[to] = true
	w.move(dir, path.Join(path.Dir(dir), to))
}

// intoOneAnother moves a directory into another one, and that one into where the first was.
func (w *world) intoOneAnother(a, b string) {
	if a == "" || b == "" || path.Dir(a) != "." || path.Dir(b) != "." || a == b {
		return
	}
	inside := path.Join(b, path.Base(a))
	if w.files[inside] != nil || w.spelled(inside) != inside || w.isDir(inside) {
		return
	}
	w.move(a, inside)
	w.move(inside, a)
	if to := path.Join(a, path.Base(b)); w.files[to] == nil && w.spelled(to) == to && !w.isDir(to) {
		w.move(b, to)
		if w.rng.IntN(2) == 0 {
			w.move(to, b)
		}
	}
}

// fill fills the volume, writes a file anew where it does not fit any more but by what is given up, and makes room again.
func (w *world) fill(p string, f *worldFile) {
	if w.files["BIG"] != nil || w.isDir("BIG") {
		return
	}
	v := w.scene.v
	st, err := v.Stat()
	if err != nil {
		w.scene.t.Fatal(err)
	}
	if st.Free < 5 {
		return
	}
	w.names["BIG"] = true
	w.begin("fill the volume")
	w.scene.Create("BIG", w.scene.Data(int(st.Free-2)*st.ClusterSize)).Close()
	f.touched = true
	w.begin("write %q anew", p)
	w.node(p, func(n *fat.Node) error {
		data := w.scene.Data(len(f.data))
		err := n.Truncate(0)
		k, _, _ := n.Append([]byte(data))
		f.data = data[:k]
		return err
	})
	w.begin("make room")
	w.scene.Unlink("BIG")
}

// burst has a directory get larger, and mostly smaller again.
func (w *world) burst(dir string) {
	if dir == "" {
		return
	}
	n := 3 + w.rng.IntN(12)
	var made []string
	for i := range n {
		p := path.Join(dir, "burst of names that are long "+string(rune('a'+i)))
		if w.files[p] != nil || w.isDir(p) || strings.Count(p, "/") > 2 {
			continue
		}
		w.names[path.Base(p)] = true
		f := &worldFile{data: w.scene.Data(w.rng.IntN(2) * 300), paths: map[string]bool{p: true}}
		w.begin("create %q", p)
		h, err := engineTree{w.scene.v}.Create(p)
		if errors.Is(err, fat.ErrNoSpace) {
			return
		}
		if err != nil {
			w.scene.t.Fatal(err)
		}
		if f.data != "" {
			if err := h.Append([]byte(f.data)); err != nil {
				w.scene.t.Fatal(err)
			}
		}
		_ = h.Close()
		w.files[p] = f
		w.known = append(w.known, f)
		made = append(made, p)
	}
	if w.rng.IntN(2) == 0 {
		w.sync()
	}
	for _, p := range made {
		if w.rng.IntN(8) == 0 {
			continue
		}
		w.files[p].gone = true
		w.begin("unlink %q", p)
		w.scene.Unlink(p)
		delete(w.files, p)
	}
}
