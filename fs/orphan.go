package fs

import (
	"errors"
	"time"

	"fatvol/image/fat"
)

// A file without a name goes on to exist while somebody can still get at it, as on any Unix file
// system: not only while it is open, but while the kernel has its inode. An open(2) that found the
// name just before it went gets the file, and not an error; that is what makes replacing a file by
// rename(2) atomic for its readers. So whatever loses its name is kept by a handle of ours, its pin,
// until the kernel forgets it, which normally follows at once.
//
// Space must not run out for the sake of what is as good as gone: before ENOSPC is said, the pins are
// let go.

// pinVictim keeps the file at l, if it is one, for the case that it loses its name.
func pinVictim(l *link) error {
	if l.n == nil || l.n.IsDir() {
		return nil
	}
	pin, err := l.n.Open()
	l.pin = pin
	return err
}

// keepOrphan hands the pin of l over to its node, if the kernel knows that.
func (nt *nodeTable) keepOrphan(l *link) {
	if l.pin == nil {
		return
	}
	nt.t.update(l.n.ID(), func(kn *node, ok bool) (*node, bool) {
		if ok {
			kn.pin, l.pin = l.pin, nil
			nt.pins.Add(1)
		}
		return kn, ok
	})
}

// pinned reports whether a node has a pin.
func (nt *nodeTable) pinned(id uint64) (is bool) {
	nt.t.update(id, func(kn *node, ok bool) (*node, bool) {
		is = ok && kn.pin != nil
		return kn, ok
	})
	return is
}

// letGoPauses are how long the kernel may take to be done with a request of which we have seen the end.
var letGoPauses = [...]time.Duration{0, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond}

// letGo has the kernel forget a file without a name, which it would keep for the sake of names that have
// been looked up by other spellings. One that is open is for whoever closes it last.
func (fs *fileSystem) letGo(id uint64) {
	fs.background.Go(func() {
		for _, pause := range letGoPauses {
			time.Sleep(pause)
			if n, ok := fs.nodes.get(id); !ok || n.opens.Load() > 0 || !fs.nodes.pinned(id) {
				return
			}
			fs.kernel.PruneNotify([]uint64{id})
		}
	})
}

// takePin takes the pin of a node away from it. The caller has the shard's lock.
func (nt *nodeTable) takePin(kn *node) *fat.Handle {
	pin := kn.pin
	if pin != nil {
		kn.pin = nil
		nt.pins.Add(-1)
	}
	return pin
}

// dropPins lets go of all files that have lost their names.
func (nt *nodeTable) dropPins() {
	if nt.pins.Load() == 0 {
		return
	}
	for _, kn := range nt.t.all() {
		var pin *fat.Handle
		nt.t.update(kn.ID(), func(kn *node, ok bool) (*node, bool) {
			if ok {
				pin = nt.takePin(kn)
			}
			return kn, ok
		})
		if pin != nil {
			pin.Close()
		}
	}
}

// madeRoom reports whether an operation that failed with err is worth another try: it found no space,
// and all files without a name have been given up since.
func (fs *fileSystem) madeRoom(err error) bool {
	if !errors.Is(err, fat.ErrNoSpace) {
		return false
	}
	fs.closing.Lock() // those that are being closed or forgotten just now
	fs.closing.Unlock()
	fs.nodes.dropPins()
	return true
}

// Forget takes references back from the kernel. A file without a name is freed then, on a goroutine of
// its own: that may need the device, and a FORGET holds up the requests behind it.
func (fs *fileSystem) Forget(id, count uint64) {
	fs.closing.RLock()
	pin := fs.nodes.forget(id, count)
	fs.giveBackWhenFew()
	if pin == nil {
		fs.closing.RUnlock()
		return
	}
	fs.background.Go(func() {
		defer fs.closing.RUnlock()
		pin.Close()
	})
}
