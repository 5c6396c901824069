package mkfat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"fatvol/image/device"
	"fatvol/image/fat"
)

const (
	// pieceSize is how much goes to the device at once. It stays in the cache of a processor from when it is
	// read until it is written.
	pieceSize = 256 << 10
	// maxWriters bounds the pieces that are read and written side by side: more do not make a host faster, and
	// each takes memory.
	maxWriters = 8
	// minWriters is for hosts that let a reader wait.
	minWriters = 4
	// holeSize is what must be zeros to be left out of a blank image: shorter holes cost more than they save.
	holeSize = 64 << 10
)

// A dataWriter writes the data area: directories and files, which follow each other without a gap. It is cut into
// pieces of the same length, whatever lies in them; each writer reads a piece and writes it.
type dataWriter struct {
	plan     *Plan
	ctx      context.Context
	dev      device.Device
	blank    bool
	progress func(n int64)
	chains   []*Node // all that lies there, in order
	size     int64   // bytes of all of it

	mu struct {
		sync.Mutex
		at     int64   // where the next piece begins
		chain  int     // the first that lies in it
		across *source // what this one is read from, if it begins before at
		err    error   // the first one: no more pieces are given out
	}
}

func (p *Plan) writeData(ctx context.Context, volume device.Device, blank bool, progress func(n int64)) error {
	w := &dataWriter{plan: p, ctx: ctx, dev: volume, blank: blank, progress: progress,
		chains: p.chains(), size: int64(p.needed) * p.Shape.ClusterSize()}
	var wg sync.WaitGroup
	for range min(int64(max(runtime.GOMAXPROCS(0), minWriters)), maxWriters, ceilDiv(w.size, pieceSize)) {
		wg.Go(w.run)
	}
	wg.Wait()
	return errors.Join(w.mu.err, w.mu.across.release())
}

// chains are the directories and files that have clusters, in the order in which they lie.
func (p *Plan) chains() []*Node {
	dirs := p.dirs
	if p.root.first == 0 {
		dirs = dirs[1:]
	}
	return append(dirs[:len(dirs):len(dirs)], p.files...)
}

// run writes pieces while there are any.
func (w *dataWriter) run() {
	buf := make([]byte, min(pieceSize, w.size))
	for {
		p := w.next()
		if p == nil {
			return
		}
		b := buf[:p.to-p.from]
		err := w.fill(b, p)
		if err == nil {
			err = w.put(b, w.plan.Shape.dataStart()+p.from)
		}
		if err != nil {
			w.fail(err)
			return
		}
		w.progress(int64(len(b)))
	}
}

func (w *dataWriter) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.err == nil {
		w.mu.err = err
	}
}

// A piece is a part of the data area, with the chains that lie in it.
type piece struct {
	from, to   int64 // bytes from the beginning of the data area
	chains     []*Node
	head, tail *source // of the first and the last of them, where they reach into other pieces; may be the same
}

// next gives out a piece, and nil when there is none or nothing more can come of it.
func (w *dataWriter) next() *piece {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.err == nil && w.ctx.Err() != nil {
		w.mu.err = context.Cause(w.ctx)
	}
	if w.mu.err != nil || w.mu.at == w.size {
		return nil
	}
	p := &piece{from: w.mu.at, to: min(w.mu.at+pieceSize, w.size), head: w.mu.across.hold()}
	first := w.mu.chain
	end := first
	for end < len(w.chains) && w.end(w.chains[end]) <= p.to {
		end++
	}
	w.mu.at, w.mu.chain = p.to, end
	if end > first {
		w.mu.err = w.mu.across.release()
		w.mu.across = nil
	}
	if end < len(w.chains) && w.start(w.chains[end]) < p.to {
		if w.mu.across == nil {
			w.mu.across = w.source(w.chains[end])
		}
		p.tail = w.mu.across.hold()
		end++
	}
	p.chains = w.chains[first:end]
	return p
}

func (w *dataWriter) start(n *Node) int64 { return int64(n.first-2) * w.plan.Shape.ClusterSize() }
func (w *dataWriter) end(n *Node) int64 {
	return w.start(n) + int64(n.clusters)*w.plan.Shape.ClusterSize()
}

// fill reads a piece.
func (w *dataWriter) fill(buf []byte, p *piece) (err error) {
	defer func() { err = errors.Join(err, p.head.release(), p.tail.release()) }()
	for i, n := range p.chains {
		start := w.start(n)
		from, to := max(start, p.from), min(w.end(n), p.to)
		b := buf[from-p.from : to-p.from]
		data := max(0, min(to, start+n.length())-from)
		clear(b[data:])
		switch {
		case i == 0 && p.head != nil:
			err = p.head.read(b[:data], from-start)
		case i == len(p.chains)-1 && p.tail != nil:
			err = p.tail.read(b[:data], from-start)
		default:
			s := w.source(n)
			err = errors.Join(s.read(b[:data], from-start), s.release())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// length is how many bytes there are in the clusters of a file or directory.
func (n *Node) length() int64 {
	if n.Dir {
		return int64(n.slots) * fat.DirSlot
	}
	return n.Size
}

var hole [holeSize]byte

// put writes b at off, but on a blank device not what is zeros.
func (w *dataWriter) put(b []byte, off int64) error {
	from, to := 0, 0 // what has yet to be written
	flush := func() error {
		if from == to {
			return nil
		}
		_, err := w.dev.WriteAt(b[from:to], off+int64(from))
		return err
	}
	for at := 0; at < len(b); {
		n := min(holeSize-int((off+int64(at))%holeSize), len(b)-at)
		if w.blank && bytes.Equal(b[at:at+n], hole[:n]) {
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

// A source is what the clusters of a file or directory are read from. It is opened when it is first read, and
// closed when nobody holds it any more. A nil *source stands for none.
type source struct {
	open func() (Contents, error)
	node *Node

	mu   sync.Mutex
	held int
	from Contents // nil before the first read
	err  error    // of open
}

// source is held by whoever asks for it.
func (w *dataWriter) source(n *Node) *source {
	s := &source{open: n.Open, node: n, held: 1}
	if n.Dir {
		s.open = func() (Contents, error) { return rendered{bytes.NewReader(w.plan.render(n))}, nil }
	}
	return s
}

// rendered is a directory as it will be on the disk.
type rendered struct{ *bytes.Reader }

func (rendered) Close() error { return nil }

func (s *source) hold() *source {
	if s != nil {
		s.mu.Lock()
		s.held++
		s.mu.Unlock()
	}
	return s
}

func (s *source) release() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held--; s.held > 0 || s.from == nil {
		return nil
	}
	if err := s.from.Close(); err != nil {
		return fmt.Errorf("%s: %w", s.node.path(), err)
	}
	return nil
}

// read fills b from the byte off on.
func (s *source) read(b []byte, off int64) error {
	if len(b) == 0 {
		return nil
	}
	s.mu.Lock()
	if s.from == nil && s.err == nil {
		s.from, s.err = s.open()
	}
	from, err := s.from, s.err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	switch n, err := from.ReadAt(b, off); {
	case n == len(b):
		return nil
	case err == io.EOF:
		return fmt.Errorf("%s: became shorter while it was read: %d bytes of %d: %w", s.node.path(), off+int64(n), s.node.Size, io.ErrUnexpectedEOF)
	default:
		return fmt.Errorf("%s: %w", s.node.path(), err)
	}
}
