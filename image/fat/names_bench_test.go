package fat

import (
	"fmt"
	"testing"
)

var benchNames = map[string]string{
	"ascii": "A rather ordinary name of a file.jpeg", "latin": "Überlänge für Größenwahn.jpeg", "cjk": "日本語のファイル名前.jpeg",
	"nfd": "Uberla\u0308nge fu\u0308r Gro\u0308ße.jpeg", "escaped": "a:002fb:003ac.jpeg",
}

func BenchmarkFold(b *testing.B) {
	n := newNames(b, NameOptions{})
	for kind, name := range benchNames {
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n.Fold(name)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	n := newNames(b, NameOptions{})
	for kind, name := range benchNames {
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := n.Parse(name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkShowLong(b *testing.B) {
	n := newNames(b, NameOptions{})
	for kind, name := range benchNames {
		u := units(name)
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n.ShowLong(u)
			}
		})
	}
}

func BenchmarkShowShort(b *testing.B) {
	n := newNames(b, NameOptions{})
	s := short("README  TXT")
	b.ReportAllocs()
	for b.Loop() {
		n.ShowShort(s, 0x18)
	}
}

// BenchmarkAlias creates names that begin alike in a directory that has some already: the cost must
// not grow with their number.
func BenchmarkAlias(b *testing.B) {
	n := newNames(b, NameOptions{})
	for _, have := range []int{500, 30000} {
		taken := make(map[[11]byte]bool)
		names := make([]Name, have)
		for i := range names {
			names[i] = Name{Units: units(fmt.Sprintf("names that begin alike %06d", i))}
			s, _ := n.Alias(names[i], func(s [11]byte) bool { return taken[s] })
			taken[s] = true
		}
		b.Run(fmt.Sprint(have), func(b *testing.B) {
			i := 0
			for b.Loop() {
				n.Alias(names[i%have], func(s [11]byte) bool { return taken[s] })
				i++
			}
		})
	}
}
