package fat_test

import (
	"testing"
	"time"

	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// spaceLayout is that of the volumes that get full here. Its clusters have 512 bytes.
var spaceLayout = fattest.Layout{Width: 16, Clusters: 4200, ClusterSize: spaceCluster}

const spaceCluster = 512

// create makes an empty file.
func create(t *testing.T, v *fat.Volume, dir *fat.Node, name string) *fat.Node {
	t.Helper()
	n, err := v.Create(dir, name, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fill makes a file that leaves so many clusters free.
func fill(t *testing.T, v *fat.Volume, name string, free uint32) *fat.Node {
	t.Helper()
	n := create(t, v, v.Root(), name)
	st, err := v.Stat()
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, (st.Free-free)*spaceCluster)
	if done, err := n.WriteAt(p, 0); done < len(p) {
		t.Fatal(done, err)
	}
	return n
}

// TestSpaceAtOnce: what a file that was truncated has given up can be written to at once, also where the commit that comes
// first does not shorten it.
func TestSpaceAtOnce(t *testing.T) {
	for what, before := range map[string]func(t *testing.T, v *fat.Volume, fd *faultdev.Device, far *fat.Node){
		"nothing else": func(*testing.T, *fat.Volume, *faultdev.Device, *fat.Node) {},
		"a commit that failed": func(t *testing.T, v *fat.Volume, fd *faultdev.Device, far *fat.Node) {
			create(t, v, far, "new").Release(1)
			fd.Inject(faultdev.FailAt(3, nil))
			if v.Sync() == nil {
				t.Fatal("it did not fail")
			}
			fd.Heal()
		},
		"an exchange": func(t *testing.T, v *fat.Volume, _ *faultdev.Device, far *fat.Node) {
			if err := v.Rename(far, "a", v.Root(), "b", fat.RenameExchange); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			mem := fattest.Formatted(t, spaceLayout)
			fd := faultdev.New(mem)
			v, err := fat.Open(fd, fat.Options{CommitDelay: -time.Second})
			if err != nil {
				t.Fatal(err)
			}
			far, err := v.Mkdir(v.Root(), "far", 0)
			if err != nil {
				t.Fatal(err)
			}
			for dir, name := range map[*fat.Node]string{far: "a", v.Root(): "b"} {
				n := create(t, v, dir, name)
				if _, err := n.WriteAt([]byte(name), 0); err != nil {
					t.Fatal(err)
				}
				n.Release(1)
			}
			more := create(t, v, v.Root(), "more")
			big := fill(t, v, "big", 4)
			if err := v.Sync(); err != nil {
				t.Fatal(err)
			}
			before(t, v, fd, far)
			if err := big.Truncate(1000); err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 100*spaceCluster)
			if done, err := more.WriteAt(p, 0); done < len(p) {
				t.Errorf("%d of %d bytes are written: %v", done, len(p), err)
			}
			for _, n := range []*fat.Node{far, more, big} {
				n.Release(1)
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			check(t, mem)
		})
	}
}

// TestFillLastCluster: a write of which only the rest of the last cluster fits keeps no page of the FAT in memory.
func TestFillLastCluster(t *testing.T) {
	v, _ := open(t, spaceLayout, fat.Options{CommitDelay: -time.Second})
	n := create(t, v, v.Root(), "file")
	defer n.Release(1)
	if _, err := n.WriteAt([]byte("begun"), 0); err != nil {
		t.Fatal(err)
	}
	fill(t, v, "big", 0).Release(1)
	if done, err := n.WriteAt(make([]byte, 2*spaceCluster), 5); done != spaceCluster-5 || err != nil {
		t.Errorf("%d bytes are written (%v), expected %d", done, err, spaceCluster-5)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	if pins := v.PinnedFAT(); pins != 0 {
		t.Errorf("%d pages of the FAT are pinned when all is written", pins)
	}
}
