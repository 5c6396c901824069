package fat_test

import (
	"fmt"
	"testing"

	"fatvol/image/fat/fattest"
)

// TestRenameNewDirectoryCut: a file or a directory is renamed into a new directory, and that to a name which another one has
// left: as a directory is filled anew beside the old one, and put in its place. Where the new one is not there yet, what was
// renamed into it has its old name.
func TestRenameNewDirectoryCut(t *testing.T) {
	for what, c := range map[string]struct {
		work func(s *fattest.Scene)
		via  string // where report.txt is before the directory is renamed
		at   string // and at last
	}{
		"to a name that came back": {func(s *fattest.Scene) {
			s.Mkdir("new")
			s.Rename("report.txt", "new/report.txt")
			s.Rename("current", "former")
			s.Rename("new", "current")
		}, "new/report.txt", "current/report.txt"},
		"with a directory below": {func(s *fattest.Scene) {
			s.Mkdir("new")
			s.Mkdir("new/below")
			s.Rename("report.txt", "new/below/report.txt")
			s.Rename("current", "former")
			s.Rename("new", "current")
		}, "new/below/report.txt", "current/below/report.txt"},
		"into a directory that came back": {func(s *fattest.Scene) {
			s.Mkdir("new")
			s.Rename("report.txt", "new/report.txt")
			s.Rename("current", "former")
			s.Mkdir("current")
			s.Rename("new", "current/new")
		}, "new/report.txt", "current/new/report.txt"},
		"over a directory that came back": {func(s *fattest.Scene) {
			s.Mkdir("new")
			s.Rename("report.txt", "new/report.txt")
			s.Rename("current", "former")
			s.Mkdir("current")
			s.Rename("new", "current")
		}, "new/report.txt", "current/report.txt"},
	} {
		t.Run(what, func(t *testing.T) {
			for _, l := range cutLayouts[:2] {
				data := ""
				eachRepaired(t, l, 20, func(s *fattest.Scene) {
					data = s.Data(900)
					s.Create("report.txt", data).Close()
					for i := range 20 { // so that the names lie in different atoms
						s.Create(fmt.Sprintf("F%d", i), "").Close()
					}
					s.Mkdir("current")
					s.Sync()
					s.PromiseNothing("report.txt")
					c.work(s)
					s.Sync()
				}, func(r *fattest.Report) error {
					if !contains(r, data, "report.txt", c.via, c.at) {
						return fmt.Errorf("it is at none of its places, but there are%s", paths(r))
					}
					return nil
				})
			}
		})
	}
}
