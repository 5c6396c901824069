package fat_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestRespellEmptyCut: an empty file is spelled anew in other slots, where both spellings are there for a while. A repair leaves
// one of them.
func TestRespellEmptyCut(t *testing.T) {
	const old, new = "REPORT.TXT", "Report.txt"
	for _, l := range cutLayouts[:2] {
		eachRepaired(t, l, 20, func(s *fattest.Scene) {
			s.Mkdir("dir")
			s.Create("dir/"+old, "").Close()
			for i := range 20 { // so that the names lie in different atoms
				s.Create(fmt.Sprintf("dir/F%d", i), "").Close()
			}
			s.Sync()
			s.PromiseNothing("dir/" + old)
			s.Rename("dir/"+old, "dir/"+new)
			s.Sync()
		}, func(r *fattest.Report) error {
			if (r.Find("dir/"+old) == nil) == (r.Find("dir/"+new) == nil) || len(r.Files) != 22 {
				return fmt.Errorf("there are%s", paths(r))
			}
			return nil
		})
	}
}

// TestExchangeOfEmptyCut: two files without contents are exchanged. A repair leaves two.
func TestExchangeOfEmptyCut(t *testing.T) {
	for _, l := range cutLayouts[:2] {
		eachRepaired(t, l, 20, func(s *fattest.Scene) {
			s.Create("left.bin", "").Close()
			for i := range 20 { // so that the names lie in different atoms
				s.Create(fmt.Sprintf("F%d", i), "").Close()
			}
			s.Create("right.bin", "").Close()
			s.Sync()
			s.PromiseNothing("left.bin")
			s.Exchange("left.bin", "right.bin")
			s.Sync()
		}, func(r *fattest.Report) error {
			if r.Find("left.bin") == nil || r.Find("right.bin") == nil || len(r.Files) != 22 {
				return fmt.Errorf("there are%s", paths(r))
			}
			return nil
		})
	}
}

// TestEmptyNamesApart: empty files that no rename has left are left alone: of another name, or of one in another directory, and those
// of one name that another system has made.
func TestEmptyNamesApart(t *testing.T) {
	c, base := recordScene(t, cutLayouts[1], func(c *scene) {
		c.Mkdir("dir")
		for _, p := range []string{"first.txt", "second.txt", "dir/first.txt", "FOURTH.TXT"} {
			c.Create(p, "").Close()
		}
	})
	if err := c.rec.Replay(base, c.rec.Len()); err != nil {
		t.Fatal(err)
	}
	e := fattest.NewEditor(t, base)
	s := e.Slot("first.txt")
	s[12] += 0x40
	e.SetSlot("first.txt", s)
	e.Write(e.Slot("FOURTH.TXT"), e.FreeSlot())
	e.MarkDirty()
	if _, err := repaired(base, fat.Options{}); err != nil {
		t.Fatal(err)
	}
	if r := e.Report(); len(r.Files) != 6 {
		t.Errorf("there are%s", paths(r))
	}
}

// TestRespellEmptyCutInUse: the same, while somebody has one of the two open, and writes to it then.
func TestRespellEmptyCutInUse(t *testing.T) {
	const old, new = "REPORT.TXT", "Report.txt"
	c, base := recordScene(t, cutLayouts[1], func(c *scene) {
		c.Create(old, "").Close()
		for i := range 20 {
			c.Create(fmt.Sprintf("F%d", i), "").Close()
		}
		c.Sync()
		c.Rename(old, new)
		c.Sync()
	})
	seen := 0
	err := faultdev.EachCut(base, c.rec.Log(), func(x *faultdev.Cut) error {
		m := x.InOrder()
		e := fattest.NewEditor(t, m)
		if r := e.Report(); r.Find(old) == nil || r.Find(new) == nil {
			return nil
		}
		seen++
		v, err := fat.Open(slow{m}, fat.Options{CommitDelay: -time.Second, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		s := fattest.NewScene(t, engineTree{v}, func() int { return 0 }, 1)
		f := s.Open(new)
		<-v.Repaired()
		f.Append("what is written to it")
		f.Close()
		if err := v.Close(); err != nil {
			return err
		}
		check(t, m)
		if r := e.Report(); !contains(r, "what is written to it", new) || r.Find(old) != nil {
			t.Errorf("there are%s", paths(r))
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Errorf("%d cuts left two names: %v", seen, err)
	}
}
