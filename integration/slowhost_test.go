package integration

import (
	"fmt"
	"sync"
	"time"
)

// A slow medium under the FUSE host of hanghost_test.go: it does one thing at a time, in the order in which it is
// asked, and needs 20 ms and 10 MB/s for each write.
const (
	slowCall  = 20 * time.Millisecond
	slowSpeed = 10_000_000 // bytes a second
)

// pace is how fast a host is.
type pace struct {
	device sync.Mutex // the medium does one thing at a time

	mu       sync.Mutex
	through  bool          // each write waits for the medium
	cached   bool          // writes stay in a cache until a sync
	calls    int           // of the medium, finished
	busy     time.Duration // what they took
	lastRead time.Duration // what busy was at the end of the last read
	dirty    int64
	most     int64 // that dirty has been
}

// command: "slow through" and "slow cached" make it slow, "medium" tells of it, and begins to measure anew.
func (p *pace) command(line string) (answer string, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch line {
	case "slow through":
		p.through = true
	case "slow cached":
		p.cached = true
	case "medium":
		answer = fmt.Sprintf("%d %d %d %d", p.calls, p.busy, p.lastRead, p.most)
		p.most = p.dirty
		return answer, true
	default:
		return "", false
	}
	return "ok", true
}

// use has the medium do something, and returns how long it has been busy then, in all.
func (p *pace) use(d time.Duration) time.Duration {
	p.device.Lock()
	defer p.device.Unlock()
	time.Sleep(d)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	p.busy += d
	return p.busy
}

func (p *pace) is() (through, cached bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.through, p.cached
}

func writeTime(n int64) time.Duration { return slowCall + time.Duration(n)*time.Second/slowSpeed }

func (p *pace) read() {
	if through, _ := p.is(); through {
		busy := p.use(time.Millisecond)
		p.mu.Lock()
		p.lastRead = max(p.lastRead, busy)
		p.mu.Unlock()
	}
}

func (p *pace) write(n int64) {
	switch through, cached := p.is(); {
	case through:
		p.use(writeTime(n))
	case cached:
		p.mu.Lock()
		p.dirty += n
		p.most = max(p.most, p.dirty)
		p.mu.Unlock()
	}
}

func (p *pace) sync() error {
	if _, cached := p.is(); !cached {
		return nil
	}
	p.mu.Lock()
	n := p.dirty
	p.mu.Unlock()
	p.use(writeTime(n))
	p.mu.Lock()
	p.dirty -= n
	p.mu.Unlock()
	return nil
}

// A mediumState is how many calls the medium has finished in all, how long they took, how long those until the end of
// its last read took, and how many bytes were at most in the host's cache at once since it was last asked.
type mediumState struct {
	calls          int
	busy, lastRead time.Duration
	most           int
}

// medium asks for that.
func (h *host) medium() (m mediumState) {
	h.t.Helper()
	if _, err := fmt.Fprintln(h.in, "medium"); err != nil {
		h.t.Fatal(err)
	}
	if !h.out.Scan() {
		h.t.Fatalf("host: %v", h.out.Err())
	}
	if _, err := fmt.Sscan(h.out.Text(), &m.calls, (*int64)(&m.busy), (*int64)(&m.lastRead), &m.most); err != nil {
		h.t.Fatalf("host: %q: %v", h.out.Text(), err)
	}
	return m
}
