package watch

import (
	"strings"
	"testing"
)

func message(fields ...string) []byte { return []byte(strings.Join(fields, "\x00") + "\x00") }

func TestParseUevent(t *testing.T) {
	for _, c := range []struct {
		msg  []byte
		want uevent
		ok   bool
	}{
		{message("remove@/devices/a/block/sda", "ACTION=remove", "SUBSYSTEM=block"), uevent{"remove", "/devices/a/block/sda", true, false}, true},
		{message("change@/devices/a", "DISK_MEDIA_CHANGE=1"), uevent{"change", "/devices/a", false, true}, true},
		{message("change@/devices/a", "DISK_EJECT_REQUEST=1", "SUBSYSTEM=scsi"), uevent{"change", "/devices/a", false, true}, true},
		{message("add@/devices/../etc"), uevent{"add", "/etc", false, false}, true},
		{message("libudev", "\xfe\xed\xca\xfe"), uevent{}, false},
		{message("@/devices/a"), uevent{}, false},
		{message("remove@devices"), uevent{}, false},
		{[]byte("remove@/devices/a"), uevent{}, false},
		{nil, uevent{}, false},
	} {
		if got, ok := parseUevent(c.msg); got != c.want || ok != c.ok {
			t.Errorf("%q: %+v, %v", c.msg, got, ok)
		}
	}
}

const scsi = "/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/host6/target6:0:0/6:0:0:0"

func TestUeventSignals(t *testing.T) {
	stick := devices{{scsi + "/block/sda/sda1", true}, {scsi + "/block/sda", true}}
	mirror := devices{{"/devices/virtual/block/md0", true}, {scsi + "/block/sda", false}, {scsi + "x/block/sdb", false}}
	for _, c := range []struct {
		name  string
		on    devices
		event uevent
		want  Signal
		any   bool
	}{
		{"partition removed", stick, uevent{"remove", scsi + "/block/sda/sda1", true, false}, Removed, true},
		{"disk removed", stick, uevent{"remove", scsi + "/block/sda", true, false}, Removed, true},
		{"USB device removed", stick, uevent{"remove", "/devices/pci0000:00/0000:00:14.0/usb1/1-1", false, false}, Removed, true},
		{"neighbour removed", stick, uevent{"remove", scsi + "/bsg/6:0:0:0", false, false}, Suspect, true},
		{"another partition removed", stick, uevent{"remove", scsi + "/block/sda/sda10", true, false}, Suspect, true},
		{"medium changed", stick, uevent{"change", scsi + "/block/sda", true, true}, Suspect, true},
		{"interface unbound", stick, uevent{"unbind", "/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0", false, false}, Suspect, true},
		{"name that begins alike", stick, uevent{"remove", "/devices/pci0000:00/0000:00:14.0/usb1/1", false, false}, 0, false},
		{"another disk removed", stick, uevent{"remove", "/devices/virtual/block/loop3", true, false}, 0, false},
		{"another disk added", stick, uevent{"add", "/devices/virtual/block/loop3", true, false}, MaybeBack, true},
		{"a network card", stick, uevent{"add", "/devices/virtual/net/tun0", false, false}, 0, false},
		{"half of a mirror removed", mirror, uevent{"remove", scsi + "/block/sda", true, false}, Suspect, true},
		{"mirror removed", mirror, uevent{"remove", "/devices/virtual/block/md0", true, false}, Removed, true},
		{"nothing watched", nil, uevent{"remove", scsi, false, false}, 0, false},
	} {
		if got, any := c.on.signal(c.event); got != c.want || any != c.any {
			t.Errorf("%s: %v, %v, want %v, %v", c.name, got, any, c.want, c.any)
		}
	}
}

func FuzzParseUevent(f *testing.F) {
	f.Add(message("remove@/devices/a/block/sda", "SUBSYSTEM=block"))
	f.Add(message("change@/", "DISK_MEDIA_CHANGE=1"))
	d := devices{{scsi + "/block/sda", true}}
	f.Fuzz(func(t *testing.T, msg []byte) {
		e, ok := parseUevent(msg)
		if ok && (e.action == "" || !strings.HasPrefix(e.device, "/")) {
			t.Errorf("%q: %+v", msg, e)
		}
		d.signal(e)
	})
}
