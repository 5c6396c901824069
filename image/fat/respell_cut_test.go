package fat_test

import (
	"fmt"
	"testing"

	"fatvol/image/fat/fattest"
)

// TestRespellBesideContentsCut: a file gets new contents and a name that differs from the old one by case, in other slots. The
// two spellings never lead to different contents.
func TestRespellBesideContentsCut(t *testing.T) {
	const old, new = "REPORT.TXT", "Report.txt"
	rewrite := func(s *fattest.Scene, path string) {
		f := s.Open(path)
		f.Truncate(0)
		f.Append(s.Data(1200))
		f.Close()
	}
	for what, c := range map[string]struct {
		size int // at first
		work func(s *fattest.Scene)
	}{
		"written anew before": {700, func(s *fattest.Scene) { rewrite(s, old); s.Rename(old, new) }},
		"written anew after":  {700, func(s *fattest.Scene) { s.Rename(old, new); rewrite(s, new) }},
		"emptied before":      {700, func(s *fattest.Scene) { s.Open(old).Truncate(0); s.Rename(old, new) }},
		"emptied after":       {700, func(s *fattest.Scene) { s.Rename(old, new); s.Open(new).Truncate(0) }},
		"filled before":       {0, func(s *fattest.Scene) { s.Open(old).Append(s.Data(700)); s.Rename(old, new) }},
		"filled after":        {0, func(s *fattest.Scene) { s.Rename(old, new); s.Open(new).Append(s.Data(700)) }},
	} {
		t.Run(what, func(t *testing.T) {
			for _, l := range cutLayouts[:2] {
				cutScene(t, l, shared(func(s *fattest.Scene) {
					s.Create(old, s.Data(c.size)).Close()
					for i := range 20 { // so that the names lie in different atoms
						s.Create(fmt.Sprintf("F%d", i), "").Close()
					}
					s.Sync()
					c.work(s)
					s.Sync()
				}))
			}
		})
	}
}
