package fat_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

var cutLayouts = []fattest.Layout{{Width: 12, Clusters: 900}, {Width: 16, Clusters: 4200}, {Width: 32, Clusters: 65600}}

// TestRenameOverAndUnlinkCut: a new file that was renamed over a name of the medium and removed in one epoch shows there for
// some phases of the commit. Its clusters are nobody else's meanwhile.
func TestRenameOverAndUnlinkCut(t *testing.T) {
	for _, l := range cutLayouts {
		for _, reuse := range []bool{false, true} {
			t.Run(fmt.Sprintf("FAT%d, used again %v", l.Width, reuse), func(t *testing.T) {
				cutScene(t, l, shared(func(s *fattest.Scene) {
					s.Create("state.db", s.Data(3000)).Close()
					s.Sync()
					s.Create("state.tmp", s.Data(3000)).Close()
					s.Rename("state.tmp", "state.db")
					s.Unlink("state.db")
					if reuse {
						s.Create("other.txt", s.Data(5000)).Close()
					}
					s.Sync()
				}))
			})
		}
	}
}

// TestShrinkAndExchangeCut: one of two files in different directories gets shorter, before or after they are exchanged, in
// the same epoch. The third name shows the size from before, so its chain is not cut in the phase that takes the name away.
func TestShrinkAndExchangeCut(t *testing.T) {
	const left, right = "left.bin", "far away/right.bin"
	for _, l := range cutLayouts {
		for _, before := range []bool{false, true} {
			t.Run(fmt.Sprintf("FAT%d, shorter before %v", l.Width, before), func(t *testing.T) {
				cutScene(t, l, shared(func(s *fattest.Scene) {
					s.Mkdir("far away")
					for i := range 30 {
						s.Create(fmt.Sprintf("far away/filler %d", i), "").Close()
					}
					s.Create(left, s.Data(9000)).Close()
					s.Create(right, s.Data(2000)).Close()
					s.Sync()
					shrink := func(path string) {
						f := s.Open(path)
						f.Truncate(700)
						f.Close()
					}
					if before {
						shrink(left)
					}
					s.Exchange(left, right)
					if !before {
						shrink(right)
					}
					s.Sync()
				}))
			})
		}
	}
}

