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

	"golang.org/x/sys/unix"
)

// TestReadsBesideBulkWriter reads a little from one file while another is written in bulk, on a medium that needs
// 20 ms and 10 MB/s for a write. How long a read takes is judged in the calls that the medium does meanwhile: what
// it is about when the read comes, what else waits, and the read. It must not wait for the bulk.
func TestReadsBesideBulkWriter(t *testing.T) {
	h := newHostOf(t, 96<<20)
	dir := mountImage(t, h.img)
	small, bulk := filepath.Join(dir, "small"), filepath.Join(dir, "bulk")
	if err := os.WriteFile(small, make([]byte, 4<<20), 0o666); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(small, unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	syncAll(t, dir)
	h.command("slow through")

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
	var waited []int
	first, _ := h.medium()
	for !done.Load() {
		before, _ := h.medium()
		if _, err := unix.Pread(fd, buf, rng.Int64N(1024)*4096); err != nil {
			t.Fatal(err)
		}
		after, _ := h.medium()
		waited = append(waited, after-before)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	last, _ := h.medium()
	slices.Sort(waited)
	if len(waited) < 150 || last-first < 150 {
		t.Fatalf("%d reads, %d calls of the medium: that is no test", len(waited), last-first)
	}
	// The call that ends while we ask is counted as well, and what the medium does while this test has no processor.
	if p99 := waited[len(waited)*99/100]; p99 > 4 {
		t.Errorf("of %d reads, 1 in 100 waited for %d calls of the medium; want the one under way, one more, and the read",
			len(waited), p99)
	}
	t.Logf("%d reads beside %d calls: median %d, at most %d", len(waited), last-first, waited[len(waited)/2], waited[len(waited)-1])
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
	_, most := h.medium()
	// Of several requests that find room at once, each may be let in.
	if most > bound+2*step {
		t.Errorf("%d bytes were written and not on the medium, with a bound of %d", most, bound)
	}
	t.Logf("at most %d bytes were written and not on the medium", most)
	before, _ := h.medium()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	after, rest := h.medium()
	if rest > bound+2*step || after-before > 8 {
		t.Errorf("the fsync took %d calls, with %d bytes to write", after-before, rest)
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
