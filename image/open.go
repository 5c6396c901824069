package image

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"fatvol/image/device"
	"fatvol/image/fat"
)

// OpenOptions say which volume of an image to open, and how.
type OpenOptions struct {
	ReadOnly bool
	// NoFallback makes it an error that a write-protected image cannot be opened for writing;
	// it is opened for reading otherwise.
	NoFallback bool
	// Partition is the partition= option: a number, a label or name, or a UUID. See
	// Layout.Choose.
	Partition string
	// Offset and SizeLimit are the offset= (a multiple of 512) and sizelimit= options in bytes; a SizeLimit of 0
	// means up to the end. No partition table is read when either is given, or NoTable is set,
	// which it must be for offset=0.
	Offset, SizeLimit int64
	NoTable           bool
	// NoLock leaves out the lock and the search for other users of the image.
	NoLock bool
	// Geometry is passed on to what recognises a FAT volume.
	Geometry fat.GeometryOptions
}

func (o OpenOptions) byOffset() bool { return o.Offset != 0 || o.SizeLimit != 0 || o.NoTable }

// check refuses options that contradict one another.
func (o OpenOptions) check() error {
	switch {
	case o.Offset < 0:
		return fmt.Errorf("offset=%d: not negative expected: %w", o.Offset, syscall.EINVAL)
	case o.Offset%512 != 0:
		// Neither the order of writes nor what is compared when a medium returns would hold: both count in blocks of the host.
		return fmt.Errorf("offset=%d: a multiple of 512 expected: %w", o.Offset, syscall.EINVAL)
	case o.SizeLimit < 0:
		return fmt.Errorf("sizelimit=%d: not negative expected: %w", o.SizeLimit, syscall.EINVAL)
	case o.byOffset() && o.Partition != "":
		return fmt.Errorf("partition=%s and offset= or sizelimit= exclude each other: %w", o.Partition, syscall.EINVAL)
	}
	return nil
}

// Image is an open image with its volume.
type Image struct {
	*Volume
	host  *device.Host
	below device.Device // what the volume lies on: the host, or what was put before it
	notes []string
}

// OpenVolume opens the image at path, locks it, and finds the volume that opt means. The causes of its
// errors are those of OpenHost and Locate.
func OpenVolume(path string, opt OpenOptions) (*Image, error) {
	return OpenThrough(path, opt, func(h *device.Host) device.Device { return h })
}

