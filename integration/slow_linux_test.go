package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestReadsBesideBulkWriter reads a little from one file while another is written in bulk, on a medium that needs
// 20 ms and 10 MB/s for a write. How long a read takes is judged by the time for which the medium is busy meanwhile:
// with what it is about when the read comes, what else waits, and the read. Of 100 reads, 99 take no longer than three
// of the bulk's writes.
func TestReadsBesideBulkWriter(t *testing.T) {
	h := newHostOf(t, 96<<20)
	dir := mountImage(t, h.img)
	if err := os.WriteFile(filepath.Join(dir, "small"), make([]byte, 4<<20), 0o666); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(filepath.Join(dir, "small"), unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	syncAll(t, dir)
	h.command("slow through")
	waited := readsBesideBulk(t, h, fd, filepath.Join(dir, "bulk"))
	p99, limit := waited[len(waited)*99/100], 3*writeTime(128<<10) // the host's kernel writes 128 KiB at a time
	t.Logf("%d reads: median %v of the medium's time, 99 of 100 at most %v, the longest %v",
		len(waited), waited[len(waited)/2], p99, waited[len(waited)-1])
	if p99 > limit {
		t.Errorf("1 in 100 reads took %v of the medium's time; want at most %v, three writes", p99, limit)
	}
}

// readsBesideBulk writes the file bulk, and meanwhile reads from fd. It returns how much of the medium's time each
// read took, in ascending order.
func readsBesideBulk(t *testing.T, h *host, fd int, bulk string) []time.Duration {
	t.Helper()
	const size = 24 << 20 // so long that one read in a hundred is several
	written := make(chan error, 1)
	var done atomic.Bool
	go func() {
		written <- os.WriteFile(bulk, make([]byte, size), 0o666)
		done.Store(true)
	}()
	buf, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(buf)
	rng := rand.New(rand.NewPCG(1, 2))
	var waited []time.Duration
	first := h.medium()
	for !done.Load() {
		before := h.medium()
		if _, err := unix.Pread(fd, buf, rng.Int64N(1024)*4096); err != nil {
			t.Fatal(err)
		}
		waited = append(waited, h.medium().lastRead-before.busy)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	slices.Sort(waited)
	if n := h.medium().calls - first.calls; len(waited) < 150 || n < 150 {
		t.Fatalf("%d reads, %d calls of the medium: that is no test", len(waited), n)
	}
	return waited
}

// TestProgressFollowsMedium writes to a host that has room for everything in its cache, and a medium of 10 MB/s
// under it. What the writer is told to be written is never further ahead of the medium than the bound on unsynced
// writes; so a sync at any time has no more than that to wait for.
func TestProgressFollowsMedium(t *testing.T) {
	const bound = 4 << 20
	h := newHostOf(t, 64<<20)
	dir := mountImage(t, h.img, fmt.Sprintf("unsynced=%d", bound))
	h.command("slow cached")
	h.medium()
	f, err := os.Create(filepath.Join(dir, "bulk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size, step = 24 << 20, 1 << 20
	for range size / step {
		if _, err := f.Write(make([]byte, step)); err != nil {
			t.Fatal(err)
		}
	}
	most := h.medium().most
	// Of several requests that find room at once, each may be let in.
	if most > bound+2*step {
		t.Errorf("%d bytes were written and not on the medium, with a bound of %d", most, bound)
	}
	t.Logf("at most %d bytes were written and not on the medium", most)
	before := h.medium()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	after := h.medium()
	if calls := after.calls - before.calls; after.most > bound+2*step || calls > 8 {
		t.Errorf("the fsync took %d calls, with %d bytes to write", calls, after.most)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
}

// syncAll has everything on the medium.
func syncAll(t *testing.T, dir string) {
	t.Helper()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
}
