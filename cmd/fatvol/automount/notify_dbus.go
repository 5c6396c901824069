package automount

import (
	"context"
	"fmt"
	"html"
	"slices"
	"sync"

	"github.com/godbus/dbus/v5"
)

// Names of the Desktop Notifications Specification 1.2.
const (
	notifyName  = "org.freedesktop.Notifications"
	notifyPath  = dbus.ObjectPath("/org/freedesktop/Notifications")
	appName     = "fatvol"
	appIcon     = "drive-removable-media"
	forItself   = int32(-1) // the desktop decides how long a notice is shown
	urgencyHigh = byte(2)
)

// Desktop is the Notifier that speaks to the session's desktop.
type Desktop struct {
	chosen chan choice

	mu struct {
		sync.Mutex
		conn *dbus.Conn
		ids  map[string]uint32 // of the notices that are shown, by what they are about
		acts bool              // it has buttons
		html bool              // it takes the text for a kind of HTML
	}
}

// NewDesktop returns a Desktop; it connects when there is something to say.
func NewDesktop() *Desktop { return &Desktop{chosen: make(chan choice, maxWaiting)} }

// Chosen implements Notifier.
func (d *Desktop) Chosen() <-chan choice { return d.chosen }

// Close implements Notifier.
func (d *Desktop) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.conn != nil {
		d.mu.conn.Close()
		d.mu.conn = nil
	}
}

// Notify implements Notifier.
func (d *Desktop) Notify(ctx context.Context, n notice) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.connect(ctx); err != nil {
		return err
	}
	actions := []string{}
	if d.mu.acts && n.open != "" {
		actions = append(actions, keyOpen, "Open", keyEject, "Eject")
	}
	hints := map[string]dbus.Variant{"desktop-entry": dbus.MakeVariant("fatvol-open"), "category": dbus.MakeVariant(n.category())}
	if n.urgent {
		hints["urgency"] = dbus.MakeVariant(urgencyHigh)
	}
	body := n.body
	if d.mu.html {
		body = html.EscapeString(body)
	}
	var id uint32
	err := d.mu.conn.Object(notifyName, notifyPath).CallWithContext(ctx, notifyName+".Notify", 0,
		appName, d.mu.ids[n.about], appIcon, n.summary, body, actions, hints, forItself).Store(&id)
	if err != nil {
		d.mu.conn.Close() // the next notice tries from the beginning
		d.mu.conn = nil
		return fmt.Errorf("notification: %w", err)
	}
	d.mu.ids[n.about] = id
	return nil
}

// connect connects to the session bus. The caller holds d.mu.
func (d *Desktop) connect(ctx context.Context) error {
	if d.mu.conn != nil && d.mu.conn.Connected() {
		return nil
	}
	conn, err := dialSession()
	if err != nil {
		return fmt.Errorf("the session's D-Bus: %w", err)
	}
	signals := make(chan *dbus.Signal, signalBuffer)
	conn.Signal(signals)
	if err := conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface(notifyName)); err != nil {
		conn.Close()
		return fmt.Errorf("the session's D-Bus: %w", err)
	}
	d.mu.conn, d.mu.ids = conn, map[string]uint32{}
	var can []string
	if err := conn.Object(notifyName, notifyPath).CallWithContext(ctx, notifyName+".GetCapabilities", 0).Store(&can); err == nil {
		d.mu.acts, d.mu.html = slices.Contains(can, "actions"), slices.Contains(can, "body-markup")
	}
	go d.listen(signals)
	return nil
}

// dialSession connects to the session bus, and starts none where there is none.
func dialSession() (*dbus.Conn, error) {
	conn, err := dbus.SessionBusPrivateNoAutoStartup()
	if err != nil {
		return nil, err
	}
	if err = conn.Auth(nil); err == nil {
		err = conn.Hello()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// listen hears of what becomes of notices, until the connection ends.
func (d *Desktop) listen(signals <-chan *dbus.Signal) {
	for sig := range signals {
		var id uint32
		var key string
		switch sig.Name {
		case notifyName + ".ActionInvoked":
			if dbus.Store(sig.Body, &id, &key) == nil {
				if about := d.about(id); about != "" {
					d.choose(choice{about, key})
				}
			}
		case notifyName + ".NotificationClosed":
			var why uint32
			if dbus.Store(sig.Body, &id, &why) == nil {
				d.closed(id)
			}
		}
	}
}

// choose passes on what was chosen. Nobody waits for a helper that does not take it.
func (d *Desktop) choose(c choice) {
	select {
	case d.chosen <- c:
	default:
	}
}

func (d *Desktop) about(id uint32) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for about, shown := range d.mu.ids {
		if shown == id {
			return about
		}
	}
	return ""
}

func (d *Desktop) closed(id uint32) {
	if about := d.about(id); about != "" {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.mu.ids, about)
	}
}

// category is the specification's word for what a notice is about.
func (n notice) category() string {
	switch n.kind {
	case noticeMounted, noticeBack:
		return "device.added"
	case noticeRemoved, noticeEnded, noticeSafe:
		return "device.removed"
	}
	return "device.error"
}
