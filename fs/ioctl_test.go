package fs

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// The numbers are those of the C macros on x86-64 and i386.
func TestIoctlNumbers(t *testing.T) {
	for _, c := range []struct {
		name string
		got  uint32
		want uint32
	}{
		{"FAT_IOCTL_GET_ATTRIBUTES", ioctlGetAttributes, 0x80047210},
		{"FAT_IOCTL_SET_ATTRIBUTES", ioctlSetAttributes, 0x40047211},
		{"FAT_IOCTL_GET_VOLUME_ID", ioctlGetVolumeID, 0x80047213},
		{"VFAT_IOCTL_READDIR_BOTH", scan64.command(scanBoth), 0x82307201},
		{"VFAT_IOCTL_READDIR_SHORT", scan64.command(scanShort), 0x82307202},
		{"VFAT_IOCTL_READDIR_BOTH32", scan32.command(scanBoth), 0x82187201},
		{"VFAT_IOCTL_READDIR_SHORT32", scan32.command(scanShort), 0x82187202},
		{"FITRIM", ioctlTrim, 0xc0185879},
		{"FS_IOC_GETFLAGS", ioctlGetFlags, 0x80086601},
		{"FS_IOC_SETFLAGS", ioctlSetFlags, 0x40086602},
		{"FS_IOC32_GETFLAGS", ioctlGetFlags32, 0x80046601},
		{"FS_IOC32_SETFLAGS", ioctlSetFlags32, 0x40046602},
		{"FS_IOC_FSGETXATTR", ioctlGetXFlags, 0x801c581f},
		{"FS_IOC_FSSETXATTR", ioctlSetXFlags, 0x401c5820},
		{"FS_IOC_GETFSLABEL", ioctlGetLabel, 0x81009431},
		{"FS_IOC_SETFSLABEL", ioctlSetLabel, 0x41009432},
	} {
		if c.got != c.want {
			t.Errorf("%s is %#x, want %#x", c.name, c.got, c.want)
		}
		if _, ok := ioctls[c.want]; !ok {
			t.Errorf("%s is not answered", c.name)
		}
	}
}

func TestScanLayout(t *testing.T) {
	for _, l := range []scanLayout{scan64, scan32} {
		b := make([]byte, l.size)
		l.put(b, 0x11223344, 42, "README~1.TXT")
		word := func(at int) uint64 {
			if l.word == 8 {
				return binary.NativeEndian.Uint64(b[at:])
			}
			return uint64(binary.NativeEndian.Uint32(b[at:]))
		}
		if word(0) != 0x11223344 || word(l.word) != 42 {
			t.Errorf("%+v: d_ino %#x, d_off %d", l, word(0), word(l.word))
		}
		if n := binary.NativeEndian.Uint16(b[2*l.word:]); n != 12 {
			t.Errorf("%+v: d_reclen %d", l, n)
		}
		if name := b[2*l.word+2:]; string(name[:13]) != "README~1.TXT\x00" {
			t.Errorf("%+v: d_name %q", l, name[:13])
		}
		long := bytes.Repeat([]byte("x"), 300)
		l.put(b, 1, 1, string(long))
		if name := b[2*l.word+2:]; name[254] != 'x' || name[255] != 0 {
			t.Errorf("%+v: a long name is not cut to 255 bytes and a NUL", l)
		}
	}
}
