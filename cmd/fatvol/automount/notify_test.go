package automount

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// shown is a notification as a desktop gets it.
type shown struct {
	replaces uint32
	text     string
	actions  int
	urgent   bool
}

// fakeDesktop shows notifications.
type fakeDesktop struct {
	conn  *dbus.Conn
	shown chan shown
	next  uint32
}

func startFakeDesktop(t *testing.T, conn *dbus.Conn, can ...string) *fakeDesktop {
	t.Helper()
	d := &fakeDesktop{conn: conn, shown: make(chan shown, 8)}
	err := conn.ExportMethodTable(map[string]any{
		"GetCapabilities": func() ([]string, *dbus.Error) { return can, nil },
		"Notify": func(app string, replaces uint32, icon, summary, body string, actions []string, hints map[string]dbus.Variant, timeout int32) (uint32, *dbus.Error) {
			d.shown <- shown{replaces, summary + ": " + body, len(actions) / 2, hints["urgency"].Value() == byte(2)}
			if replaces == 0 {
				d.next++
				replaces = d.next
			}
			return replaces, nil
		},
	}, notifyPath, notifyName)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(notifyName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDesktop: a later notice about the same thing takes the place of the earlier, unless that was closed;
// buttons say what they are about; text is not taken for markup.
func TestDesktop(t *testing.T) {
	conn := startBus(t)
	fake := startFakeDesktop(t, conn, "body", "body-markup", "actions")
	d := NewDesktop()
	defer d.Close()
	notify := func(n notice, want shown) {
		t.Helper()
		if err := d.Notify(context.Background(), n); err != nil {
			t.Fatal(err)
		}
		if got := <-fake.shown; got != want {
			t.Errorf("shown %+v, want %+v", got, want)
		}
	}
	photos := notice{kind: noticeMounted, about: "/r/PHOTOS", summary: "S", body: "a <b> & c", open: "/r/PHOTOS"}
	notify(photos, shown{0, "S: a &lt;b&gt; &amp; c", 2, false})
	notify(notice{about: "/r/OTHER", summary: "O", body: "o", urgent: true}, shown{0, "O: o", 0, true})
	notify(photos, shown{1, "S: a &lt;b&gt; &amp; c", 2, false})
	if err := conn.Emit(notifyPath, notifyName+".ActionInvoked", uint32(99), keyEject); err != nil {
		t.Fatal(err)
	}
	if err := conn.Emit(notifyPath, notifyName+".ActionInvoked", uint32(1), keyEject); err != nil {
		t.Fatal(err)
	}
	select {
	case c := <-d.Chosen():
		if c != (choice{"/r/PHOTOS", keyEject}) {
			t.Errorf("chosen %+v", c)
		}
	case <-time.After(patience):
		t.Fatal("a pressed button has no effect")
	}
	// The answer to the button comes after the end of the notice.
	for _, sig := range []struct {
		name string
		args []any
	}{{"NotificationClosed", []any{uint32(1), uint32(2)}}, {"ActionInvoked", []any{uint32(2), keyOpen}}} {
		if err := conn.Emit(notifyPath, notifyName+"."+sig.name, sig.args...); err != nil {
			t.Fatal(err)
		}
	}
	if c := <-d.Chosen(); c != (choice{"/r/OTHER", keyOpen}) {
		t.Errorf("chosen %+v", c)
	}
	notify(photos, shown{0, "S: a &lt;b&gt; &amp; c", 2, false})
}

// TestDesktopLeaves: a desktop that comes late, or again, is told what happens from then on.
func TestDesktopLeaves(t *testing.T) {
	conn := startBus(t)
	d := NewDesktop()
	defer d.Close()
	n := notice{about: "x", summary: "S", body: "b"}
	if err := d.Notify(context.Background(), n); err == nil {
		t.Error("nobody shows it, and that is no error")
	}
	fake := startFakeDesktop(t, conn)
	if err := d.Notify(context.Background(), n); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(<-fake.shown); got != fmt.Sprint(shown{0, "S: b", 0, false}) {
		t.Errorf("shown %s", got)
	}
}
