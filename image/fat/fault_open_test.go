package fat_test

import (
	"errors"
	"fmt"
	"testing"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// prepared is a volume on which the operations were run and that was closed, or was not.
func prepared(t testing.TB, l fattest.Layout, ops []fattest.Op) *engineTarget {
	t.Helper()
	target, err := newEngineTarget(l, fat.Options{CommitDelay: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range ops {
		if op.Kind == fattest.OpRemount {
			continue
		}
		if res := target.Do(op); res.Err != 0 {
			t.Fatalf("%v: %v %s", op, res.Err, res.Note)
		}
	}
	return target
}

// TestFaultsOpen fails each operation of opening a volume, and of the first look at it, and all that
// follow: the free clusters are counted in the background and, if that fails, again by who asks.
func TestFaultsOpen(t *testing.T) {
	for _, l := range faultLayouts {
		t.Run(fmt.Sprintf("FAT%d", l.Width), func(t *testing.T) {
			base := prepared(t, l, tree)
			if err := base.v.Close(); err != nil {
				t.Fatal(err)
			}
			for k := int64(1); ; k++ {
				fd := faultdev.New(base.mem.Clone())
				fd.Inject(faultdev.FailFrom(k, nil))
				v, err := fat.Open(fd, base.opt)
				if err == nil {
					_, err = v.Stat()
					if cerr := v.Close(); err == nil {
						err = cerr
					}
				}
				if fd.Injected() == 0 {
					if err != nil {
						t.Errorf("nothing failed, and yet: %v", err)
					}
					return
				}
				if !errors.Is(err, faultdev.ErrInjected) {
					t.Errorf("device operations fail from %d on: got %v", k, err)
				}
				fd.Reset()
				check(t, fd)
			}
		})
	}
}

// TestFaultsClose fails each operation of closing a volume with changes that were not synced. Close
// says so, everything after it answers ErrClosed, and the medium has leftovers at worst.
func TestFaultsClose(t *testing.T) {
	work := append(tree[:len(tree):len(tree)],
		fattest.Op{Kind: fattest.OpUnlink, Path: "dir/file.txt"},
		fattest.Op{Kind: fattest.OpRename, Path: "top", To: "dir/other file with a long name.txt"},
		fattest.Op{Kind: fattest.OpMkdir, Path: "dir/new"},
		fattest.Op{Kind: fattest.OpOpen, Path: "dir/new/file", Slot: 2, Flags: excl},
		fattest.Op{Kind: write, Slot: 2, Len: 9000, Seed: 4})
	for _, l := range faultLayouts {
		for _, rule := range []faultdev.Rule{{Count: 1}, {}, {Effect: faultdev.Torn, Sectors: 1}} {
			t.Run(fmt.Sprintf("FAT%d/%+v", l.Width, rule.Effect), func(t *testing.T) {
				for k := int64(1); ; k++ {
					target := prepared(t, l, work[:len(tree)])
					if err := target.v.Close(); err != nil {
						t.Fatal(err)
					}
					fd := faultdev.New(target.mem)
					target.dev = fd
					if err := target.Mount(); err != nil {
						t.Fatal(err)
					}
					for _, op := range work[len(tree):] {
						if res := target.Do(op); res.Err != 0 {
							t.Fatalf("%v: %v", op, res.Err)
						}
					}
					fd.Reset()
					rule.From = k
					fd.Inject(rule)
					_, err := target.Unmount()
					injected := fd.Injected()
					if _, serr := target.v.Stat(); !errors.Is(serr, fat.ErrClosed) {
						t.Errorf("statfs after close: %v", serr)
					}
					if injected == 0 {
						if err != nil {
							t.Errorf("nothing failed, and yet: %v", err)
						}
						check(t, target.mem)
						return
					}
					if !errors.Is(err, faultdev.ErrInjected) {
						t.Errorf("device operation %d fails: close says %v", k, err)
					}
					leftovers(t, target.mem, fmt.Sprintf("after operation %d of close failed", k))
				}
			})
		}
	}
}

// leftovers fails the test unless the volume has harmless leftovers at worst, says that it is dirty
// when it has any, and can be mounted.
func leftovers(t testing.TB, m *device.Mem, when string) *fattest.Report {
	t.Helper()
	r, err := fattest.Check(m)
	if err != nil {
		t.Errorf("%s: %v", when, err)
		return nil
	}
	if err := r.DamageErr(); err != nil {
		t.Errorf("%s: %v", when, err)
	}
	if !r.Dirty && len(r.Findings) > 0 {
		t.Errorf("%s: not marked dirty, and yet: %v", when, r.Err())
	}
	return r
}
