package fat_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// A slowDevice holds up writes until it is told to go on.
type slowDevice struct {
	device.Device
	reached, hold chan struct{}
}

func (d *slowDevice) WriteAt(p []byte, off int64) (int, error) {
	select {
	case d.reached <- struct{}{}:
	default:
	}
	<-d.hold
	return d.Device.WriteAt(p, off)
}

// TestEndWhileMakingDirectory: whoever ends the volume, or takes it up anew, waits for a directory that is being made on a slow
// device, and neither waits for ever.
func TestEndWhileMakingDirectory(t *testing.T) {
	for name, end := range map[string]func(v *fat.Volume, dev device.Device) error{
		"close": func(v *fat.Volume, _ device.Device) error { return v.Close() },
		"reset": func(v *fat.Volume, dev device.Device) error { return v.Reset(dev) },
	} {
		t.Run(name, func(t *testing.T) {
			dev := &slowDevice{fattest.Formatted(t, fattest.Layout{Width: 16, Clusters: 5000}), make(chan struct{}, 1), make(chan struct{})}
			v, err := fat.Open(dev, fat.Options{Log: slog.New(slog.DiscardHandler), CommitDelay: -1})
			if err != nil {
				t.Fatal(err)
			}
			results := make(chan error, 2)
			go func() {
				n, err := v.Mkdir(v.Root(), "directory", 0)
				if err == nil {
					n.Release(1)
				}
				results <- err
			}()
			<-dev.reached
			go func() { results <- end(v, dev) }()
			for !v.Ending() {
				time.Sleep(time.Millisecond)
			}
			close(dev.hold)
			for range 2 {
				select {
				case err := <-results:
					if err != nil && !errors.Is(err, fat.ErrUnsettled) {
						t.Error(err)
					}
				case <-time.After(10 * time.Second):
					t.Fatal("they wait for each other")
				}
			}
			if err := v.Close(); err != nil && !errors.Is(err, fat.ErrClosed) {
				t.Error(err)
			}
		})
	}
}

// A forgetfulDevice has the volume forget what it has read of the FAT whenever it is synced, as a volume with little memory
// may at any time.
type forgetfulDevice struct {
	device.Device
	forget func()
}

func (d *forgetfulDevice) Sync() error {
	if d.forget != nil {
		d.forget()
	}
	return d.Device.Sync()
}

// TestGrowDirectoryThatShrinks: a full directory on a full volume gets one more cluster, and the commits that make it free take
// away its last one, which the new one was to follow.
func TestGrowDirectoryThatShrinks(t *testing.T) {
	const cluster = 512
	mem := fattest.Formatted(t, fattest.Layout{Width: 32, Clusters: 66000, ClusterSize: cluster})
	dev := &forgetfulDevice{Device: mem}
	v, err := fat.Open(dev, fat.Options{CommitDelay: -1})
	if err != nil {
		t.Fatal(err)
	}
	d, err := v.Mkdir(v.Root(), "D", 0)
	if err != nil {
		t.Fatal(err)
	}
	create := func(dir *fat.Node, name string, size int) {
		t.Helper()
		n, err := v.Create(dir, name, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Release(1)
		for size > 0 {
			k, _, err := n.Append(make([]byte, min(size, 1<<20)))
			if errors.Is(err, fat.ErrNoSpace) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			size -= k
		}
	}
	name := func(letter byte, i int) string { return string([]byte{letter, byte('A' + i)}) }
	for i := range 14 { // beside the dots in the first cluster
		create(d, name('A', i), 0)
	}
	create(v.Root(), "BETWEEN", 3000*cluster)
	for i := range 16 { // in the second one, far from it
		create(d, name('B', i), cluster)
	}
	create(v.Root(), "REST", 1<<30)
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		if err := v.Unlink(d, name('B', i)); err != nil {
			t.Fatal(err)
		}
	}
	dev.forget = v.DropCachedFAT
	create(d, "C", 0)
	dev.forget = nil
	d.Release(1)
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, mem)
}
