package fat_test

import (
	"fmt"
	"testing"
	"time"

	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestDefragBeforeChainsAreCut: a file in pieces got shorter, and has not been cut yet since it was exchanged with another.
func TestDefragBeforeChainsAreCut(t *testing.T) {
	for _, pack := range []bool{false, true} {
		v, _ := open(t, fattest.Layout{Width: 16, Clusters: 4200}, fat.Options{CommitDelay: -time.Second})
		s := fattest.NewScene(t, engineTree{v}, func() int { return 0 }, 1)
		s.Mkdir("far away")
		for i := range 20 {
			s.Create(fmt.Sprintf("far away/filler %d", i), "").Close()
		}
		s.Create("left.bin", s.Data(900)).Close()
		s.Create("far away/right.bin", s.Data(900)).Close()
		s.Sync()
		for i := range 6 { // in pieces
			for _, p := range []string{"left.bin", "far away/right.bin"} {
				f := s.Open(p)
				f.Append(s.Data(3000))
				f.Close()
				s.Create(fmt.Sprintf("between %d%c", i, p[0]), s.Data(1500)).Close()
				s.Sync()
			}
		}
		f := s.Open("left.bin")
		f.Truncate(8000)
		f.Close()
		s.Exchange("left.bin", "far away/right.bin")
		s.Sync()
		if _, err := v.Defrag(t.Context(), fat.DefragOptions{Pack: pack}); err != nil {
			t.Errorf("pack %v: %v", pack, err)
		}
	}
}
