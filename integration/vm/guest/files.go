//go:build linux

package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"fatvol/integration/vm/guestapi"
)

// pollPeriod is how often the agent looks for a disk or a mount.
const pollPeriod = 5 * time.Millisecond

// WriteFile writes a chunk of a file, which it creates if need be.
func (a *agent) WriteFile(c guestapi.FileChunk, _ *guestapi.None) error {
	mode := os.FileMode(c.Mode)
	if mode == 0 {
		mode = 0o644
	}
	f, err := os.OpenFile(c.Path, os.O_WRONLY|os.O_CREATE, mode)
	if err != nil {
		return err
	}
	if c.Offset == 0 && c.Cut {
		// One write, for the files of proc and sys too.
		_ = f.Truncate(0)
		_, err = f.Write(c.Data)
		return errors.Join(err, f.Close())
	}
	_, err = f.WriteAt(c.Data, c.Offset)
	if c.Cut {
		err = errors.Join(err, f.Truncate(c.Offset+int64(len(c.Data))))
	}
	return errors.Join(err, f.Close())
}

// ReadFile reads a chunk from the offset of a file on. Cut says that the file ends with it.
func (a *agent) ReadFile(c guestapi.FileChunk, out *guestapi.FileChunk) error {
	f, err := os.Open(c.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if c.Offset > 0 {
		if _, err := f.Seek(c.Offset, io.SeekStart); err != nil {
			return err
		}
	}
	out.Data = make([]byte, guestapi.ChunkSize)
	n, err := io.ReadFull(f, out.Data)
	out.Path, out.Offset, out.Data = c.Path, c.Offset, out.Data[:n]
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		out.Cut, err = true, nil
	}
	return err
}

// Disks returns the sequence numbers of the disks on the USB bus, and their names. Unlike names,
// numbers are never used again.
func (a *agent) Disks(_ guestapi.None, disks *map[string]string) error {
	*disks = map[string]string{}
	links, err := filepath.Glob("/sys/block/sd*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !strings.Contains(target, "/usb") {
			continue
		}
		if number, err := os.ReadFile(link + "/diskseq"); err == nil {
			(*disks)[strings.TrimSpace(string(number))] = filepath.Base(link)
		}
	}
	return err
}

// WaitDisk waits for a disk on the USB bus that is not known, and for its device nodes.
func (a *agent) WaitDisk(args guestapi.DiskArgs, disk *guestapi.Disk) error {
	for end := time.Now().Add(args.Timeout); time.Now().Before(end); time.Sleep(pollPeriod) {
		var disks map[string]string
		if err := a.Disks(guestapi.None{}, &disks); err != nil {
			return err
		}
		for number, name := range disks {
			if _, known := args.Known[number]; !known && diskReady(name, disk) {
				disk.Name, disk.At = name, monotonic()
				return nil
			}
		}
	}
	return errors.New("no new disk on the USB bus after " + args.Timeout.String())
}

// diskReady tells whether a disk can be read, which the kernel does itself to find its partitions
// before it announces the disk.
func diskReady(name string, disk *guestapi.Disk) bool {
	f, err := os.Open("/dev/" + name)
	if err != nil {
		return false
	}
	defer f.Close()
	if n, err := f.ReadAt(make([]byte, 512), 0); n == 0 || err != nil {
		return false
	}
	disk.Partitions = nil
	partitions, _ := filepath.Glob("/sys/block/" + name + "/" + name + "*")
	for _, p := range partitions {
		if _, err := os.Stat("/dev/" + filepath.Base(p)); err != nil {
			return false
		}
		disk.Partitions = append(disk.Partitions, filepath.Base(p))
	}
	return true
}

// WaitMounted waits for a mount on a directory, or for its end.
func (a *agent) WaitMounted(args guestapi.MountedArgs, _ *guestapi.None) error {
	for end := time.Now().Add(args.Timeout); time.Now().Before(end); time.Sleep(pollPeriod) {
		mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(args.Dir))
		if err != nil {
			return err
		}
		if len(mounts) > 0 != args.Gone {
			return nil
		}
	}
	if args.Gone {
		return errors.New(args.Dir + " is still mounted after " + args.Timeout.String())
	}
	return errors.New(args.Dir + " is not mounted after " + args.Timeout.String())
}

// Mounts returns the mount points below /media and /mnt, the latest first.
func (a *agent) Mounts(_ guestapi.None, dirs *[]string) error {
	mounts, err := mountinfo.GetMounts(nil)
	for _, m := range mounts {
		if strings.HasPrefix(m.Mountpoint, "/media/") || strings.HasPrefix(m.Mountpoint, "/mnt/") {
			*dirs = append([]string{m.Mountpoint}, *dirs...)
		}
	}
	return err
}

// Detach detaches a mount, whatever it is worth, and never hangs on it.
func (a *agent) Detach(dir string, _ *guestapi.None) error {
	return unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
}
