package mkfat

import (
	"bytes"
	"context"

	"fatvol/image/device"
)

const (
	// pieceSize is how much goes to the device at once. Three pieces are on the way, so that reading and
	// writing go on side by side.
	pieceSize = 1 << 20
	pieces    = 3
	// holeSize is what must be zeros to be left out of a blank image: shorter holes cost more than they save.
	holeSize = 64 << 10
)

// A stream writes a row of bytes to a device from an offset on, in large pieces, while the next ones are
// filled. One goroutine fills it.
type stream struct {
	ctx   context.Context
	free  chan []byte
	full  chan []byte
	ended chan error // the first error of the writer; closed when it has ended
	buf   []byte     // being filled, of length pieceSize
	n     int        // bytes filled
}

func newStream(ctx context.Context, dev device.Device, off int64, blank bool, progress func(n int64)) *stream {
	s := &stream{ctx: ctx, free: make(chan []byte, pieces), full: make(chan []byte, pieces), ended: make(chan error, 1)}
	for range pieces {
		s.free <- make([]byte, pieceSize)
	}
	go func() {
		defer close(s.ended)
		for b := range s.full {
			if err := writePiece(dev, b, off, blank); err != nil {
				s.ended <- err
				return
			}
			off += int64(len(b))
			progress(int64(len(b)))
			s.free <- b[:pieceSize]
		}
	}()
	return s
}

var hole [holeSize]byte

// writePiece writes b at off, but on a blank device not what is zeros.
func writePiece(dev device.Device, b []byte, off int64, blank bool) error {
	from, to := 0, 0 // what has yet to be written
	flush := func() error {
		if from == to {
			return nil
		}
		_, err := dev.WriteAt(b[from:to], off+int64(from))
		return err
	}
	for at := 0; at < len(b); {
		n := min(holeSize-int((off+int64(at))%holeSize), len(b)-at)
		if blank && bytes.Equal(b[at:at+n], hole[:n]) {
			if err := flush(); err != nil {
				return err
			}
			from = at + n
		}
		at += n
		to = at
	}
	return flush()
}

// room is where the next bytes are to be put, at most n; took says how many of them were.
func (s *stream) room(n int64) ([]byte, error) {
	if s.buf == nil {
		select {
		case s.buf = <-s.free:
		case err := <-s.ended:
			return nil, s.failed(err)
		case <-s.ctx.Done():
			return nil, context.Cause(s.ctx)
		}
		if err := s.ctx.Err(); err != nil {
			return nil, context.Cause(s.ctx)
		}
	}
	return s.buf[s.n:min(int64(pieceSize), int64(s.n)+n)], nil
}

// failed keeps an error of the writer for close.
func (s *stream) failed(err error) error {
	s.ended = make(chan error)
	close(s.ended)
	return err
}

func (s *stream) took(n int) {
	if s.n += n; s.n == pieceSize {
		s.send()
	}
}

func (s *stream) send() {
	s.full <- s.buf[:s.n]
	s.buf, s.n = nil, 0
}

func (s *stream) write(p []byte) error {
	for len(p) > 0 {
		room, err := s.room(int64(len(p)))
		if err != nil {
			return err
		}
		n := copy(room, p)
		s.took(n)
		p = p[n:]
	}
	return nil
}

// pad writes n zeros.
func (s *stream) pad(n int64) error {
	for n > 0 {
		room, err := s.room(n)
		if err != nil {
			return err
		}
		clear(room)
		s.took(len(room))
		n -= int64(len(room))
	}
	return nil
}

// close waits until everything is written, unless err says that it will never be whole, and returns the
// first error.
func (s *stream) close(err error) error {
	if err == nil && s.n > 0 {
		s.send()
	}
	close(s.full)
	werr := <-s.ended
	if err != nil {
		return err
	}
	return werr
}
