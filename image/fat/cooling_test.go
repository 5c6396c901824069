package fat_test

import (
	"errors"
	"testing"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// An asked is a device that may vanish and that knows what it has not synced; answered runs after it was asked that.
type asked struct {
	device.Device
	unsynced int64
	answered func()
	gone     error
}

func (d *asked) WriteAt(p []byte, off int64) (int, error) {
	d.unsynced += int64(len(p))
	return d.Device.WriteAt(p, off)
}

func (d *asked) Sync() error {
	d.unsynced = 0
	return d.Device.Sync()
}

func (d *asked) Check() error { return d.gone }

func (d *asked) Unsynced() int64 {
	n := d.unsynced
	if fn := d.answered; fn != nil {
		d.answered = nil
		fn()
	}
	return n
}

// A file that is written to while it is found that everything was synced counts as unsynced: its descriptors say so when
// they are closed without the medium, and it is told of which file something is missing.
func TestWrittenWhileCooling(t *testing.T) {
	d := &asked{Device: fattest.Formatted(t, layouts[1])}
	v, err := fat.Open(d, fat.Options{CommitDelay: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	n, err := v.Create(v.Root(), "file", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Release(1)
	h, err := n.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	write := func() {
		if _, err := h.WriteAt([]byte("data"), 0); err != nil {
			t.Error(err)
		}
	}
	write()
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	d.answered = write
	if !v.Cool() {
		t.Error("nothing is unsynced")
	}
	if l := v.Located(); len(l) != 1 {
		t.Errorf("unsynced are %v", l)
	}
	d.gone = errors.New("gone")
	if h.Flush() == nil {
		t.Error("close tells of nothing")
	}
	d.gone = nil
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	if v.Cool() || len(v.Located()) != 0 {
		t.Error("it is unsynced for ever")
	}
}
