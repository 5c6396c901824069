package fs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Many at once on a few names, by every spelling: whatever happens, an operation gets an errno that
// explains itself, the volume stays consistent, and nothing hangs.
func TestStress(t *testing.T) {
	for _, c := range []struct {
		name  string
		opt   setup
		stale bool // ESTALE may reach the application
	}{
		{"epochs", setup{}, false},
		{"no prune", setup{tune: func(fs *fileSystem) { fs.usePrune = false }}, true},
		{"write-back", setup{fs: Options{Writeback: true}}, false},
		// Without epochs, another spelling can meet what is no longer there.
		{"no epochs", setup{tune: func(fs *fileSystem) { fs.useEpochs = false }}, true},
		{"forgetful", setup{tune: func(fs *fileSystem) { fs.nodes.max = 8 }}, false},
		{"forgetful, no prune", setup{tune: func(fs *fileSystem) { fs.nodes.max, fs.usePrune = 8, false }}, true},
		{"forgetful, no epochs", setup{tune: func(fs *fileSystem) { fs.nodes.max, fs.useEpochs = 8, false }}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mount(t, c.opt)
			for _, d := range []string{"D1", "D2"} {
				must(t, os.Mkdir(m.path(d), 0o777))
			}
			end := time.Now().Add(time.Second)
			var wg sync.WaitGroup
			for seed := range uint64(8) {
				wg.Go(func() {
					s := stressor{m: m, r: rand.New(rand.NewPCG(seed, 1))}
					for time.Now().Before(end) && !t.Failed() {
						what, err := s.step()
						if c.stale && errors.Is(err, unix.ESTALE) {
							continue
						}
						if err != nil && !explains(err) {
							t.Errorf("seed %d: %s: %v", seed, what, err)
						}
					}
				})
			}
			wg.Wait()
			if m.vol.ReadOnly() {
				t.Error("the volume became read-only")
			}
			for _, d := range []string{"D1", "D2"} {
				must(t, os.RemoveAll(m.path(d)))
			}
		})
	}
}

// explains reports whether an errno may come of others doing the same.
func explains(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case unix.ENOENT, unix.EEXIST, unix.ENOTEMPTY, unix.EISDIR, unix.ENOTDIR, unix.EINVAL:
		return true
	}
	return false
}

type stressor struct {
	m *mounted
	r *rand.Rand
}

func (s *stressor) name() string {
	dirs := []string{"D1", "d1", "D2", "d2"}
	names := []string{"Foo", "foo", "FOO", "A longer name.text", "a LONGER name.TEXT", "ALONGE~1.TEX", "b", "B", "sub", "SUB"}
	return s.m.path(dirs[s.r.IntN(len(dirs))], names[s.r.IntN(len(names))])
}

func (s *stressor) step() (what string, err error) {
	n := s.name()
	switch s.r.IntN(12) {
	case 0, 1:
		return "write " + n, s.write(n)
	case 2:
		return "read " + n, s.read(n)
	case 3:
		return "unlink " + n, unix.Unlink(n)
	case 4:
		to := s.name()
		return "rename " + n + " to " + to, unix.Rename(n, to)
	case 5:
		to := s.name()
		return "exchange " + n + " with " + to, rename2(n, to, unix.RENAME_EXCHANGE)
	case 6:
		return "mkdir " + n, unix.Mkdir(n, 0o777)
	case 7:
		return "rmdir " + n, unix.Rmdir(n)
	case 8:
		_, err := os.ReadDir(filepath.Dir(n))
		return "list " + filepath.Dir(n), err
	case 9:
		return "truncate " + n, unix.Truncate(n, s.r.Int64N(50_000))
	case 10:
		return "chtimes " + n, os.Chtimes(n, time.Now(), time.Now())
	}
	return "stat " + n, unix.Stat(n, new(unix.Stat_t))
}

func (s *stressor) write(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(pattern(s.r.IntN(100), s.r.IntN(20_000)), s.r.Int64N(20_000))
	return err
}

func (s *stressor) read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil || fi.IsDir() {
		return err
	}
	_, err = f.Read(make([]byte, 30_000))
	if err != nil && err.Error() == "EOF" {
		return nil
	}
	return err
}

// Whoever opens a file that is being replaced all the time gets one or the other, never an error.
func TestReplaceIsAtomic(t *testing.T) {
	m := mount(t, setup{})
	write(t, m.path("f"), "0")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if b, err := os.ReadFile(m.path("f")); err != nil || len(b) != 1 {
					t.Errorf("%q %v", b, err)
					return
				}
			}
		})
	}
	for i := range 1000 {
		write(t, m.path("new"), fmt.Sprint(i%10))
		must(t, os.Rename(m.path("new"), m.path("f")))
	}
	close(stop)
	wg.Wait()
}

// A file that is opened while it is being removed is there whole, or is not there.
func TestOpenWhileUnlinking(t *testing.T) {
	m := mount(t, setup{})
	content := pattern(1, 10_000)
	for _, spelling := range []string{"Foo", "FOO"} {
		for range 300 {
			must(t, os.WriteFile(m.path("Foo"), content, 0o666))
			var wg sync.WaitGroup
			wg.Go(func() {
				b, err := os.ReadFile(m.path("Foo"))
				if err == nil && !bytes.Equal(b, content) {
					t.Errorf("%d bytes of a file that was there or not", len(b))
				}
				if err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Error(err)
				}
			})
			wg.Go(func() { must(t, os.Remove(m.path(spelling))) })
			wg.Wait()
		}
	}
}

// Every file of many writers is whole.
func TestManyWriters(t *testing.T) {
	m := mount(t, setup{size: 64 << 20, mkfs: []string{"-F", "32"}})
	must(t, os.Mkdir(m.path("shared"), 0o777))
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			own := m.path(fmt.Sprintf("own %d", w))
			if err := os.Mkdir(own, 0o777); err != nil {
				t.Error(err)
			}
			for i := range 20 {
				for _, dir := range []string{own, m.path("shared")} {
					name := filepath.Join(dir, fmt.Sprintf("file %d of %d", i, w))
					if err := os.WriteFile(name, pattern(w+i, 1000*i), 0o666); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	m.InvalidateAll()
	for w := range 16 {
		for i := range 20 {
			for _, dir := range []string{m.path(fmt.Sprintf("own %d", w)), m.path("shared")} {
				name := filepath.Join(dir, fmt.Sprintf("file %d of %d", i, w))
				if b, err := os.ReadFile(name); err != nil || !bytes.Equal(b, pattern(w+i, 1000*i)) {
					t.Errorf("%s: %d bytes, %v", name, len(b), err)
				}
			}
		}
	}
}
