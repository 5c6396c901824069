package watch

import (
	"slices"
	"time"
)

// maxHistory bounds what a Medium remembers of its past: some twenty times that it went and came back.
const maxHistory = 64

// A Change is an entry of a Medium's history: what it became.
type Change struct {
	At time.Time // the last time of several, see Attempts
	Status
	// Attempts counts, in an entry of Gone, the verifications one after the other that ended in it, each
	// for the same reason. It is 0 where the medium was lost.
	Attempts int
}

// A history is the newest Changes, in their order.
type history []Change

// add takes in a change. What lies at the path and is not taken is looked at again and again: all that is
// one entry, which stands for the verifications too. That the medium was lost stays an entry of its own.
func (h *history) add(c Change) {
	list := *h
	if n := len(list); c.State == Gone && n > 0 && list[n-1].State == Verifying {
		list, c.Attempts = list[:n-1], 1
		if n--; n > 0 && list[n-1].Attempts > 0 && list[n-1].Reason == c.Reason {
			c.Attempts += list[n-1].Attempts
			list = list[:n-1]
		}
	}
	if len(list) >= maxHistory {
		list = slices.Delete(list, 0, len(list)-maxHistory+1)
	}
	*h = append(list, c)
}

// History returns the newest changes of the Status, the oldest first.
func (m *Medium) History() []Change {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.mu.history)
}
