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
