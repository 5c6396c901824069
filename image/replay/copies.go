package replay

import "unsafe"

// chunkBytes is the unit in which memory for copies is taken: what a write of the kernel brings at most.
const chunkBytes = 1 << 20

// LoanBytes is the size of what Log.Lend gives: a write, and what a request has before it.
const LoanBytes = chunkBytes + 8<<10

// leastShared is the size from which on a write from lent memory is kept as it is. What is smaller is copied, so
// that not much more memory is in use than is counted.
const leastShared = chunkBytes / 2

// A chunk is memory for the copies of several writes, one behind the other. When none of them is needed any
// more it is used again: fresh memory for each write would cost more than the copying, and leave the garbage
// collector as much again as is kept.
type chunk struct {
	buf   []byte
	used  int
	users int // copies in it, and who has borrowed it
	// lost: a call that the lower device gave up on may read it for ever. It is not used again.
	lost bool
}

// copies hands out memory for copies. Log.mu guards it.
type copies struct {
	current *chunk
	free    []*chunk
	lent    []*chunk
}

// take returns memory for n bytes, and what give takes back. What is larger than a chunk gets memory of its
// own, and a nil chunk.
func (c *copies) take(n int) ([]byte, *chunk) {
	if n > chunkBytes {
		return make([]byte, n), nil
	}
	ch := c.current
	if ch == nil || len(ch.buf)-ch.used < n {
		ch = c.fresh()
		// What is large gets a chunk and leaves the current one to the small.
		if c.current == nil || n <= chunkBytes/2 {
			c.current = ch
		}
	}
	p := ch.buf[ch.used : ch.used+n : ch.used+n]
	ch.used += n
	ch.users++
	return p, ch
}

func (c *copies) fresh() *chunk {
	if k := len(c.free) - 1; k >= 0 {
		ch := c.free[k]
		c.free = c.free[:k]
		return ch
	}
	return &chunk{buf: make([]byte, LoanBytes)}
}

// lend returns memory for others to fill.
func (c *copies) lend() []byte {
	ch := c.fresh()
	ch.used, ch.users = len(ch.buf), 1
	c.lent = append(c.lent, ch)
	return ch.buf
}

// takeBack takes lent memory back, which may still be shared.
func (c *copies) takeBack(p []byte) {
	for i, ch := range c.lent {
		if unsafe.SliceData(ch.buf) == unsafe.SliceData(p) {
			last := len(c.lent) - 1
			c.lent[i], c.lent[last] = c.lent[last], nil
			c.lent = c.lent[:last]
			c.give(ch)
			return
		}
	}
}

// share returns what give takes back if p is in lent memory and large enough to be kept there, or nil.
func (c *copies) share(p []byte) *chunk {
	if len(p) < leastShared {
		return nil
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	for _, ch := range c.lent {
		// Addresses tell: Go does not move what it has allocated.
		if from := uintptr(unsafe.Pointer(unsafe.SliceData(ch.buf))); at >= from && at < from+uintptr(len(ch.buf)) {
			ch.users++
			return ch
		}
	}
	return nil
}

// give takes one copy back.
func (c *copies) give(ch *chunk) {
	if ch == nil {
		return
	}
	if ch.users--; ch.users > 0 {
		return
	}
	ch.used = 0
	switch {
	case ch.lost:
		if c.current == ch {
			c.current = nil
		}
	case c.current != ch:
		c.free = append(c.free, ch)
	}
}

// lose notes that somebody may read a copy for ever.
func (ch *chunk) lose() {
	if ch != nil {
		ch.lost = true
	}
}

// drop gives all memory back that holds no copies, and returns how many bytes that were.
func (c *copies) drop() int64 {
	n := int64(len(c.free)) * LoanBytes
	c.free = nil
	if c.current != nil && c.current.users == 0 {
		c.current = nil
		n += LoanBytes
	}
	return n
}

// copyCached is copy for what is read again at once. From a MiB on, copy goes past the processor's cache.
func copyCached(dst, src []byte) {
	const piece = 128 << 10
	for len(src) > 0 {
		n := copy(dst[:min(len(dst), piece)], src)
		dst, src = dst[n:], src[n:]
	}
}
