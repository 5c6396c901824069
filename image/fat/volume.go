package fat

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"fatvol/image/device"
)

const (
	rootID = 1
	// firstPlaceless is where inode numbers start that are not derived from a place.
	firstPlaceless = 1 << 48
)

// Volume is an open FAT volume. All methods may be called concurrently.
type Volume struct {
	dev   device.Device
	geo   *Geometry
	opt   Options
	names *Names
	tab   *table
	root  *Node
	seed  maphash.Seed

	life   sync.RWMutex // held shared by each call, exclusively by Close
	closed bool
	// closing: Close has begun, and nothing but it may use the volume any more.
	closing bool

	exchange sync.RWMutex // held shared by each rename, exclusively by an exchange

	readOnly atomic.Bool
	broken   atomic.Pointer[error] // set under ErrorsPanic: the answer to every call
	noted    noted

	lastStamp atomic.Pointer[moment]
	hot       hot

	// dataSeq counts writes to the device, syncedSeq is what it was when the last Sync that
	// succeeded began: all those writes are on the medium.
	dataSeq, syncedSeq atomic.Uint64
	relocated          atomic.Int64 // bytes that were moved to other clusters

	// meta guards the names and attributes of all nodes and the open epoch. It is held for
	// computing, never while data is read or written; see doc.go for the order of locks.
	meta       sync.RWMutex
	epoch      epoch
	inos       map[uint64]*Node
	dirs       map[Cluster]*Node // directories in memory by their first cluster
	lastID     uint64
	lastIno    uint64
	loadedDirs []*Node // the evictor's queue; some of them may be evicted already
	dirsLimit  int     // how long it gets before those are taken out
	dirBytes   int64
	orphans    map[*Node]struct{} // unlinked and open
	keepers    atomic.Int64       // nodes that keep clusters beyond their size; see Node.keep

	dirBuffer atomic.Pointer[[]byte] // rawDir's, while nobody uses it

	commitMu   sync.Mutex // one commit at a time; guards what follows. Taken before meta
	plan       *plan      // snapshotted and not completely written
	done       uint64     // the last epoch that is completely on the medium
	dead       []deadChain
	quarantine []extent         // freed in memory by the open epoch
	mirror     map[int64][]byte // bytes of the first FAT that the others lack, by offset in a FAT
	boot       []byte           // the first atom of the boot sector
	flagged    bool             // the volume is marked dirty on the medium
	unmarked   bool             // that mark was to be taken off, and may not be off everywhere yet
	keepDirty  bool             // it was so when it was opened, and stays so
	infoStale  bool             // the FSInfo sector is not what it should be
	info       []byte           // the FSInfo sector; nil where there is none, or none that is ours to write
	failures   errseq           // of background commits
	failing    atomic.Bool      // the last background commit failed

	repair atomic.Pointer[repair] // nil when there is nothing to repair
	// orphaned: what is not in memory can never be read any more.
	orphaned atomic.Bool
	aliases  map[Cluster]*Node // files in memory by their first cluster, where two names may lead to one; guarded by meta

	kick   chan struct{} // wakes the committer
	kicked atomic.Bool   // since its last round began
	stop   chan struct{}
	work   sync.WaitGroup // background goroutines
}

// Open reads the boot sector of a volume. It reads a fixed amount, whatever the volume's size.
// Errors wrap ErrNotFAT or ErrCorrupt, or are those of the device.
func Open(dev device.Device, opt Options) (*Volume, error) {
	opt.setDefaults()
	f, err := find(dev, &opt)
	if err != nil {
		return nil, err
	}
	names, err := NewNames(opt.Names)
	if err != nil {
		return nil, err
	}
	v := &Volume{
		dev: dev, opt: opt, names: names,
		seed:    maphash.MakeSeed(),
		lastID:  rootID,
		lastIno: firstPlaceless,
		kick:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
	}
	v.root = &Node{v: v, id: rootID, ino: rootID, dir: newDir(), slot: -1, fresh: neverFresh}
	v.epoch.id = 1
	v.readOnly.Store(opt.ReadOnly)
	v.begin(f)
	if !opt.ReadOnly {
		v.work.Add(1)
		go v.committer()
	}
	return v, nil
}

// Root is the root directory. It lives as long as the volume and needs no Release.
func (v *Volume) Root() *Node { return v.root }

// Geometry says where everything lies.
func (v *Volume) Geometry() Geometry {
	v.meta.RLock() // a label, and what a Reset found, come later
	defer v.meta.RUnlock()
	return *v.geo
}

// ReadOnly reports whether changes are refused, by choice or since damage was found.
func (v *Volume) ReadOnly() bool { return v.readOnly.Load() }

// SetReadOnly refuses changes from now on. Those that were acknowledged are still written.
func (v *Volume) SetReadOnly() { v.readOnly.Store(true) }

// Serial is the volume's serial number, 0 when it has none.
func (v *Volume) Serial() uint32 { return v.geo.Serial }

// Alive returns why the device is not there, or nil.
func (v *Volume) Alive() error { return device.Check(v.dev) }

// enter begins a call from outside: the volume is open and the device is there. leave ends it.
func (v *Volume) enter() error {
	v.life.RLock()
	err := v.usable()
	if err != nil {
		v.life.RUnlock()
	}
	return err
}

func (v *Volume) leave() { v.life.RUnlock() }

func (v *Volume) usable() error {
	if err := v.open(); err != nil {
		return err
	}
	return device.Check(v.dev)
}

func (v *Volume) open() error {
	if v.closing {
		return ErrClosed
	}
	if e := v.broken.Load(); e != nil {
		return *e
	}
	return nil
}

