package watch

import (
	"errors"
	"iter"
	"slices"
	"sync"
	"time"
)

const (
	// piece is what is written back, or made zeros, under one deadline: at 50 KiB/s, which is what the worst sticks do
	// with scattered writes, well below the default.
	piece = 1 << 20
	// somePieces is how many of them are left to the sync itself.
	somePieces = 4
	// quickPiece is how long a piece takes at most on a medium that gets several of them at once, and
	// maxPieces is how many. What is below 50 MB/s is not among them, and what slows down by the factor
	// of 14 within the next call still keeps the default deadline.
	quickPiece = 20 * time.Millisecond
	maxPieces  = 8
	// writeBackRounds bounds the attempts to get ahead of those who write meanwhile.
	writeBackRounds = 8
)

// byPiece yields the parts of a range, by offset and length, that lie in one piece each.
func byPiece(off, n int64) iter.Seq2[int64, int64] {
	return func(yield func(off, n int64) bool) {
		for n > 0 {
			k := min(n, piece-off%piece)
			if !yield(off, k) {
				return
			}
			off, n = off+k, n-k
		}
	}
}

// writeBacker is a Host that can write a range of what it has cached to the medium, and wait for that. It
// returns errors.ErrUnsupported where the system has no such call.
type writeBacker interface {
	WriteBack(off, n int64) error
}

// unwritten are the pieces of the image that were changed since they were last written back.
type unwritten struct {
	mu     sync.Mutex
	pieces map[int64]struct{}
}

func (u *unwritten) add(off, n int64) {
	if n <= 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.pieces == nil {
		u.pieces = make(map[int64]struct{})
	}
	for i := off / piece; i <= (off+n-1)/piece; i++ {
		u.pieces[i] = struct{}{}
	}
}

// take empties it, and returns what it had in order, unless that is too little to be worth it.
func (u *unwritten) take(least int) (list []int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.pieces) < least {
		return nil
	}
	for i := range u.pieces {
		list = append(list, i)
	}
	clear(u.pieces)
	slices.Sort(list)
	return list
}

// writeBack has the host write what it has cached, piece by piece, before a sync. A slow medium needs
// longer for all of it than any call may take, and would never be synced: so the deadline is for each
// piece, and a medium that goes on writing is not taken for one that hangs. One that writes fast gets several
// pieces at once. The caller has the turn; see syncing.
func (c *conn) writeBack() error {
	w, ok := c.host.(writeBacker)
	if !ok || c.noWriteBack.Load() {
		return nil
	}
	for range writeBackRounds {
		list := c.unwritten.take(somePieces + 1)
		if list == nil {
			return nil
		}
		for len(list) > 0 {
			n := int64(1)
			for n < c.pieces && n < int64(len(list)) && list[n] == list[0]+n {
				n++
			}
			first := list[0]
			list = list[n:]
			began := time.Now()
			err := c.call("write back", began, func() error {
				return w.WriteBack(first*piece, min(n*piece, c.host.Size()-first*piece))
			})
			if errors.Is(err, errors.ErrUnsupported) {
				c.noWriteBack.Store(true)
				return nil
			}
			if err != nil {
				return err
			}
			if c.pieces = 1; time.Since(began) < time.Duration(n)*quickPiece {
				c.pieces = min(2*n, maxPieces)
			}
		}
	}
	return nil
}

// syncing lets one sync at a time through: a second would wait for what the first writes back, under a
// single deadline.
func (c *conn) syncing() (done func(), err error) {
	select {
	case c.syncTurn <- struct{}{}:
		return func() { <-c.syncTurn }, nil
	case <-c.quit:
		return nil, errClosed
	}
}
