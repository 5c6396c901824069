package faultdev

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"fatvol/image/device"
)

// Synced is the number of entries of log[:upTo] that a sync in it covers: no cut behind upTo
// may lose any of those.
func Synced(log []Entry, upTo int) int {
	covers := 0
	for _, e := range log[:upTo] {
		if e.Mark == "" && e.Kind == Sync {
			covers = max(covers, e.Covers)
		}
	}
	return covers
}

// Replay applies the first upTo entries to base, which holds what the recorded device held at
// the start: the device as it was at that moment, and as a cut leaves it on a medium that
// writes everything at once and in order.
func (r *Recorder) Replay(base device.Device, upTo int) error {
	return Replay(base, r.Log(), upTo)
}

// Torn is Replay, with a first part of so many sectors of entry upTo on top: the cut came in
// the middle of a write.
func (r *Recorder) Torn(base device.Device, upTo, sectors int) error {
	log := r.Log()
	if err := Replay(base, log, upTo); err != nil || upTo >= len(log) || !log[upTo].isChange() {
		return err
	}
	return Tear(base, log[upTo], sectors)
}

// Tear applies a first part of so many sectors of a change.
func Tear(base device.Device, e Entry, sectors int) error {
	if !e.isChange() {
		return nil
	}
	e.Len = tornAt(e.Off, e.Len, sectors)
	if e.Kind == Write {
		e.Data = e.Data[:e.Len]
	}
	return apply(base, e)
}

// Scatter applies everything that a sync among the first upTo entries covers, and of each sector
// that was changed after it one state at random: the one before, or any that it went through.
// This is the worst that a medium with a write cache may do: it keeps sectors whole, and it
// knows no order between two syncs. Equal seeds give equal results.
func (r *Recorder) Scatter(base device.Device, upTo int, rng *rand.Rand) error {
	log := r.Log()
	synced := Synced(log, upTo)
	if err := Replay(base, log, synced); err != nil {
		return err
	}
	return Scatter(base, log[synced:upTo], rng)
}

// Subset applies everything that a sync among the first upTo entries covers, and of the later
// changes a random selection, each whole and in their order: a host that writes back some pages
// and not others.
func (r *Recorder) Subset(base device.Device, upTo int, rng *rand.Rand) error {
	log := r.Log()
	synced := Synced(log, upTo)
	if err := Replay(base, log, synced); err != nil {
		return err
	}
	return Select(base, log[synced:upTo], rng)
}

// Select applies a random selection of the changes in a window of entries, each whole and in their order.
func Select(base device.Device, window []Entry, rng *rand.Rand) error {
	for _, e := range window {
		if e.isChange() && rng.IntN(2) == 0 {
			if err := apply(base, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// Replay applies the first upTo entries of a log to base.
func Replay(base device.Device, log []Entry, upTo int) error {
	for i, e := range log[:upTo] {
		if err := apply(base, e); err != nil {
			return fmt.Errorf("replay of entry %d, %v: %w", i, e, err)
		}
	}
	return nil
}

// apply makes the change of e. A discarded range is zeroed: to read as zeros is the most that
// may happen to it.
func apply(base device.Device, e Entry) error {
	switch {
	case !e.isChange():
		return nil
	case e.Kind == Write:
		_, err := base.WriteAt(e.Data, e.Off)
		return err
	}
	return device.ZeroAt(base, e.Off, e.Len)
}

// Scatter gives each sector that a window of entries touches the state after a random one of the
// changes to it, or leaves it as it was.
func Scatter(base device.Device, window []Entry, rng *rand.Rand) error {
	touched := make(map[int64][]Entry)
	var order []int64
	for _, e := range window {
		if !e.isChange() {
			continue
		}
		for s := e.Off / SectorSize; s*SectorSize < e.Off+e.Len; s++ {
			if touched[s] == nil {
				order = append(order, s)
			}
			touched[s] = append(touched[s], e)
		}
	}
	slices.SortFunc(order, cmp.Compare)
	for _, s := range order {
		for _, e := range touched[s][:rng.IntN(len(touched[s])+1)] {
			if err := apply(base, clip(e, s)); err != nil {
				return err
			}
		}
	}
	return nil
}

// clip is the part of e that lies in sector s.
func clip(e Entry, s int64) Entry {
	from := max(e.Off, s*SectorSize)
	to := min(e.Off+e.Len, (s+1)*SectorSize)
	if e.Kind == Write {
		e.Data = e.Data[from-e.Off : to-e.Off]
	}
	e.Off, e.Len = from, to-from
	return e
}
