//go:build linux

package vm

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"fatvol/integration/vm/guestapi"
)

// diskPatience bounds the wait for the guest to see a stick.
const diskPatience = 2 * time.Minute

// Instant is an instant on the guest's clock, in nanoseconds, that was taken on this side. The
// truth is at most Error nanoseconds before or after it.
type Instant struct{ At, Error int64 }

// clock relates this machine's clock to the guest's.
type clock struct {
	host  time.Time
	guest Instant
}

// readClock asks the guest for its time until the answer comes quickly.
func (v *VM) readClock() (best clock) {
	v.t.Helper()
	const tries = 15
	for range tries {
		var now int64
		before := time.Now()
		v.must(v.call("Clock", guestapi.None{}, &now))
		after := time.Now()
		round := after.Sub(before).Nanoseconds()
		if best.guest.Error == 0 || round/2 < best.guest.Error {
			best = clock{before.Add(after.Sub(before) / 2), Instant{now, round / 2}}
		}
	}
	return best
}

// at translates an instant of this machine's clock.
func (c clock) at(t time.Time) Instant {
	return Instant{c.guest.At + t.Sub(c.host).Nanoseconds(), c.guest.Error}
}

// Pulled is a pull of a stick. The device was there at Before and was not any more at After.
type Pulled struct{ Before, After Instant }

// Plug plugs a stick in and returns the disk that the guest makes of it.
func (v *VM) Plug(s *Stick) (disk guestapi.Disk) {
	v.t.Helper()
	s.mustBeOut(v.t)
	var known map[string]string
	v.must(v.call("Disks", guestapi.None{}, &known))
	v.must(v.attach(s))
	v.must(v.callWithin(diskPatience+callSlack, "WaitDisk", guestapi.DiskArgs{Known: known, Timeout: diskPatience}, &disk))
	return disk
}

// attach plugs a stick in, and does not wait for the guest.
func (m *machine) attach(s *Stick) error {
	m.plugged++
	id := fmt.Sprintf("stick%d", m.plugged)
	// The group of a speed is never removed; there are few.
	group := fmt.Sprintf("speed%d", s.Speed)
	if !m.groups[group] {
		limits := map[string]any{"bps-total": s.Speed}
		if err := m.monitor.execute("object-add", map[string]any{"qom-type": "throttle-group", "id": group, "limits": limits}, nil); err != nil {
			return err
		}
		m.groups[group] = true
	}
	// The sticks' files are looked at and copied from this side, too.
	file := map[string]any{"driver": "file", "filename": s.Path, "locking": "off", "read-only": s.ReadOnly}
	if s.Log != "" {
		file = map[string]any{"driver": "blklogwrites", "log-sector-size": logSector, "file": file,
			"log": map[string]any{"driver": "file", "filename": s.Log, "locking": "off"}}
	}
	err := m.monitor.execute("blockdev-add", map[string]any{
		"driver": "throttle", "throttle-group": group, "node-name": id, "read-only": s.ReadOnly, "file": file,
	}, nil)
	if err != nil {
		return err
	}
	err = m.monitor.execute("device_add", map[string]any{
		"driver": "usb-storage", "id": id, "drive": id, "bus": "xhci.0", "port": fmt.Sprint(max(s.Port, 1)), "removable": true, "serial": s.serial,
		"logical_block_size": s.SectorSize, "physical_block_size": s.SectorSize,
	}, nil)
	if err != nil {
		return err
	}
	s.id = id
	m.sticks = append(m.sticks, s)
	return nil
}

// Pull pulls a stick out and says when that was.
func (v *VM) Pull(s *Stick) Pulled {
	v.t.Helper()
	c := v.readClock()
	before, after, err := v.detach(s)
	v.must(err)
	return Pulled{c.at(before), c.at(after)}
}

// detach pulls a stick out, at some instant between before and after, and releases its file.
func (m *machine) detach(s *Stick) (before, after time.Time, err error) {
	id, from := s.id, m.monitor.eventCount()
	before = time.Now()
	err = m.monitor.execute("device_del", map[string]any{"id": id}, nil)
	after = time.Now()
	if err != nil {
		return before, after, err
	}
	m.sticks = slices.DeleteFunc(m.sticks, func(x *Stick) bool { return x == s })
	s.id = ""
	// The device is gone for the guest already; QEMU itself takes longer to let go of the file.
	if err = m.monitor.waitEvent(from, "DEVICE_DELETED", id); err == nil {
		err = m.monitor.execute("blockdev-del", map[string]any{"node-name": id}, nil)
	}
	return before, after, err
}

// TestPlug: a stick is there, is pulled, and is there again under another name while its first file
// system is still mounted.
func TestPlug(t *testing.T) {
	v := shared(t)
	image := newImage(t, 33<<20, "-F", "32")
	for _, fsType := range []string{"ext4", "vfat"} {
		t.Run(fsType, func(t *testing.T) {
			v := v.in(t)
			s := NewStick(t, fsType, image, 512)
			disk := v.Plug(s)
			if len(disk.Partitions) != 1 {
				t.Fatalf("disk %+v, want one partition", disk)
			}
			v.Shell("mkdir -p /media/stick; mount -t " + fsType + " /dev/" + disk.Partitions[0] + " /media/stick")
			v.Shell("cmp -n 512 /media/stick/volume.img /media/stick/volume.img; echo changed > /media/stick/new; sync")
			mark := v.KernelMark()
			p := v.Pull(s)
			again := v.Plug(s)
			if again.Name == disk.Name {
				t.Errorf("the stick is %s again while its file system is still mounted", again.Name)
			}
			v.Shell("umount /media/stick; mount -t " + fsType + " /dev/" + again.Partitions[0] + " /media/stick")
			if got := v.Run("cat", "/media/stick/new"); got != "changed\n" {
				t.Errorf("file on the stick: %q", got)
			}
			v.Shell("umount /media/stick")
			v.Pull(s)
			noticed := v.kernelLine(mark, "USB disconnect")
			t.Logf("pulled within %.1f ms, clock known to %.1f ms, the kernel noticed after %.1f ms",
				ms(p.After.At-p.Before.At), ms(p.After.Error), ms(noticed.At-p.Before.At))
		})
	}
}