// OpenThrough is OpenVolume with something between the host and the volume: wrap gets the host, and the
// volume lies on the device that it returns. It is called once the image is locked.
func OpenThrough(path string, opt OpenOptions, wrap func(*device.Host) device.Device) (*Image, error) {
	host, notes, err := OpenHost(path, opt)
	if err != nil {
		return nil, err
	}
	opt.ReadOnly = !host.Writable()
	below := wrap(host)
	v, err := Locate(below, opt)
	if err != nil {
		host.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if !opt.NoLock {
		if err := checkMounts(host, v); err != nil {
			host.Close()
			return nil, err
		}
	}
	return &Image{Volume: v, host: host, below: below, notes: append(notes, v.Notes()...)}, nil
}

// Another finds another volume of the same image, by the choices of opt; how the image is open stays as it
// is. Its errors are those of Locate.
func (im *Image) Another(opt OpenOptions) (*Volume, error) {
	opt.ReadOnly = im.ReadOnly()
	v, err := Locate(im.below, opt)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", im.Path(), err)
	}
	if !opt.NoLock {
		if err := checkMounts(im.host, v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// Host is the file or block device itself.
func (im *Image) Host() *device.Host { return im.host }

// Path is the path that the image was opened by.
func (im *Image) Path() string { return im.host.Path() }

// ReadOnly reports whether the image is open for reading only.
func (im *Image) ReadOnly() bool { return !im.host.Writable() }

// Notes are things worth telling the user, such as that a write-protected image is open for
// reading only.
func (im *Image) Notes() []string { return im.notes }

// Close closes the image, which ends its lock. It does not sync.
func (im *Image) Close() error { return im.host.Close() }

// OpenHost opens the file or block device at path as opt says, and locks it. It does not look
// into it. Where it may not be written to, and opt allows that, it is opened for reading and a note says so.
//
// Besides those of device.OpenHost and ErrLocked it returns no errors of its own.
func OpenHost(path string, opt OpenOptions) (host *device.Host, notes []string, err error) {
	if err := opt.check(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	host, err = device.OpenHost(path, !opt.ReadOnly)
	if err != nil && !opt.ReadOnly && !opt.NoFallback && device.IsWriteProtected(err) {
		if ro, roErr := device.OpenHost(path, false); roErr == nil {
			host, err = ro, nil
			notes = append(notes, "write-protected, mounted read-only")
		}
	}
	if errors.Is(err, syscall.EBUSY) && !opt.NoLock {
		return nil, nil, diskInUse(path, err)
	}
	if err != nil {
		return nil, nil, err
	}
	if !opt.NoLock {
		note, err := lock(host)
		if err != nil {
			host.Close()
			return nil, nil, err
		}
		if note != "" {
			notes = append(notes, note)
		}
	}
	return host, notes, nil
}

// Volume is where a FAT volume lies in an image, and the device that is exactly its bytes.
type Volume struct {
	Partition Partition
	Layout    *Layout // nil when no partition table was read
	dev       device.Device
}

// Device is the volume's bytes. It is read-only if the volume was located so.
func (v *Volume) Device() device.Device { return v.dev }

// Notes are things about the image that are worth telling.
func (v *Volume) Notes() []string {
	if v.Layout == nil {
		return nil
	}
	return v.Layout.Notes
}

// Locate finds the volume that opt means on a device that holds a whole image. Its errors wrap
// ErrNoVolume, ErrNoPartition, ErrAmbiguous, ErrTable, ErrOverlap, ErrBeyondEnd, what is wrong
// with the volume's boot sector, or what the device returned.
func Locate(dev device.Device, opt OpenOptions) (*Volume, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	v := &Volume{}
	scan := ScanOptions{Geometry: opt.Geometry}
	// Whoever asks for a number knows that there is a table.
	_, err := strconv.ParseUint(opt.Partition, 10, 32)
	scan.Table = err == nil
	if opt.byOffset() {
		v.Partition, err = atOffset(dev, opt)
	} else if v.Layout, err = ScanWith(dev, scan); err == nil {
		v.Partition, err = v.Layout.Choose(opt.Partition, opt.ReadOnly)
	}
	if err != nil {
		return nil, err
	}
	if v.dev, err = device.NewSection(dev, v.Partition.Start, v.Partition.Size); err != nil {
		return nil, err
	}
	if opt.ReadOnly {
		v.dev = device.ReadOnly(v.dev)
	}
	return v, nil
}

// atOffset is the volume at offset=, of sizelimit= bytes.
func atOffset(dev device.Device, opt OpenOptions) (Partition, error) {
	p := Partition{Start: opt.Offset, Size: opt.SizeLimit}
	if p.Start >= dev.Size() {
		return p, fmt.Errorf("offset=%d, and the image has %d bytes: %w", p.Start, dev.Size(), ErrBeyondEnd)
	}
	if p.Size == 0 {
		p.Size = dev.Size() - p.Start
	}
	if p.Size > dev.Size()-p.Start {
		return p, fmt.Errorf("sizelimit=%d at offset %d, and the image has %d bytes: %w", p.Size, p.Start, dev.Size(), ErrBeyondEnd)
	}
	if probePartition(dev, &p, opt.Geometry); p.Err == nil && p.Content.Err == nil && !p.Content.IsFAT() {
		return p, fmt.Errorf("%w: there is %s at offset %d", ErrNoVolume, kindPhrase(p.Content.Kind), p.Start)
	}
	return p, p.usable(opt.ReadOnly)
}
