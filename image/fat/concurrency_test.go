package fat_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

const workers = 16

// rounds is how often each worker does its work.
func rounds() int {
	if testing.Short() {
		return 30
	}
	return 150
}

// TestConcurrentDirectories has workers create, fill, rename, read and remove files, each in a directory
// of its own and all in one that they share, while commits go on. Every file is whole at every look.
func TestConcurrentDirectories(t *testing.T) {
	for _, l := range layouts {
		t.Run(fmt.Sprintf("FAT%d", l.Width), func(t *testing.T) {
			l := l
			l.ClusterSize = 2048
			v, _ := open(t, l, fat.Options{CommitDelay: time.Millisecond, CacheBytes: 1 << 18})
			shared, err := v.Mkdir(v.Root(), "shared", 0)
			if err != nil {
				t.Fatal(err)
			}
			defer shared.Release(1)
			var wg sync.WaitGroup
			for w := 0; w < workers; w++ {
				wg.Go(func() {
					if err := worker(v, shared, w); err != nil {
						t.Errorf("worker %d: %v", w, err)
					}
				})
			}
			wg.Wait()
		})
	}
}

func worker(v *fat.Volume, shared *fat.Node, w int) error {
	rng := rand.New(rand.NewPCG(uint64(w), 11))
	own, err := v.Mkdir(v.Root(), fmt.Sprintf("own directory %d", w), 0)
	if err != nil {
		return err
	}
	defer own.Release(1)
	for i := 0; i < rounds(); i++ {
		dir, other := own, shared
		if i%2 == 0 {
			dir, other = shared, own
		}
		name := fmt.Sprintf("Worker %d file %d.dat", w, i%7)
		data := bytes.Repeat([]byte{byte(w), byte(i)}, 1+rng.IntN(3000))
		if err := replace(v, dir, name, data); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
		if err := holds(v, dir, name, data); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
		moved := fmt.Sprintf("worker %d FILE %d moved.dat", w, i%5)
		if err := v.Rename(dir, name, other, moved, 0); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
		if err := holds(v, other, moved, data); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
		if i%3 == 0 {
			if err := v.Unlink(other, moved); err != nil {
				return fmt.Errorf("round %d: %w", i, err)
			}
		}
		if i%10 == 0 {
			if err := v.Sync(); err != nil {
				return err
			}
			if err := v.ReadDir(shared, 0, func(*fat.Entry) bool { return true }); err != nil {
				return err
			}
			if _, err := v.Stat(); err != nil {
				return err
			}
		}
	}
	return nil
}

// replace writes a file anew, through a handle.
func replace(v *fat.Volume, dir *fat.Node, name string, data []byte) error {
	n, err := v.Create(dir, name, 0)
	if errors.Is(err, fat.ErrExist) {
		if n, _, err = v.Lookup(dir, name); err == nil {
			err = n.Truncate(0)
		}
	}
	if err != nil {
		return err
	}
	defer n.Release(1)
	h, err := n.Open()
	if err != nil {
		return err
	}
	defer h.Close()
	half := len(data) / 2
	for _, p := range [][]byte{data[:half], data[half:]} {
		if k, _, err := h.Append(p); err != nil || k != len(p) {
			return fmt.Errorf("append: %d of %d: %w", k, len(p), errors.Join(err, io.ErrShortWrite))
		}
	}
	return h.Flush()
}

func holds(v *fat.Volume, dir *fat.Node, name string, want []byte) error {
	n, _, err := v.Lookup(dir, name)
	if err != nil {
		return err
	}
	defer n.Release(1)
	got := make([]byte, len(want)+1)
	k, err := n.ReadAt(got, 0)
	if err != nil {
		return err
	}
	if !bytes.Equal(got[:k], want) {
		return fmt.Errorf("%q holds %d bytes, not the %d that were written", name, k, len(want))
	}
	return nil
}

// TestConcurrentFile has workers write, read, append to and truncate one file. A record that was written
// in one call is never seen in pieces.
func TestConcurrentFile(t *testing.T) {
	v, _ := open(t, fattest.Layout{Width: 16, Clusters: 20000, ClusterSize: 1024}, fat.Options{CommitDelay: time.Millisecond})
	n, err := v.Create(v.Root(), "one file", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Release(1)
	const record = 700 // lies across clusters
	var wg sync.WaitGroup
	for w := 0; w < workers; w++ {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 12))
			h, err := n.Open()
			if err != nil {
				t.Error(err)
				return
			}
			defer h.Close()
			mine := bytes.Repeat([]byte{byte('a' + w)}, record)
			buf := make([]byte, record)
			for i := 0; i < rounds()*2; i++ {
				var err error
				switch rng.IntN(8) {
				case 0:
					err = h.Sync()
				case 1:
					err = n.Truncate(int64(rng.IntN(200)) * record)
				case 2, 3:
					_, err = h.WriteAt(mine, int64(w)*record)
				case 4:
					_, _, err = h.Append(mine)
				default:
					var k int
					k, err = h.ReadAt(buf, int64(w)*record)
					if err == nil && k == record && !bytes.Equal(buf, mine) && !bytes.Equal(buf, make([]byte, record)) && !same(buf) {
						t.Errorf("worker %d: record of its own torn: %q…%q", w, buf[:8], buf[record-8:])
					}
				}
				if err != nil {
					t.Errorf("worker %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
}

// same reports whether all bytes are equal: an appended record of another worker.
func same(p []byte) bool { return len(bytes.Trim(p, string(p[:1]))) == 0 }

// A lateDevice takes its time for a Sync.
type lateDevice struct{ device.Device }

func (d lateDevice) Sync() error {
	time.Sleep(500 * time.Microsecond)
	return d.Device.Sync()
}

// TestExchangeBesideRenames: an exchange that needs an epoch without other renames gets one, whoever renames meanwhile.
func TestExchangeBesideRenames(t *testing.T) {
	mem := fattest.Formatted(t, fattest.Layout{Width: 16, Clusters: 4200})
	v, err := fat.Open(lateDevice{mem}, fat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	root := v.Root()
	create := func(name string) error {
		n, err := v.Create(root, name, 0)
		if err == nil {
			n.Release(1)
		}
		return err
	}
	for k := range 40 { // so that the two names lie apart
		err = errors.Join(err, create(fmt.Sprintf("name %d", k)))
	}
	if err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	var others sync.WaitGroup
	for i := range 3 {
		others.Go(func() {
			for k := 0; !done.Load(); k++ {
				passing, last := fmt.Sprintf("%d passing %d", i, k), fmt.Sprintf("%d last %d", i, k)
				if err := errors.Join(create(passing), v.Rename(root, passing, root, last, 0), v.Unlink(root, last)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		if err := v.Rename(root, "name 0", root, "name 39", fat.RenameExchange); err != nil {
			t.Errorf("exchange: %v", err)
		}
	}
	done.Store(true)
	others.Wait()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, mem)
}
