package fs

// InvalidateAll has the kernel drop all data, attributes and names that it holds of the volume, so
// that nothing is answered from memory. It waits for requests under way that use cached pages, so it
// must not be called from within one, nor with a lock held that they need.
func (s *Server) InvalidateAll() {
	fs := s.fs
	nodes := fs.nodes.t.all()
	for _, n := range nodes {
		fs.expireAttr(n.ID())
	}
	if fs.epochs {
		fs.increaseEpoch()
	}
	for _, n := range nodes {
		fs.kernel.InodeNotify(n.ID(), 0, 0)
	}
}
