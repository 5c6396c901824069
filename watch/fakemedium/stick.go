package fakemedium

import (
	"bytes"
	"sync"
)

// Block is the unit in which a host caches and a stick stores.
const Block = 512

// A Stick is a medium with one file on it, the image: what survives a pull.
type Stick struct {
	mu       sync.Mutex
	contents []byte
	writes   int // blocks written to it
}

// NewStick returns a stick whose image has the given contents, which it makes its own.
func NewStick(contents []byte) *Stick { return &Stick{contents: contents} }

// Blank returns a stick whose image is size zero bytes.
func Blank(size int64) *Stick { return NewStick(make([]byte, size)) }

// Copy returns another stick with the same contents.
func (s *Stick) Copy() *Stick { return NewStick(s.Contents()) }

// Contents returns a copy of the image as it is on the stick.
func (s *Stick) Contents() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.contents)
}

// Edit changes the image behind the back of whoever has it open, as another computer would.
func (s *Stick) Edit(change func(contents []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.contents = change(s.contents)
}

// Writes is the number of blocks that have been written to the stick.
func (s *Stick) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

func (s *Stick) size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.contents))
}

// read copies the block with a number, and reports whether it is there whole.
func (s *Stick) read(n int64, p []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	off := n * Block
	return off+int64(len(p)) <= int64(len(s.contents)) && copy(p, s.contents[off:]) == len(p)
}

func (s *Stick) write(n int64, p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if off := n * Block; off < int64(len(s.contents)) {
		copy(s.contents[off:], p)
		s.writes++
	}
}
