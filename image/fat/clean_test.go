package fat_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// quietTime is longer than it takes until a volume that nobody changes is marked clean, also when the last
// attempts have failed.
const quietTime = 2 * time.Minute

// isClean reports whether the medium says that the volume is clean. Then nothing may be wrong with it.
func isClean(t *testing.T, mem *device.Mem) bool {
	t.Helper()
	r, err := fattest.Check(mem)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); !r.Dirty && err != nil {
		t.Errorf("marked clean, and yet %v", err)
	}
	return !r.Dirty
}

// A file without a name keeps the volume from being clean for as long as it is open, and no longer: also
// when it is empty, so that nothing is freed when it is closed.
func TestCleanOnceOrphanIsClosed(t *testing.T) {
	for _, l := range layouts {
		for _, size := range []int{0, 5000} {
			t.Run(fmt.Sprintf("FAT%d/%d", l.Width, size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v, mem := open(t, l, fat.Options{CommitDelay: time.Second})
					n, err := v.Create(v.Root(), "file", 0)
					if err != nil {
						t.Fatal(err)
					}
					h, err := n.Open()
					if err != nil {
						t.Fatal(err)
					}
					if _, err := n.WriteAt(make([]byte, size), 0); err != nil {
						t.Fatal(err)
					}
					time.Sleep(quietTime)
					if !isClean(t, mem) {
						t.Error("not marked clean with a file open")
					}
					if err := v.Unlink(v.Root(), "file"); err != nil {
						t.Fatal(err)
					}
					time.Sleep(quietTime)
					if size > 0 && isClean(t, mem) {
						t.Error("marked clean with a file open that has clusters and no name")
					}
					h.Close()
					n.Release(1)
					time.Sleep(quietTime)
					if !isClean(t, mem) {
						t.Error("not marked clean after the file was closed")
					}
				})
			})
		}
	}
}

// TestCleanAfterFault fails each device operation of marking the volume clean, and all that follow. Once
// the device works again the volume is marked, though nothing changes any more: by itself, or at the end.
func TestCleanAfterFault(t *testing.T) {
	for _, l := range layouts {
		for _, closing := range []bool{false, true} {
			t.Run(fmt.Sprintf("FAT%d/closing=%v", l.Width, closing), func(t *testing.T) {
				for k := int64(1); ; k++ {
					injected := int64(0)
					synctest.Test(t, func(t *testing.T) { injected = cleanAfterFault(t, l, k, closing) })
					if injected == 0 {
						if k < 3 {
							t.Errorf("only %d operations to fail", k-1)
						}
						return
					}
				}
			})
		}
	}
}

func cleanAfterFault(t *testing.T, l fattest.Layout, k int64, closing bool) (injected int64) {
	base := prepared(t, l, nil)
	if err := base.v.Close(); err != nil {
		t.Fatal(err)
	}
	fd := faultdev.New(base.mem)
	v, err := fat.Open(fd, fat.Options{CommitDelay: time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	n, err := v.Create(v.Root(), "file", 0)
	if err != nil {
		t.Fatal(err)
	}
	n.Release(1)
	for v.Pending() { // until all but the mark is done
		time.Sleep(100 * time.Millisecond)
	}
	if isClean(t, base.mem) {
		t.Fatal("marked clean too early for this test")
	}
	fd.Reset()
	fd.Inject(faultdev.FailFrom(k, nil))
	time.Sleep(quietTime)
	injected = fd.Injected()
	fd.Reset()
	if !closing {
		time.Sleep(quietTime)
		if !isClean(t, base.mem) {
			t.Errorf("operation %d of the mark failed: it is not tried again", k)
		}
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if !isClean(t, base.mem) {
		t.Errorf("operation %d of the mark failed: not marked clean when it was closed", k)
	}
	return injected
}

// Clusters that a file keeps beyond its size while it is open, a cut would leave so: the volume is not clean then. Unmounting
// gives them back.
func TestCleanOnceKeptIsGiven(t *testing.T) {
	for _, l := range layouts {
		for _, unmount := range []bool{false, true} {
			t.Run(fmt.Sprintf("FAT%d, unmounted %v", l.Width, unmount), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v, mem := open(t, l, fat.Options{CommitDelay: time.Second})
					n, err := v.Create(v.Root(), "file", 0)
					if err != nil {
						t.Fatal(err)
					}
					defer n.Release(1)
					h, err := n.Open()
					if err != nil {
						t.Fatal(err)
					}
					if err := n.Allocate(0, 50_000, true); err != nil {
						t.Fatal(err)
					}
					time.Sleep(quietTime)
					if isClean(t, mem) {
						t.Error("marked clean with a file that keeps clusters beyond its size")
					}
					if unmount {
						err = v.Close()
					}
					h.Close()
					time.Sleep(quietTime)
					if err != nil || !isClean(t, mem) {
						t.Errorf("not marked clean at the end (%v)", err)
					}
				})
			})
		}
	}
}

