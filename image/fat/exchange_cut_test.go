package fat_test

import (
	"fmt"
	"testing"

	"fatvol/image/fat/fattest"
)

// TestExchangeOfDirectoriesCut: files and directories of different directories are exchanged. A repair leaves what each of the
// two was at one of the two places, and a third name at none.
func TestExchangeOfDirectoriesCut(t *testing.T) {
	const left, right = "here/left", "far away/right"
	for _, dirs := range [][2]bool{{true, true}, {true, false}, {false, true}} {
		t.Run(fmt.Sprintf("directories %v", dirs), func(t *testing.T) {
			for _, l := range cutLayouts[:2] {
				var data [2]string
				eachRepaired(t, l, 10, func(s *fattest.Scene) {
					s.Mkdir("here")
					s.Mkdir("far away")
					for i, path := range []string{left, right} {
						data[i] = s.Data(900)
						if dirs[i] {
							s.Mkdir(path)
							path += "/inside"
						}
						s.Create(path, data[i]).Close()
					}
					s.Sync()
					s.PromiseNothing(left)
					s.Exchange(left, right)
					s.Sync()
				}, func(r *fattest.Report) error {
					entries := 4
					for i, was := range []string{left, right} {
						below := ""
						if dirs[i] {
							below = "/inside"
							entries++
						}
						if !contains(r, data[i], left+below, right+below) {
							return fmt.Errorf("what was %q is at neither place, but there are%s", was, paths(r))
						}
					}
					if len(r.Files) != entries {
						return fmt.Errorf("there are%s", paths(r))
					}
					return nil
				})
			}
		})
	}
}

// TestExchangeWithEmptyCut: a file is exchanged with one that has no clusters, of which a repair could not see that it has two
// names. The other one keeps one of the two.
func TestExchangeWithEmptyCut(t *testing.T) {
	const full, empty = "full.bin", "far away/empty.bin"
	for _, swapped := range []bool{false, true} {
		t.Run(fmt.Sprintf("the empty one first %v", swapped), func(t *testing.T) {
			for _, l := range cutLayouts[:2] {
				data := ""
				eachRepaired(t, l, 20, func(s *fattest.Scene) {
					data = s.Data(900)
					s.Create(full, data).Close()
					s.Mkdir("far away")
					for i := range 20 {
						s.Create(fmt.Sprintf("far away/one of many files %d", i), "").Close()
					}
					s.Create(empty, "").Close()
					s.Sync()
					s.PromiseNothing(full)
					if swapped {
						s.Exchange(empty, full)
					} else {
						s.Exchange(full, empty)
					}
					s.Sync()
				}, func(r *fattest.Report) error {
					if !contains(r, data, full, empty) {
						return fmt.Errorf("the file is at neither place, but there are%s", paths(r))
					}
					if r.Find(full) == nil || r.Find(empty) == nil {
						return fmt.Errorf("one of the two names is gone, there are%s", paths(r))
					}
					return nil
				})
			}
		})
	}
}
