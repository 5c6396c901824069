package fakemedium

import (
	"fmt"
	"io"
	"sync"
	"syscall"
)

// A mount is a host file system on a stick, with its cache.
type mount struct {
	stick *Stick

	mu      sync.Mutex
	cache   map[int64][]byte
	dirty   map[int64]bool
	dead    bool
	deleted bool
	lost    bool // writes were lost; the next sync says so, once
}

func newMount(s *Stick) *mount {
	return &mount{stick: s, cache: make(map[int64][]byte), dirty: make(map[int64]bool)}
}

// kill is the pull: nothing reaches the stick any more.
func (m *mount) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	m.lost = m.lost || len(m.dirty) > 0
}

func (m *mount) delete() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deleted = true
}

func (m *mount) writeBack() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writeBackLocked()
}

func (m *mount) writeBackLocked() {
	if m.dead {
		return
	}
	for n := range m.dirty {
		m.stick.write(n, m.cache[n])
		delete(m.dirty, n)
	}
}

// sync reports lost writes once, and that the dead host is read-only from then on.
func (m *mount) sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writeBackLocked()
	switch {
	case m.lost:
		m.lost = false
		clear(m.dirty)
		return syscall.EIO
	case m.dead:
		return syscall.EROFS
	}
	return nil
}

// probe is an uncached read, and a look at the file.
func (m *mount) probe(size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.dead:
		return syscall.ENODEV
	case m.deleted:
		return lostError("the image was deleted")
	case m.stick.size() < size:
		return lostError("the image shrank")
	}
	return nil
}

type lostError string

func (e lostError) Error() string { return string(e) }
func (lostError) Lost() bool      { return true }

// access reads or writes a range through the cache.
func (m *mount) access(p []byte, off int64, write bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(p) > 0 {
		n, at := off/Block, off%Block
		b, err := m.blockLocked(n, write && at == 0 && len(p) >= Block)
		if err != nil {
			return err
		}
		var done int
		if write {
			done = copy(b[at:], p)
			m.dirty[n] = true
			m.lost = m.lost || m.dead
		} else {
			done = copy(p, b[at:])
		}
		if done == 0 {
			return fmt.Errorf("the image ends at %d: %w", off, io.ErrUnexpectedEOF)
		}
		p, off = p[done:], off+int64(done)
	}
	return nil
}

// blockLocked returns a block of the cache. whole says that it is about to be replaced.
func (m *mount) blockLocked(n int64, whole bool) ([]byte, error) {
	if b := m.cache[n]; b != nil {
		return b, nil
	}
	if m.dead && !whole {
		return nil, syscall.EIO
	}
	size := min(Block, m.stick.size()-n*Block)
	if size <= 0 {
		return nil, io.ErrUnexpectedEOF
	}
	b := make([]byte, size)
	if !m.dead && !m.stick.read(n, b) {
		return nil, io.ErrUnexpectedEOF
	}
	m.cache[n] = b
	return b, nil
}