// enterAfter is enter for what belongs to the answer to a call that has changed something: that the device
// has gone since must not make a failure of what was done. It is for what needs memory alone.
func (v *Volume) enterAfter() error {
	v.life.RLock()
	err := v.open()
	if err != nil {
		v.life.RUnlock()
	}
	return err
}

// enterWrite is enter for a call that changes something.
func (v *Volume) enterWrite() error {
	if err := v.enter(); err != nil {
		return err
	}
	if v.readOnly.Load() {
		v.leave()
		return ErrReadOnly
	}
	return nil
}

// clusterOffset is where the data of c lies.
func (v *Volume) clusterOffset(c Cluster) int64 {
	return v.geo.DataStart + int64(c-firstCluster)<<v.geo.ClusterShift
}

// write puts bytes on the device, and counts that.
func (v *Volume) write(p []byte, off int64) error {
	_, err := v.dev.WriteAt(p, off)
	v.dataSeq.Add(1)
	return err
}

func (v *Volume) zero(off, n int64) error {
	err := device.ZeroAt(v.dev, off, n)
	v.dataSeq.Add(1)
	return err
}

// syncDevice makes what was written so far durable.
func (v *Volume) syncDevice() error {
	seq := v.dataSeq.Load()
	if err := v.dev.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	for {
		old := v.syncedSeq.Load()
		if old >= seq || v.syncedSeq.CompareAndSwap(old, seq) {
			return nil
		}
	}
}

// syncUpTo makes the writes that dataSeq had counted at seq durable, if they are not.
func (v *Volume) syncUpTo(seq uint64) error {
	if v.syncedSeq.Load() >= seq {
		return nil
	}
	return v.syncDevice()
}

// Sync returns once everything that was acknowledged before is on stable storage.
func (v *Volume) Sync() error {
	v.awaitNames(nil)
	if err := v.enter(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	defer v.leave()
	return v.sync()
}

// Close writes what is left, marks the volume clean and ends all background work. It waits for calls
// under way; later ones return ErrClosed. The error says what could not be written: that is kept, and
// Close may be called again to write it, until it has succeeded.
func (v *Volume) Close() error {
	v.life.Lock()
	defer v.life.Unlock()
	if v.closed {
		return ErrClosed
	}
	if !v.closing {
		v.closing = true
		v.endRepair(true)
		close(v.stop)
		v.work.Wait()
		v.meta.Lock()
		for n := range v.orphans {
			v.free(n)
		}
		for _, n := range v.inos {
			if n.kept > 0 {
				n.keep(0)
				v.trimLater(n)
			}
		}
		v.meta.Unlock()
	}
	if !v.opt.ReadOnly {
		if err := v.finalize(); err != nil {
			return fmt.Errorf("close volume: %w", err)
		}
	}
	v.closed = true
	return nil
}

func (v *Volume) finalize() error {
	if err := device.Check(v.dev); err != nil {
		return err
	}
	if err := v.drain(); err != nil {
		return err
	}
	if err := v.markClean(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotClean, err)
	}
	return nil
}

// Stat is the state of a volume's space.
type Stat struct {
	ClusterSize int    // bytes
	Clusters    uint32 // data clusters in all
	Free        uint32 // clusters that files can use
	RootSlots   int    // entries of a fixed root directory, 0 on FAT32
}

// Stat returns the volume's space. It waits for the free count where that is not known yet.
func (v *Volume) Stat() (Stat, error) {
	if err := v.enter(); err != nil {
		return Stat{}, fmt.Errorf("statfs: %w", err)
	}
	defer v.leave()
	free, known := v.tab.free()
	for !known {
		if _, err := v.tab.countPage(); err != nil {
			return Stat{}, fmt.Errorf("statfs: %w", err)
		}
		if err := v.usable(); err != nil {
			return Stat{}, fmt.Errorf("statfs: %w", err)
		}
		free, known = v.tab.free()
	}
	return Stat{v.geo.ClusterSize, v.geo.Clusters, free, v.geo.RootEntries}, nil
}

// counter counts the free clusters in the background where the volume does not know their number.
func (v *Volume) counter() {
	defer v.work.Done()
	for {
		select {
		case <-v.stop:
			return
		default:
		}
		v.meta.RLock()
		tab := v.tab
		v.meta.RUnlock()
		done, err := tab.countPage()
		if done || err != nil {
			// An error is reported to whoever asks: Stat tries again.
			return
		}
	}
}

// note applies the error policy to err where it tells of damage, and returns it.
func (v *Volume) note(err error) error {
	if err == nil || !errors.Is(err, ErrCorrupt) {
		return err
	}
	if v.noted.first(err.Error()) {
		v.opt.Log.Error("volume is damaged", "error", err)
	}
	switch v.opt.Errors {
	case ErrorsRemountRO:
		if v.readOnly.CompareAndSwap(false, true) {
			v.opt.Log.Warn("volume is read-only from now on (errors=remount-ro); 'fatvol check' tells what is wrong")
		}
	case ErrorsPanic:
		if v.broken.CompareAndSwap(nil, &err) && v.opt.OnPanic != nil {
			go v.opt.OnPanic(err)
		}
	}
	return err
}

// noted remembers what was logged, so that each kind of damage takes one line.
type noted struct {
	mu   sync.Mutex
	seen map[string]bool
}

const maxNoted = 256

func (n *noted) first(s string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen[s] || len(n.seen) >= maxNoted {
		return false
	}
	if n.seen == nil {
		n.seen = make(map[string]bool)
	}
	n.seen[s] = true
	return true
}
