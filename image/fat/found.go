package fat

import (
	"fmt"

	"fatvol/image/device"
)

// found is what a volume is opened from: all that has to be read before the first use, so that nothing can fail
// once it is taken up.
type found struct {
	geo   *Geometry
	boot  []byte // the boot sector
	clean bool   // by the marks of the boot sector and of FAT[1]
	info  []byte // the FSInfo sector; nil where there is none
}

// find reads the boot sector of dev, the beginning of its FATs, and FSInfo. Errors wrap ErrNotFAT or ErrCorrupt, or are
// those of the device.
func find(dev device.Device, opt *Options) (*found, error) {
	f := &found{boot: make([]byte, min(BootSize, dev.Size()))}
	_, err := dev.ReadAt(f.boot, 0)
	if err != nil {
		return nil, fmt.Errorf("read boot sector: %w", err)
	}
	if f.geo, err = ParseGeometry(f.boot, dev.Size(), opt.Geometry); err != nil {
		return nil, err
	}
	if err := f.geo.chooseFAT(dev); err != nil {
		return nil, err
	}
	if f.geo.firstUnsound() && !opt.check && opt.Errors == ErrorsPanic {
		return nil, fmt.Errorf("%w: the beginning of the first FAT is not one, and errors=panic asked for no use of a damaged volume", ErrCorrupt)
	}
	f.clean = !f.geo.Dirty
	if w := widths[f.geo.Width]; w.clean != 0 {
		head := make([]byte, atom)
		if _, err := dev.ReadAt(head, f.geo.activeFAT()); err != nil {
			return nil, fmt.Errorf("read FAT: %w", err)
		}
		f.clean = f.clean && w.get(head, 1)&w.clean != 0
	}
	if f.geo.FSInfo != 0 {
		f.info = make([]byte, atom)
		if _, err := dev.ReadAt(f.info, f.geo.FSInfo); err != nil {
			return nil, fmt.Errorf("read FSInfo: %w", err)
		}
	}
	return f, nil
}

// begin takes up a volume of which nothing is known but what was found. The caller holds v.meta and
// v.commitMu, or nobody else knows of v yet.
func (v *Volume) begin(f *found) {
	geo := f.geo
	v.geo, v.boot = geo, f.boot[:atom]
	v.tab = newTable(v.dev, geo, v.opt.CacheBytes)
	v.inos = map[uint64]*Node{rootID: v.root}
	v.dirs = make(map[Cluster]*Node)
	v.orphans = make(map[*Node]struct{})
	v.loadedDirs, v.dirsLimit, v.dirBytes = nil, leastQueue, 0
	v.mirror, v.quarantine, v.dead = nil, nil, nil
	v.keepers.Store(0)
	v.root.dir.forget()
	v.root.chain = nil
	v.root.d = dirent{attr: AttrDirectory, first: Cluster(geo.RootCluster)}
	if geo.Width == FAT32 {
		v.root.chain = newChain(v.root.d.first)
		v.dirs[v.root.d.first] = v.root
	}
	device.Keep(v.dev, 0, v.boot)
	v.takeState(f)
	v.protectFATs()
	v.startRepair()
	v.work.Add(1)
	go v.counter()
}

// takeState takes over what was found of the volume's state.
func (v *Volume) takeState(f *found) {
	v.keepDirty = !f.clean
	v.flagged, v.unmarked = !f.clean, false
	switch {
	case f.clean:
	case v.opt.ReadOnly || v.opt.Repair == RepairNo:
		v.opt.Log.Warn("volume was not unmounted properly; some data may be damaged, 'fatvol check' tells")
	default:
		v.opt.Log.Warn("volume was not unmounted properly; it is looked through and repaired in the background")
	}
	v.infoStale, v.info = f.info != nil, nil
	if f.info == nil {
		return
	}
	device.Keep(v.dev, v.geo.FSInfo, f.info)
	info, err := ParseFSInfo(f.info, v.geo.Clusters)
	if err != nil {
		v.opt.Log.Warn("FSInfo sector is not valid; free space will be counted", "error", err)
		return
	}
	v.info = f.info
	if info.Next != FSInfoUnknown {
		v.tab.hint = Cluster(info.Next)
	}
	if info.Free != FSInfoUnknown && (f.clean || v.opt.UseFree) {
		v.tab.trustFree(info.Free)
		v.infoStale = false
	}
}
