package automount

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// following follows a source until the test ends.
type following struct {
	t     *testing.T
	lists chan []Medium
	ended chan error
}

func follow(t *testing.T, s Source) *following {
	f := &following{t, make(chan []Medium, 1), make(chan error, 1)}
	ctx, stop := context.WithCancel(context.Background())
	go func() { f.ended <- s.Follow(ctx, func(m []Medium) { replace(f.lists, m) }) }()
	t.Cleanup(stop)
	return f
}

// await waits for a list that is as it should be.
func (f *following) await(what string, right func(stick *Medium) bool) {
	f.t.Helper()
	late := time.After(patience)
	var last []Medium
	for {
		select {
		case last = <-f.lists:
			var stick *Medium
			for i := range last {
				if last[i].Device == "/dev/sdb1" {
					stick = &last[i]
				}
			}
			if right(stick) {
				return
			}
		case err := <-f.ended:
			f.t.Fatalf("%s: the source ended: %v", what, err)
		case <-late:
			f.t.Fatalf("%s: never; the last list is %+v", what, last)
		}
	}
}

// TestUDisksSource: media come and go, are told apart, and attempts to unmount them are counted.
func TestUDisksSource(t *testing.T) {
	u := startUDisks(t, startBus(t))
	f := follow(t, UDisks{Log: slog.Default()})
	f.await("the stick is there", func(m *Medium) bool {
		return m != nil && m.Refused == "" && m.Name == "STICK" && m.Dir == "/media/STICK" && m.Appears == 1 && m.Asked == 0 && strings.Contains(m.Why, "Acme Stick")
	})
	u.job("filesystem-mount", fakeBlock)
	u.job("filesystem-unmount", fakeDisk)
	u.job("filesystem-unmount", fakeBlock)
	f.await("somebody tries to unmount it", func(m *Medium) bool { return m != nil && m.Asked == 1 })
	u.mount(fakeBlock)
	f.await("it is unmounted", func(m *Medium) bool { return m == nil })
	u.mount(fakeBlock, "/media/STICK")
	f.await("it is mounted again", func(m *Medium) bool { return m != nil && m.Appears == 2 && m.Asked == 0 })

	if _, err := u.conn.ReleaseName(udisksName); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-f.ended:
		if !errors.Is(err, errUDisksLeft) {
			t.Errorf("the source ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("the source does not notice that udisks has ended")
	}
}

// TestUDisksJudges: what is left alone, and why.
func TestUDisksJudges(t *testing.T) {
	drive := func(p props) objects {
		return objects{"/b": {ifaceBlock: {"Drive": variant(dbus.ObjectPath("/d"))}, ifaceFS: {"MountPoints": variant(pointsOf("/media/X"))}}, "/d": {ifaceDrive: p}}
	}
	crypt := drive(props{"ConnectionBus": variant("usb")})
	crypt["/b"][ifaceBlock] = props{"Drive": variant(dbus.ObjectPath("/")), "CryptoBackingDevice": variant(dbus.ObjectPath("/c"))}
	crypt["/c"] = map[string]props{ifaceBlock: {"Drive": variant(dbus.ObjectPath("/d"))}}
	ignored := drive(props{"ConnectionBus": variant("usb")})
	ignored["/b"][ifaceBlock]["HintIgnore"] = variant(true)
	for name, c := range map[string]struct {
		o       objects
		media   Media
		refused string
	}{
		"usb":       {drive(props{"ConnectionBus": variant("usb")}), Media{}, ""},
		"card":      {drive(props{"MediaRemovable": variant(true)}), Media{}, ""},
		"encrypted": {crypt, Media{}, ""},
		"fixed":     {drive(props{"Model": variant("Disk")}), Media{}, "not removable"},
		"ignored":   {ignored, Media{}, "ignore"},
		"also":      {drive(props{}), Media{Also: []string{"/media/*"}}, ""},
		"never":     {drive(props{"ConnectionBus": variant("usb")}), Media{Never: []string{"/media/X"}}, "never"},
		"wrong":     {drive(props{"ConnectionBus": variant(7)}), Media{}, "not removable"},
	} {
		media := UDisks{Media: c.media}.media(c.o, nil)
		if len(media) != 1 || (media[0].Refused == "") != (c.refused == "") || !strings.Contains(media[0].Refused, c.refused) {
			t.Errorf("%s: %+v, want refused for %q", name, media, c.refused)
		}
	}
}

// tableOf is a source with one list.
type tableOf []Medium

func (tableOf) Name() string { return "table" }
func (s tableOf) Follow(ctx context.Context, send func([]Medium)) error {
	send(s)
	<-ctx.Done()
	return nil
}

// TestAuto: without udisks the mount table counts, with it again udisks.
func TestAuto(t *testing.T) {
	conn := startBus(t)
	f := follow(t, Auto{UDisks: UDisks{}, Table: tableOf{{Device: "/dev/sdb1", Name: "by the table"}}, Log: slog.New(slog.DiscardHandler), Again: 10 * time.Millisecond})
	f.await("the table", func(m *Medium) bool { return m != nil && m.Name == "by the table" })
	u := startUDisks(t, conn)
	f.await("udisks", func(m *Medium) bool { return m != nil && m.Name == "STICK" })
	if _, err := u.conn.ReleaseName(udisksName); err != nil {
		t.Fatal(err)
	}
	f.await("the table again", func(m *Medium) bool { return m != nil && m.Name == "by the table" })
}

// TestTakeOut: a drive is switched off once nothing of it is mounted any more, and not before.
func TestTakeOut(t *testing.T) {
	u := startUDisks(t, startBus(t))
	stick := Medium{Dir: "/media/STICK", Name: "STICK"}
	take := func(powerOff bool) string {
		t.Helper()
		var out bytes.Buffer
		if err := TakeOut(context.Background(), &out, stick, powerOff); err != nil {
			return "error: " + err.Error()
		}
		return strings.TrimSpace(out.String())
	}
	u.setBusy(true)
	if got := take(true); got != "error: /media/STICK cannot be unmounted: Error unmounting /dev/sdb1: target is busy" || u.calls() != "" {
		t.Errorf("busy: %q, %s", got, u.calls())
	}
	u.setBusy(false)
	u.mount(fakeOther, "/media/OTHER")
	if got := take(true); got != "STICK is unmounted; do not take it out yet: /media/OTHER is still mounted" || u.calls() != "Unmount" {
		t.Errorf("with another partition: %q, %s", got, u.calls())
	}
	u.mount(fakeOther)
	for _, c := range []struct {
		powerOff   bool
		said, call string
	}{{true, "STICK is switched off and can be taken out", "PowerOff"}, {false, "STICK is ejected and can be taken out", "Eject"}} {
		u.mount(fakeBlock, "/media/STICK")
		if got := take(c.powerOff); got != c.said || !strings.HasSuffix(u.calls(), "Unmount "+c.call) {
			t.Errorf("%q, %s", got, u.calls())
		}
	}
}