// A marking is a device on which something happens at the next Sync, and which is looked at once the boot sector has been
// written without the mark of use and synced.
type marking struct {
	*faultdev.Crash
	mu         sync.Mutex
	state      int // where the mark is in the boot sector
	next, look func()
	clean      bool
}

// arm says what is to happen, each once.
func (d *marking) arm(state int, next, look func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state, d.next, d.look = state, next, look
}

func (d *marking) WriteAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	d.clean = d.clean || d.look != nil && off == 0 && len(p) > d.state && p[d.state]&1 == 0
	d.mu.Unlock()
	return d.Crash.WriteAt(p, off)
}

func (d *marking) Sync() error {
	d.mu.Lock()
	next, look := d.next, func() {}
	d.next = nil
	if d.clean {
		look, d.look, d.clean = d.look, nil, false
	}
	d.mu.Unlock()
	if next != nil {
		next()
	}
	err := d.Crash.Sync()
	look()
	return err
}

// What is written while the volume is being marked clean does not reach the medium with that mark. FAT16 and FAT32
// have the mark in the FAT as well, where what changes beside it would go along.
func TestWriteBesideCleanMark(t *testing.T) {
	for _, l := range layouts {
		t.Run(fmt.Sprintf("FAT%d", l.Width), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { writeBesideCleanMark(t, l) })
		})
	}
}

func writeBesideCleanMark(t *testing.T, l fattest.Layout) {
	mem := fattest.Formatted(t, l)
	d := &marking{Crash: faultdev.NewCrash(mem)}
	v, err := fat.Open(d, fat.Options{CommitDelay: time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	n, err := v.Create(v.Root(), "file", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Release(1)
	if _, err := n.WriteAt(make([]byte, 3000), 0); err != nil {
		t.Fatal(err)
	}
	for v.Pending() {
		time.Sleep(time.Millisecond)
	}
	// All is on the medium: the next Sync is that of the mark.
	looked := false
	d.arm(v.Geometry().StateOffset, func() {
		if _, err := n.WriteAt(make([]byte, 20_000), 3000); err != nil {
			t.Error(err)
		}
	}, func() {
		looked = true
		isClean(t, d.Cut())
	})
	time.Sleep(quietTime)
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if !looked || !isClean(t, mem) {
		t.Errorf("never marked clean")
	}
}

// Clusters that were allocated beyond the size of a file that nobody has open are given back as well.
func TestCleanAfterAllocateUnopened(t *testing.T) {
	for _, l := range layouts {
		t.Run(fmt.Sprintf("FAT%d", l.Width), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, mem := open(t, l, fat.Options{CommitDelay: time.Second})
				n := create(t, v, v.Root(), "file")
				defer n.Release(1)
				if err := n.Allocate(0, 50_000, true); err != nil {
					t.Fatal(err)
				}
				time.Sleep(quietTime)
				if !isClean(t, mem) {
					t.Error("not marked clean")
				}
			})
		})
	}
}
