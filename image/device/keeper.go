package device

// Keeper is implemented by devices that can vanish and come back: they want to know which bytes their
// user holds in memory, so as to see whether these are still what the medium has.
type Keeper interface {
	// Keep says that p, just read from or written to offset off, is held in memory.
	Keep(off int64, p []byte)
	// Forget says that the n bytes at off are not held any more.
	Forget(off, n int64)
}

// Keep tells d, if it is a Keeper, of bytes held in memory.
func Keep(d Device, off int64, p []byte) {
	if k, ok := d.(Keeper); ok {
		k.Keep(off, p)
	}
}

// Forget tells d, if it is a Keeper, of bytes not held any more.
func Forget(d Device, off, n int64) {
	if k, ok := d.(Keeper); ok {
		k.Forget(off, n)
	}
}

func (s *section) Keep(off int64, p []byte) { Keep(s.d, s.off+off, p) }
func (s *section) Forget(off, n int64)      { Forget(s.d, s.off+off, n) }

func (r *readOnly) Keep(off int64, p []byte) { Keep(r.d, off, p) }
func (r *readOnly) Forget(off, n int64)      { Forget(r.d, off, n) }

// Logger is implemented by devices that know what they have not synced.
type Logger interface {
	// Unsynced is the number of bytes written that are not known to be on the medium.
	Unsynced() int64
}

// Unsynced asks d, if it is a Logger, how many bytes are not on the medium yet.
func Unsynced(d Device) int64 {
	if l, ok := d.(Logger); ok {
		return l.Unsynced()
	}
	return 0
}

func (s *section) Unsynced() int64  { return Unsynced(s.d) }
func (r *readOnly) Unsynced() int64 { return Unsynced(r.d) }
