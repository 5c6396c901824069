package replay

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestCopies takes and gives back in the order of a log, and now and then out of it: no two copies that are in
// use share a byte, and nobody writes to what was lost.
func TestCopies(t *testing.T) {
	type held struct {
		p    []byte
		in   *chunk
		fill byte
	}
	var c copies
	var list, lost []held
	rng := rand.New(rand.NewPCG(3, 3))
	check := func(h held) {
		if n := bytes.Count(h.p, []byte{h.fill}); n != len(h.p) {
			t.Fatalf("a copy of %d bytes was overwritten", len(h.p))
		}
	}
	for i := range 20000 {
		n := []int{512, 4096, 5000, 600 << 10, chunkBytes, chunkBytes + 1}[rng.IntN(6)]
		if n > 5000 && i%50 != 0 {
			n = 4096
		}
		p, in := c.take(n)
		if len(p) != n || cap(p) != n {
			t.Fatalf("take(%d): %d bytes, %d in all", n, len(p), cap(p))
		}
		h := held{p, in, byte(i)}
		for k := range p {
			p[k] = h.fill
		}
		list = append(list, h)
		for len(list) > 200 || len(list) > 0 && rng.IntN(3) == 0 {
			k := 0
			if rng.IntN(10) == 0 {
				k = len(list) - 1
			}
			check(list[k])
			if in := list[k].in; in != nil && rng.IntN(1000) == 0 {
				in.lose()
				lost = append(lost, list[k])
			}
			c.give(list[k].in)
			list = append(list[:k], list[k+1:]...)
		}
	}
	if len(lost) == 0 {
		t.Error("nothing was lost")
	}
	for _, h := range list {
		check(h)
		c.give(h.in)
	}
	for _, h := range lost {
		check(h)
	}
	if c.drop(); len(c.free) != 0 || c.current != nil {
		t.Errorf("%d chunks are left, current %v", len(c.free), c.current)
	}
}

// Memory that was lent is kept where it is by what is written from it and large, copied by what is small, and
// handed out again only when it was taken back and no copy is in it any more.
func TestLoan(t *testing.T) {
	var c copies
	p := c.lend()
	if len(p) != LoanBytes {
		t.Fatalf("%d bytes are lent", len(p))
	}
	if c.share(p[:leastShared-1]) != nil || c.share(make([]byte, chunkBytes)) != nil {
		t.Error("what is small, or not of lent memory, is shared")
	}
	a := c.share(p[4096 : 4096+leastShared])
	b := c.share(p[len(p)-leastShared:])
	if a == nil || a != b {
		t.Fatalf("shared: %p and %p", a, b)
	}
	another := func() bool {
		q := c.lend()
		defer c.takeBack(q)
		return &q[0] != &p[0]
	}
	if !another() {
		t.Error("it is lent twice")
	}
	c.takeBack(p)
	c.give(a)
	if !another() {
		t.Error("it is lent again while a copy is in it")
	}
	c.give(b)
	if q := c.lend(); &q[0] != &p[0] && len(c.free) == 0 {
		t.Error("it is not used again")
	}
	if c.takeBack(make([]byte, LoanBytes)); len(c.lent) != 1 {
		t.Errorf("%d loans are left", len(c.lent))
	}

	// What somebody may read for ever is not lent again.
	lost := c.lend()
	in := c.share(lost)
	in.lose()
	c.give(in)
	c.takeBack(lost)
	for range 4 {
		if q := c.lend(); &q[0] == &lost[0] {
			t.Fatal("lost memory is lent again")
		}
	}
}
