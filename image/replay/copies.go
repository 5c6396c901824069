package replay

// chunkBytes is the unit in which memory for copies is taken: what a write of the kernel brings at most.
const chunkBytes = 1 << 20

// A chunk is memory for the copies of several writes, one behind the other. When none of them is needed any
// more it is used again: fresh memory for each write would cost more than the copying, and leave the garbage
// collector as much again as is kept.
type chunk struct {
	buf   []byte
	used  int
	users int // copies in it
	// lost: a call that the lower device gave up on may read it for ever. It is not used again.
	lost bool
}

// copies hands out memory for copies. Log.mu guards it.
type copies struct {
	current *chunk
	free    []*chunk
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
	return &chunk{buf: make([]byte, chunkBytes)}
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
	n := int64(len(c.free)) * chunkBytes
	c.free = nil
	if c.current != nil && c.current.users == 0 {
		c.current = nil
		n += chunkBytes
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
