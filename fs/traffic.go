package fs

import "sync/atomic"

// Traffic is what went through a mount since it was made. What the kernel answers from its cache never
// comes here.
type Traffic struct {
	Reads, ReadBytes     int64 // requests that read file contents, and what they were given
	Writes, WrittenBytes int64 // requests that changed file contents, and how much
	Errors               int64 // requests that were answered with EIO
}

// traffic counts a Traffic.
type traffic struct {
	reads, readBytes     atomic.Int64
	writes, writtenBytes atomic.Int64
	errors               atomic.Int64
}

func (t *traffic) read(n int64) {
	t.reads.Add(1)
	t.readBytes.Add(n)
}

func (t *traffic) wrote(n int64) {
	t.writes.Add(1)
	t.writtenBytes.Add(n)
}

// Traffic returns the totals.
func (s *Server) Traffic() Traffic {
	t := &s.fs.traffic
	return Traffic{
		Reads: t.reads.Load(), ReadBytes: t.readBytes.Load(),
		Writes: t.writes.Load(), WrittenBytes: t.writtenBytes.Load(),
		Errors: t.errors.Load(),
	}
}
