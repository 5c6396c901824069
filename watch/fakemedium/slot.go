package fakemedium

import (
	"fmt"
	"io/fs"
	"sync"

	"fatvol/watch"
)

// A Call is one call of the slot or of a host in it, as a hook sees it.
type Call struct {
	N  int    // from 1
	Op string // open, read, write, sync, probe, zero, discard or close
	// Off and Len are the range of read, write, zero and discard.
	Off, Len int64
}

// A Hook is asked before each call. It may block, and so hang the call; an error fails it.
type Hook func(Call) error

// A Slot takes one stick at a time. All methods may be called concurrently.
type Slot struct {
	mu struct {
		sync.Mutex
		mount    *mount // what is mounted at the image's path; nil if nothing is
		hook     Hook
		calls    int
		open     int // hosts that are open
		readOnly bool
	}
}

// NewSlot returns a slot with a stick in it, mounted; nil is an empty slot.
func NewSlot(s *Stick) *Slot {
	slot := new(Slot)
	if s != nil {
		slot.Plug(s)
	}
	return slot
}

// Plug puts a stick in, and mounts it at the image's path, over whatever is mounted there.
func (s *Slot) Plug(stick *Stick) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.mount = newMount(stick)
}

// Pull takes the stick out. What its host had cached and not synced is lost; the host stays mounted, dead.
func (s *Slot) Pull() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.mount != nil {
		s.mu.mount.kill()
	}
}

// Unmount takes the host away, dead or alive; a living one writes back what it has.
func (s *Slot) Unmount() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.mount != nil {
		s.mu.mount.writeBack()
		s.mu.mount = nil
	}
}

// WriteBack has the host write to the stick what it has cached, as hosts do by themselves after a while.
func (s *Slot) WriteBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.mount != nil {
		s.mu.mount.writeBack()
	}
}

// Delete removes the image from the host: it lives on for those that have it open.
func (s *Slot) Delete() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.mount != nil {
		s.mu.mount.delete()
		s.mu.mount = nil
	}
}

// SetReadOnly remounts the host.
func (s *Slot) SetReadOnly(ro bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.readOnly = ro
}

// SetHook installs a hook; nil removes it.
func (s *Slot) SetHook(h Hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.hook = h
}

// Calls is the number of calls so far, those of Open included, and those of Close not.
func (s *Slot) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.calls
}

// OpenHosts is the number of hosts that are open.
func (s *Slot) OpenHosts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.open
}

// Open opens the image: what watch.Config.Open is for.
func (s *Slot) Open() (watch.Host, error) {
	if err := s.enter(Call{Op: "open"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.mount == nil {
		return nil, fmt.Errorf("open: %w", fs.ErrNotExist)
	}
	s.mu.open++
	return &host{slot: s, mount: s.mu.mount, size: s.mu.mount.stick.size(), writable: !s.mu.readOnly}, nil
}

// enter counts a call and asks the hook.
func (s *Slot) enter(c Call) error {
	s.mu.Lock()
	if c.Op != "close" {
		s.mu.calls++
	}
	c.N = s.mu.calls
	hook := s.mu.hook
	s.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(c)
}

func (s *Slot) isReadOnly() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.readOnly
}

func (s *Slot) closed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.open--
}