// eachRepaired repairs what each cut of a workload leaves, in so many samples, from what was promised last on, and has look
// look at that. The first sample is repaired by a mount that is cut itself, and by a check as well.
func eachRepaired(t *testing.T, l fattest.Layout, samples int, work func(s *fattest.Scene), look func(r *fattest.Report) error) {
	t.Helper()
	c, base := recordScene(t, l, shared(work))
	from := 0
	for _, p := range c.Promises {
		from = max(from, p.From)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	one := func(m *device.Mem, repair func(m *device.Mem) error) error {
		before, err := fattest.Check(m)
		if err == nil {
			err = before.DamageErr()
		}
		if err != nil {
			return err
		}
		if err := repair(m); err != nil {
			return err
		}
		r, err := fattest.Check(m)
		if err == nil {
			err = r.Err()
		}
		if err == nil {
			err = look(r)
		}
		if err != nil {
			return fmt.Errorf("%w; before that:%s", err, paths(before))
		}
		return nil
	}
	byMount := func(m *device.Mem) error {
		_, err := repaired(m, fat.Options{})
		return err
	}
	byCheck := func(m *device.Mem) error {
		_, err := fat.Check(m, fat.CheckOptions{Repair: true})
		return err
	}
	again := func(m *device.Mem) error { // cuts the repair, and repairs what that leaves
		was := m.Clone()
		rec := faultdev.NewRecorder(m)
		if _, err := repaired(rec, fat.Options{}); err != nil {
			return err
		}
		return faultdev.EachCut(was, rec.Log(), func(x *faultdev.Cut) error {
			if err := one(x.InOrder(), byMount); err != nil {
				return fmt.Errorf("its repair cut after %d of %d: %w", x.At, rec.Len(), err)
			}
			return nil
		})
	}
	err := faultdev.EachCut(base, c.rec.Log(), func(x *faultdev.Cut) error {
		for k := 0; x.At >= from && lookedAt(x.At) && k < samples; k++ {
			m := x.InOrder()
			var err error
			if k > 0 {
				m, err = x.Scattered(rng)
			} else if err = one(m.Clone(), byCheck); err != nil {
				err = fmt.Errorf("checked: %w", err)
			} else {
				err = again(m.Clone())
			}
			if err == nil {
				err = one(m, byMount)
			}
			if err != nil {
				return fmt.Errorf("cut after %d of %d, %d: %w", x.At, c.rec.Len(), k, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("FAT%d: %v", l.Width, err)
	}
}

// paths are those of the files, with their sizes.
func paths(r *fattest.Report) (s string) {
	for _, f := range r.Files {
		s += fmt.Sprintf(" %q (%d)", f.Path, f.Size)
	}
	return s
}

// TestRenameOverAndOnCut: a new file is renamed over an existing name, and then to another. A repair finds out which of two
// names is the newer.
func TestRenameOverAndOnCut(t *testing.T) {
	for _, l := range cutLayouts[:2] {
		eachRepaired(t, l, 80, func(s *fattest.Scene) {
			for i := range 16 {
				s.Create(fmt.Sprintf("F%d", i), "").Close()
			}
			s.Create("report.txt", s.Data(3000)).Close()
			s.Mkdir("archive")
			s.Sync()
			s.PromiseNothing("report.txt")
			s.Create("report.tmp", s.Data(3000)).Close()
			s.Rename("report.tmp", "report.txt")
			s.Rename("report.txt", "archive/report.txt")
			s.Sync()
		}, func(*fattest.Report) error { return nil })
	}
}

// TestExchangeBesideChangesCut: an exchange, and a rename in the same directory, or new contents of one of the two before. Whose the
// third name is, a repair finds out.
func TestExchangeBesideChangesCut(t *testing.T) {
	const left, right = "left.bin", "right.bin"
	exchange := func(s *fattest.Scene) { s.Exchange(left, right) }
	rename := func(s *fattest.Scene) { s.Rename("draft.txt", "final.txt") }
	rewrite := func(path string) func(s *fattest.Scene) {
		return func(s *fattest.Scene) {
			f := s.Open(path)
			f.Truncate(0)
			f.Append(s.Data(1200))
			f.Close()
		}
	}
	for what, c := range map[string]struct {
		steps []func(s *fattest.Scene)
		lost  string // which of the two is written anew
	}{
		"rename after it":         {[]func(*fattest.Scene){exchange, rename}, ""},
		"rename before it":        {[]func(*fattest.Scene){rename, exchange}, ""},
		"left written before it":  {[]func(*fattest.Scene){rewrite(left), exchange}, left},
		"right written before it": {[]func(*fattest.Scene){rewrite(right), exchange}, right},
		"left written after it":   {[]func(*fattest.Scene){exchange, rewrite(right)}, left},
		"right written after it":  {[]func(*fattest.Scene){exchange, rewrite(left)}, right},
	} {
		t.Run(what, func(t *testing.T) {
			samples := 20
			if c.lost == "" {
				samples = 80 // few cuts show what goes wrong beside a rename
			}
			for _, l := range cutLayouts[:2] {
				data := map[string]string{}
				eachRepaired(t, l, samples, func(s *fattest.Scene) {
					data = map[string]string{left: s.Data(900), right: s.Data(1500), "draft.txt": s.Data(2000)}
					s.Create(left, data[left]).Close()
					for i := range 16 { // so that the names lie in different atoms
						s.Create(fmt.Sprintf("F%d", i), "").Close()
					}
					s.Create(right, data[right]).Close()
					s.Create("draft.txt", data["draft.txt"]).Close()
					s.Sync()
					s.PromiseNothing(left)
					for _, step := range c.steps {
						step(s)
					}
					s.Sync()
				}, func(r *fattest.Report) error {
					for _, want := range []struct{ name, other string }{{left, right}, {right, left}, {"draft.txt", "final.txt"}} {
						if want.name != c.lost && !contains(r, data[want.name], want.name, want.other) {
							return fmt.Errorf("what was %q is neither that nor %q, but there are%s", want.name, want.other, paths(r))
						}
					}
					return nil
				})
			}
		})
	}
}

// contains reports whether one of the paths is a file with the contents.
func contains(r *fattest.Report, data string, paths ...string) bool {
	for _, p := range paths {
		if f := r.Find(p); f != nil {
			if got, err := f.Contents(); err == nil && string(got) == data {
				return true
			}
		}
	}
	return false
}

// TestRenameIntoHoleCut: a file is renamed to a name whose slots another name had for a moment, in two atoms or one. The new
// name is not seen without its long name, as a repair would take the old one away then.
func TestRenameIntoHoleCut(t *testing.T) {
	const old, new, passing = "The old name of a document that is long.text", "The new name of a document that is long.text",
		"A temporary file, of a name as long.tmp~~~~~~" // as many slots
	for fill := range 20 { // where in an atom the slots are
		eachRepaired(t, cutLayouts[1], 8, func(s *fattest.Scene) {
			s.Create(old, s.Data(900)).Close()
			for i := range fill {
				s.Create(fmt.Sprintf("F%d", i), "").Close()
			}
			s.Sync()
			s.PromiseNothing(old)
			s.Create(passing, "").Close()
			s.Create("another.txt", "").Close()
			s.Unlink(passing)
			s.Rename(old, new)
			s.Sync()
		}, func(r *fattest.Report) error {
			if r.Find(old) == nil && r.Find(new) == nil {
				return fmt.Errorf("neither name is there, but%s", paths(r))
			}
			return nil
		})
	}
}

// TestNameLikeAnExchange: a name that only looks like the third one of an exchange is a name like any other.
func TestNameLikeAnExchange(t *testing.T) {
	for _, like := range []string{"XCHGRATE.TMP", "XCHG0000.TMP", "xchg0000.tmp"} {
		nameLikeAnExchange(t, like)
	}
}

func nameLikeAnExchange(t *testing.T, like string) {
	c, base := recordScene(t, cutLayouts[1], func(c *scene) {
		c.Create("twice.txt", c.Data(900)).Close()
		c.Create(like, c.Data(700)).Close()
	})
	if err := c.rec.Replay(base, c.rec.Len()); err != nil {
		t.Fatal(err)
	}
	e := fattest.NewEditor(t, base)
	double(e)
	e.MarkDirty()
	if _, err := repaired(base, fat.Options{}); err != nil {
		t.Fatal(err)
	}
	if r := e.Report(); r.Find(like) == nil || r.Find("OLDER.TXT") != nil {
		t.Errorf("there are%s", paths(r))
	}
}

// TestRenameIntoNewDirectoryCut: a file is renamed into a directory that is new, or in one that is, and has a name that another
// file has left. Where the directory is not there yet, the file's old name is.
func TestRenameIntoNewDirectoryCut(t *testing.T) {
	for _, below := range []string{"", "/below"} {
		for _, over := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, over another %v", below, over), func(t *testing.T) {
				for _, l := range cutLayouts[:2] {
					data, to := "", "DRAFT"+below+"/report.txt"
					eachRepaired(t, l, 20, func(s *fattest.Scene) {
						data = s.Data(900)
						s.Create("report.txt", data).Close()
						for i := range 20 { // so that the names lie in different atoms
							s.Create(fmt.Sprintf("F%d", i), "").Close()
						}
						s.Create("DRAFT", "").Close()
						s.Sync()
						s.PromiseNothing("report.txt")
						s.Rename("DRAFT", "OTHER")
						s.Mkdir("DRAFT")
						if below != "" {
							s.Mkdir("DRAFT" + below)
						}
						if over {
							s.Create(to, "").Close()
						}
						s.Rename("report.txt", to)
						s.Sync()
					}, func(r *fattest.Report) error {
						if !contains(r, data, "report.txt", to) {
							return fmt.Errorf("it is at neither place, but there are%s", paths(r))
						}
						return nil
					})
				}
			})
		}
	}
}

// TestRenameOutOfRemovedDirectoryCut: the last file is renamed out of a directory, which is removed, or replaced by another one.
// As long as the file's new name is not there, the directory is.
func TestRenameOutOfRemovedDirectoryCut(t *testing.T) {
	const old = "dir/report.txt"
	for _, back := range []bool{false, true} { // whether the new name is one that came back
		for _, replaced := range []bool{false, true} {
			t.Run(fmt.Sprintf("a name that came back %v, replaced %v", back, replaced), func(t *testing.T) {
				for _, l := range cutLayouts[:2] {
					data := ""
					eachRepaired(t, l, 20, func(s *fattest.Scene) {
						data = s.Data(900)
						s.Mkdir("dir")
						s.Create(old, data).Close()
						s.Mkdir("another")
						for i := range 20 { // so that the names lie in different atoms
							s.Create(fmt.Sprintf("F%d", i), "").Close()
						}
						if back {
							s.Create("report.txt", "").Close()
						}
						s.Sync()
						s.PromiseNothing(old)
						if back {
							s.Rename("report.txt", "former.txt")
						}
						s.Rename(old, "report.txt")
						if replaced {
							s.Rename("another", "dir")
						} else {
							s.Rmdir("dir")
						}
						s.Sync()
					}, func(r *fattest.Report) error {
						if !contains(r, data, old, "report.txt") {
							return fmt.Errorf("it is at neither place, but there are%s", paths(r))
						}
						return nil
					})
				}
			})
		}
	}
}
