package faultdev

import (
	"math/rand/v2"
	"sync"

	"fatvol/image/device"
)

// Crash is a device with a cache that a power cut empties: what a Sync covered stays, everything
// else is lost.
type Crash struct {
	// mu keeps syncs apart from changes: which of them a sync covers is never in doubt. It also
	// guards durable.
	mu      sync.RWMutex
	durable *device.Mem
	cache   *Recorder // with the log of what is not durable yet
}

// NewCrash returns a Crash that starts with the contents of base. base itself is not changed.
func NewCrash(base *device.Mem) *Crash {
	return &Crash{durable: base.Clone(), cache: NewRecorder(base.Clone())}
}

// Cut returns what a power cut at this moment leaves.
func (c *Crash) Cut() *device.Mem {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.durable.Clone()
}

// Scattered returns what a power cut at this moment may leave: of each sector that was changed since the
// last sync one state at random, the one before or any that it went through. See Scatter.
func (c *Crash) Scattered(rng *rand.Rand) (*device.Mem, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.durable.Clone()
	return m, Scatter(m, c.cache.Log(), rng)
}

// Size is the length in bytes.
func (c *Crash) Size() int64 { return c.cache.Size() }

// ReadAt reads what was written last, synced or not.
func (c *Crash) ReadAt(p []byte, off int64) (int, error) { return c.cache.ReadAt(p, off) }

// WriteAt writes into the cache.
func (c *Crash) WriteAt(p []byte, off int64) (int, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.cache.WriteAt(p, off)
}

// ZeroAt zeros in the cache.
func (c *Crash) ZeroAt(off, n int64) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.cache.ZeroAt(off, n)
}

// DiscardAt discards in the cache.
func (c *Crash) DiscardAt(off, n int64) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.cache.DiscardAt(off, n)
}

// Sync moves everything from the cache to where a cut cannot reach it.
func (c *Crash) Sync() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	log := c.cache.take()
	return Replay(c.durable, log, len(log))
}

var _ interface {
	device.Device
	device.Zeroer
	device.Discarder
} = (*Crash)(nil)
