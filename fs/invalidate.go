package fs

import (
	"sync"
	"sync/atomic"
)

// invalidators is how many goroutines invalidate: one may wait for a request that uses cached pages, and
// must not keep the kernel answering for all the others.
const invalidators = 4

// InvalidateAll has the kernel drop all data, attributes and names that it holds of the volume, so
// that nothing is answered from memory. It waits for requests under way that use cached pages, so it
// must not be called from within one, nor with a lock held that they need.
func (s *Server) InvalidateAll() {
	fs := s.fs
	if fs.epochs {
		fs.increaseEpoch()
	}
	nodes := fs.nodes.openFirst()
	var next atomic.Int64
	var all sync.WaitGroup
	for range invalidators {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(nodes) {
					return
				}
				fs.kernel.InodeNotify(nodes[i].ID(), 0, 0) // attributes first, then data
			}
		})
	}
	all.Wait()
}

// openFirst returns all nodes: first those that are open, whose data the kernel gives out without asking us.
func (nt *nodeTable) openFirst() (nodes []*node) {
	var closed []*node
	for _, n := range nt.t.all() {
		if n.opens.Load() > 0 {
			nodes = append(nodes, n)
		} else {
			closed = append(closed, n)
		}
	}
	return append(nodes, closed...)
}
