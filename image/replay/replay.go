package replay

import (
	"fmt"
	"slices"

	"fatvol/image/device"
)

// replayStep is how many bytes Replay writes between two Syncs: what a slow medium takes well within the time that a
// verification has.
const replayStep = 8 << 20

// Replay writes all copies to dev, in order, and syncs it. dev is what the lower device will be from
// then on; Verify has found it to be the same volume, unchanged. What is synced is forgotten. It may be called again
// after an error, and then begins where it was: a medium that takes longer than a verification may, or goes every time
// before the end, gets all of it in the end. No other call reaches the lower device meanwhile.
func (l *Log) Replay(dev device.Device) error {
	l.flight.Lock()
	defer l.flight.Unlock()
	for {
		l.mu.Lock()
		l.splitLocked()
		entries := l.entries
		l.mu.Unlock()
		if len(entries) == 0 {
			return nil
		}
		step, bytes := 1, entries[0].n
		for step < len(entries) && bytes+entries[step].n <= replayStep {
			bytes += entries[step].n
			step++
		}
		if err := l.replayStep(dev, entries[:step]); err != nil {
			return err
		}
	}
}

// splitLocked makes the first entry one that a step has time for: there may be any number of zeros in one.
func (l *Log) splitLocked() {
	if len(l.entries) == 0 || l.entries[0].data != nil || l.entries[0].n <= replayStep {
		return
	}
	first := l.entries[0]
	first.n = replayStep - (first.off+replayStep)%block // no block is there in part
	l.entries[0].off += first.n
	l.entries[0].n -= first.n
	l.entries = slices.Insert(l.entries, 0, first)
	l.bytes += entryCost
}

func (l *Log) replayStep(dev device.Device, entries []entry) error {
	err := replay(dev, entries)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		for _, e := range entries {
			e.in.lose() // dev may have given up on any of them
		}
		return err
	}
	l.forgetLocked(len(entries))
	return nil
}

func replay(dev device.Device, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	for _, e := range entries {
		var err error
		if e.n == 0 {
			err = dev.Sync()
		} else if e.data == nil {
			err = device.ZeroAt(dev, e.off, e.n)
		} else {
			_, err = dev.WriteAt(e.data, e.off)
		}
		if err != nil {
			return fmt.Errorf("replay: %w", err)
		}
	}
	if err := dev.Sync(); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return nil
}
