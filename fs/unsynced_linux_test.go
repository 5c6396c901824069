package fs

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// A syncless device fails its Syncs for as long as it is told to.
type syncless struct {
	device.Device
	failing atomic.Bool
}

func (d *syncless) Sync() error {
	if d.failing.Load() {
		return syscall.EIO
	}
	return d.Device.Sync()
}

// TestUnsyncedNames: with dirsync, a change of names that could only not be synced has been made. The kernel, which hears of
// an error, does not go on with the old names: what is written to them would overwrite other files, or be lost.
func TestUnsyncedNames(t *testing.T) {
	for name, tune := range map[string]func(*fileSystem){"epochs": nil, "no epochs": func(fs *fileSystem) { fs.useEpochs = false }} {
		for what, change := range map[string]func(m *mounted) error{
			"rename": func(m *mounted) error { return os.Rename(m.path("a"), m.path("b")) },
			"unlink": func(m *mounted) error { return unix.Unlink(m.path("a")) },
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				dev := &syncless{Device: newDevice(t, 32<<20, "-F", "16")}
				m := mount(t, setup{dev: dev, noisy: true, tune: tune, fat: fat.Options{DirSync: true}})
				write(t, m.path("a"), "precious")
				f, err := os.Open(m.path("a")) // so that its inode stays
				must(t, err)
				defer f.Close()
				list(t, m.dir)
				dev.failing.Store(true)
				if err := change(m); !errors.Is(err, syscall.EIO) {
					t.Fatalf("%v, want EIO", err)
				}
				dev.failing.Store(false)
				// Without epochs, the kernel is told after the reply.
				eventually(t, "a is not there", func() bool { _, err := os.Stat(m.path("a")); return os.IsNotExist(err) })
				write(t, m.path("a"), "something else")
				wantContent(t, m.path("a"), "something else")
				if what == "rename" {
					wantContent(t, m.path("b"), "precious")
				}
			})
		}
	}
}
