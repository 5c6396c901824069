//go:build !linux && !darwin

package device

func aligned(n int) []byte { return make([]byte, n) }

// readUncached has no means here but to read: a medium that is gone shows when what is cached ends.
func (h *Host) readUncached(p []byte) (int, error) { return readThrough(h.f, p) }
