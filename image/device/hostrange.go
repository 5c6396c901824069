package device

// zeroByWriting is the length up to which zeros are written rather than asked for: a call that
// changes the host's block map costs more than the transfer of a few pages. On ext4 the two take
// equally long at this length, and writing has its sync still to come.
const zeroByWriting = 64 << 10

// rangeStep bounds what one call asks the host to zero or to discard, and so its duration.
const rangeStep = 256 << 20

// ZeroAt makes a range read as zeros by the cheapest means that the host has.
func (h *Host) ZeroAt(off, n int64) error {
	if err := h.checkChange("zero", off, n); err != nil {
		return err
	}
	for n > 0 {
		step := min(n, rangeStep)
		if err := h.zeroStep(off, step); err != nil {
			return err
		}
		off, n = off+step, n-step
	}
	return nil
}

// zeroStep zeros what the host can by its own means, and writes the rest.
func (h *Host) zeroStep(off, n int64) error {
	if n <= zeroByWriting {
		return h.writeZeros(off, n)
	}
	from, to := h.aligned(off, off+n)
	if from >= to {
		return h.writeZeros(off, n)
	}
	done, err := h.zeroRange(from, to-from)
	if err != nil {
		return h.ioError("zero", off, n, err)
	}
	if !done {
		return h.writeZeros(off, n)
	}
	if err := h.writeZeros(off, from-off); err != nil {
		return err
	}
	return h.writeZeros(to, off+n-to)
}

func (h *Host) writeZeros(off, n int64) error {
	for n > 0 {
		m := min(n, zeroChunk)
		if _, err := h.WriteAt(zeros[:m], off); err != nil {
			return err
		}
		off, n = off+m, n-m
	}
	return nil
}

// DiscardAt gives the storage under a range back to the host, or returns errors.ErrUnsupported.
// On a disk, the parts of sectors at both ends of the range stay.
func (h *Host) DiscardAt(off, n int64) error {
	if err := h.checkChange("discard", off, n); err != nil {
		return err
	}
	from, to := h.aligned(off, off+n)
	for from < to {
		step := min(to-from, rangeStep)
		if err := h.discardRange(from, step); err != nil {
			return h.ioError("discard", from, step, err)
		}
		from += step
	}
	return nil
}

// aligned is the part of [from, to) that is made of whole sectors of a disk; all of it on a file.
func (h *Host) aligned(from, to int64) (int64, int64) {
	if h.sector > 1 {
		s := int64(h.sector)
		return (from + s - 1) / s * s, to / s * s
	}
	return from, to
}
