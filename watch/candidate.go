package watch

import "time"

// A Candidate is what came back, while it is being verified: a device whose calls have deadlines.
type Candidate struct{ conn *conn }

// Host is what Config.Open returned. Its calls have no deadlines.
func (d *Candidate) Host() Host { return d.conn.host }

// Size is the length in bytes.
func (d *Candidate) Size() int64 { return d.conn.host.Size() }

// ReadAt reads from the host.
func (d *Candidate) ReadAt(p []byte, off int64) (int, error) {
	if err := d.conn.read(time.Now(), p, off); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteAt writes to the host; p must not change after an error.
func (d *Candidate) WriteAt(p []byte, off int64) (int, error) {
	if err := d.conn.write(time.Now(), p, off); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Sync makes what was written durable.
func (d *Candidate) Sync() error { return d.conn.sync() }

// ZeroAt makes a range read as zeros.
func (d *Candidate) ZeroAt(off, n int64) error {
	for at, k := range byPiece(off, n) {
		if err := d.conn.zero(time.Now(), at, k); err != nil {
			return err
		}
	}
	return nil
}

// DiscardAt gives back the storage of a range.
func (d *Candidate) DiscardAt(off, n int64) error { return d.conn.discard(time.Now(), off, n) }
