package mkfat

import (
	"archive/tar"
	"bytes"
	"testing"
)

// TestTarLinksThroughLinks: links are followed through links to directories on their way, up from where those lead,
// and under each name that they have.
func TestTarLinksThroughLinks(t *testing.T) {
	data := archive(t,
		tar.Header{Name: "current", Linkname: "versions/2", Typeflag: tar.TypeSymlink},
		tar.Header{Name: "readme", Linkname: "current/readme", Typeflag: tar.TypeSymlink},
		tar.Header{Name: "old", Linkname: "current/../1/./readme", Typeflag: tar.TypeSymlink},
		tar.Header{Name: "second name", Linkname: "readme", Typeflag: tar.TypeLink},
		tar.Header{Name: "versions/1/readme", Size: 1, Typeflag: tar.TypeReg},
		tar.Header{Name: "versions/2/readme", Size: 2, Typeflag: tar.TypeReg},
		tar.Header{Name: "out", Linkname: "current/../../../readme", Typeflag: tar.TypeSymlink},
		tar.Header{Name: "through a file", Linkname: "readme/x", Typeflag: tar.TypeSymlink},
		tar.Header{Name: "round", Linkname: "round/x", Typeflag: tar.TypeSymlink})
	spool := NewSpool(t.TempDir())
	defer spool.Close()
	root, err := ScanTar(bytes.NewReader(data), spool, ScanOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	p, _, r := build(t, root, Options{Size: 16 << 20, Skip: true})
	for name, size := range map[string]int64{"current/readme": 2, "readme": 2, "old": 1, "second name": 2} {
		if f := r.Find(name); f == nil || f.Size != size {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if len(p.Skipped) != 3 {
		t.Errorf("left out: %v", p.Skipped)
	}
}
