package fs

import (
	"sync"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

func TestTable(t *testing.T) {
	var tab table[string]
	if _, ok := tab.get(7); ok {
		t.Error("something in an empty table")
	}
	tab.put(7, "a")
	tab.put(7+tableShards, "b")
	if v, ok := tab.get(7); !ok || v != "a" {
		t.Errorf("%q %v", v, ok)
	}
	if n := len(tab.all()); n != 2 {
		t.Errorf("%d in the table, want 2", n)
	}
	if v, ok := tab.take(7); !ok || v != "a" {
		t.Errorf("%q %v", v, ok)
	}
	if _, ok := tab.take(7); ok {
		t.Error("taken twice")
	}
	if v, ok := tab.get(7 + tableShards); !ok || v != "b" {
		t.Errorf("%q %v", v, ok)
	}
}

// newVolume opens a volume in memory without mounting it.
func newVolume(t testing.TB) *fat.Volume {
	t.Helper()
	vol, err := fat.Open(newDevice(t, 4<<20, "-F", "12"), fat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vol.Close() })
	return vol
}

// The engine forgets a node when the kernel has given back as many references as it got, in whatever
// portions, and then a lookup makes a new one.
func TestNodeTableCounts(t *testing.T) {
	vol := newVolume(t)
	n, err := vol.Create(vol.Root(), "file", 0)
	must(t, err)
	must(t, vol.Sync())
	var nt nodeTable
	nt.t.put(fuse.FUSE_ROOT_ID, &node{Node: vol.Root()})
	id := n.ID()
	kn := nt.remember(n)
	for range 4 {
		again, _, err := vol.Lookup(vol.Root(), "FILE")
		must(t, err)
		if nt.remember(again) != kn {
			t.Fatal("two nodes for one file")
		}
	}
	for i, count := range []uint64{2, 1, 1} {
		nt.forget(id, count)
		if _, ok := nt.get(id); !ok {
			t.Fatalf("forgotten after %d portions", i+1)
		}
	}
	nt.forget(id, 1)
	if _, ok := nt.get(id); ok {
		t.Fatal("still there after the last reference")
	}
	nt.forget(id, 1) // no harm
	again, _, err := vol.Lookup(vol.Root(), "file")
	must(t, err)
	defer again.Release(1)
	if again.ID() == id {
		t.Errorf("node %d lives on: a reference was not given back", id)
	}
}

func TestNodeTableRoot(t *testing.T) {
	vol := newVolume(t)
	var nt nodeTable
	nt.t.put(fuse.FUSE_ROOT_ID, &node{Node: vol.Root()})
	nt.forget(fuse.FUSE_ROOT_ID, 1<<60)
	if _, ok := nt.get(fuse.FUSE_ROOT_ID); !ok {
		t.Error("the root was forgotten")
	}
}

func TestNodeTableKeep(t *testing.T) {
	vol := newVolume(t)
	nt := nodeTable{keep: true}
	n, err := vol.Create(vol.Root(), "file", 0)
	must(t, err)
	nt.remember(n)
	nt.forget(n.ID(), 1)
	if _, ok := nt.get(n.ID()); !ok {
		t.Error("forgotten, though file handles may still name it")
	}
	nt.clear()
	if len(nt.t.all()) != 0 {
		t.Error("nodes left after clear")
	}
}

func TestNodeTableConcurrent(t *testing.T) {
	vol := newVolume(t)
	n, err := vol.Create(vol.Root(), "file", 0)
	must(t, err)
	n.Release(1)
	must(t, vol.Sync())
	var nt nodeTable
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				n, _, err := vol.Lookup(vol.Root(), "file")
				if err != nil {
					t.Error(err)
					return
				}
				id := n.ID()
				nt.remember(n)
				if _, ok := nt.get(id); !ok {
					t.Error("a node that is in use is not in the table")
				}
				nt.forget(id, 1)
			}
		})
	}
	wg.Wait()
	if left := nt.t.all(); len(left) != 0 {
		t.Errorf("%d nodes left", len(left))
	}
}

// TestOpenFirst: what the kernel answers for without asking is invalidated before what it has to open.
func TestOpenFirst(t *testing.T) {
	var nt nodeTable
	for id := range uint64(100) {
		n := new(node)
		if id%3 == 0 {
			n.opens.Store(1)
		}
		nt.t.put(id+2, n)
	}
	nodes := nt.openFirst()
	if len(nodes) != 100 {
		t.Fatalf("%d nodes, want 100", len(nodes))
	}
	for i, n := range nodes {
		if open := n.opens.Load() > 0; open != (i < 34) {
			t.Errorf("node %d of 34 open ones and 66 others is open: %v", i, open)
		}
	}
}
