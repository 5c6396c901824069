package fs

import (
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fatvol/image/device"
)

// A door is a device whose reads wait while it is closed.
type door struct {
	device.Device
	closed  atomic.Pointer[chan struct{}] // closed when it opens
	waiting atomic.Int64                  // reads that wait
}

func (d *door) ReadAt(p []byte, off int64) (int, error) {
	if c := d.closed.Load(); c != nil {
		d.waiting.Add(1)
		<-*c
		d.waiting.Add(-1)
	}
	return d.Device.ReadAt(p, off)
}

// Whoever takes a request serves it. While that takes long another one does so: whatever has to wait for the
// medium, and however many requests, what does not goes on, up to the bound on requests that are served at once.
func TestServedBesideWaiting(t *testing.T) {
	d := &door{Device: newDevice(t, 32<<20, "-F", "16")}
	m := mount(t, setup{dev: d})
	const readers = maxServers - 2 // one reads the kernel's requests, and one is what is asked beside them
	for i := range readers {
		write(t, m.path(strconv.Itoa(i)), "content")
	}
	must(t, os.WriteFile(m.path("other"), []byte("x"), 0o666))
	unix.Sync()

	open := make(chan struct{})
	d.closed.Store(&open)
	var all sync.WaitGroup
	defer all.Wait()
	defer sync.OnceFunc(func() { d.closed.Store(nil); close(open) })()
	for i := range readers {
		all.Go(func() {
			fd, err := unix.Open(m.path(strconv.Itoa(i)), unix.O_RDONLY|unix.O_DIRECT, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer unix.Close(fd)
			if n, err := unix.Pread(fd, make([]byte, 4096), 0); n != len("content") || err != nil {
				t.Errorf("read %d bytes: %v", n, err)
			}
		})
	}
	for d.waiting.Load() < readers {
		// What is not there is asked for each time, and needs no medium.
		var st unix.Stat_t
		if err := unix.Stat(m.path("absent"), &st); err != unix.ENOENT {
			t.Fatal(err)
		}
	}
	must(t, os.Chmod(m.path("other"), 0o666))
	if _, err := os.ReadDir(m.path("")); err != nil {
		t.Error(err)
	}
}

// Requests from many at once are all answered, each with what it asked for, while nobody is left over.
func TestManyClients(t *testing.T) {
	m := mount(t, setup{})
	const clients, rounds = 48, 60
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			name := m.path("client-" + strconv.Itoa(i))
			for k := range rounds {
				want := strconv.Itoa(i*rounds + k)
				if err := os.WriteFile(name, []byte(want), 0o666); err != nil {
					t.Error(err)
					return
				}
				if got, err := os.ReadFile(name); string(got) != want || err != nil {
					t.Errorf("client %d reads %q instead of %q: %v", i, got, want, err)
					return
				}
				if err := os.Remove(name); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// Options.Idle is called once after a good many requests, when no more come, and not again before there are as many.
func TestIdle(t *testing.T) {
	const after = 20 * time.Millisecond
	calls := make(chan struct{}, 100)
	m := mount(t, setup{fs: Options{IdleAfter: after, Idle: func() { calls <- struct{}{} }}})
	ask := func(requests int) {
		for range requests {
			_ = unix.Stat(m.path("none"), new(unix.Stat_t))
		}
	}
	ask(goodMany)
	<-calls
	ask(goodMany / 2)
	time.Sleep(3 * after) // in which it could be called
	if len(calls) > 0 {
		t.Error("called after half as many requests")
	}
	ask(goodMany / 2)
	<-calls
}
