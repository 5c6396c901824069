package watch

import (
	"sync"
	"time"
)

const (
	minTrial = 2 * time.Second
	maxTrial = 30 * time.Second
)

// A trial lets a change through now and then to a host that refused one, and cannot say by itself when it
// takes them again: ext4 after an error of its own is such a host.
type trial struct {
	mu   sync.Mutex
	next time.Time
	wait time.Duration
}

// due reports whether it is time for the next change to be tried, and is that for one caller only. The
// first time it begins to count.
func (t *trial) due() bool {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wait == 0 {
		t.wait, t.next = minTrial, now.Add(minTrial)
		return false
	}
	if now.Before(t.next) {
		return false
	}
	t.wait = min(2*t.wait, maxTrial)
	t.next = now.Add(t.wait)
	return true
}
