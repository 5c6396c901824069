package fs

import (
	"os"
	"testing"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// A gatedDevice holds back reads of a cluster until the gate is closed.
type gatedDevice struct {
	device.Device
	off, n int64
	gate   chan struct{}
}

func (d *gatedDevice) ReadAt(p []byte, off int64) (int, error) {
	if off < d.off+d.n && d.off < off+int64(len(p)) {
		<-d.gate
	}
	return d.Device.ReadAt(p, off)
}

// TestRepairedNames: the repair in the background takes the older of two names of a file away. Whoever had looked at that name
// is not led to the file by it: what is written there would overwrite it.
func TestRepairedNames(t *testing.T) {
	mem := newDevice(t, 32<<20, "-F", "16")
	vol, err := fat.Open(mem, fat.Options{})
	must(t, err)
	n, err := vol.Create(vol.Root(), "keep.txt", 0)
	must(t, err)
	_, err = n.WriteAt([]byte("precious"), 0)
	must(t, err)
	n.Release(1)
	dir, err := vol.Mkdir(vol.Root(), "directory", 0)
	must(t, err)
	dir.Release(1)
	g := vol.Geometry()
	must(t, vol.Close())
	e := fattest.NewEditor(t, mem)
	e.Double("keep.txt", "OLDER   TXT") // as a cut in the middle of a rename leaves it
	s := e.Slot("keep.txt")
	s[12] |= 0x40 // the newer of the two
	e.SetSlot("keep.txt", s)
	e.MarkDirty()

	// The repair cannot go on before it has read the directory.
	dev := &gatedDevice{Device: mem, off: g.DataStart + int64(e.Find("directory").Clusters()[0]-2)*int64(g.ClusterSize), n: int64(g.ClusterSize),
		gate: make(chan struct{})}
	m := mount(t, setup{dev: dev, noisy: true})
	_, err = os.Stat(m.path("OLDER.TXT"))
	must(t, err)
	close(dev.gate)
	<-m.vol.Repaired()
	wantContent(t, m.path("keep.txt"), "precious")
	if _, err := os.Stat(m.path("OLDER.TXT")); !os.IsNotExist(err) {
		t.Errorf("stat of the older name, which is gone: %v", err)
	}
	write(t, m.path("OLDER.TXT"), "something else")
	wantContent(t, m.path("keep.txt"), "precious")
}
