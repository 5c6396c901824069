//go:build linux

// Command listener is the desktop of the scenes: it shows notifications (Desktop Notifications Specification
// 1.2) by printing each as a line of JSON. On SIGUSR1 it presses the button "eject" of the last one that has it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/godbus/dbus/v5"
)

const (
	name = "org.freedesktop.Notifications"
	path = "/org/freedesktop/Notifications"
)

// notification is what Notify was called with.
type notification struct {
	ID       uint32
	Replaces uint32
	Summary  string
	Body     string
	Buttons  []string
	Urgent   bool
}

type desktop struct {
	mu    sync.Mutex
	last  uint32 // id
	eject uint32 // id of the last one with a button for it
}

// GetCapabilities is of the specification.
func (d *desktop) GetCapabilities() ([]string, *dbus.Error) { return []string{"body", "actions"}, nil }

// GetServerInformation is of the specification.
func (d *desktop) GetServerInformation() (string, string, string, string, *dbus.Error) {
	return "listener", "fatvol", "1", "1.2", nil
}

// CloseNotification is of the specification.
func (d *desktop) CloseNotification(uint32) *dbus.Error { return nil }

// Notify is of the specification.
func (d *desktop) Notify(app string, replaces uint32, icon, summary, body string, actions []string, hints map[string]dbus.Variant, timeout int32) (uint32, *dbus.Error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := notification{ID: replaces, Replaces: replaces, Summary: summary, Body: body}
	if n.ID == 0 {
		d.last++
		n.ID = d.last
	}
	for pair := range slices.Chunk(actions, 2) {
		n.Buttons = append(n.Buttons, pair[len(pair)-1])
		if pair[0] == "eject" {
			d.eject = n.ID
		}
	}
	urgency, _ := hints["urgency"].Value().(byte)
	n.Urgent = urgency == 2
	line, err := json.Marshal(n)
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	fmt.Printf("%s\n", line)
	return n.ID, nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "listener:", err)
		os.Exit(1)
	}
}

func run() error {
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return err
	}
	d := &desktop{}
	if err := conn.Export(d, path, name); err != nil {
		return err
	}
	if got, err := conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil || got != dbus.RequestNameReplyPrimaryOwner {
		return fmt.Errorf("%s is somebody else's: %v, %w", name, got, err)
	}
	press := make(chan os.Signal, 1)
	signal.Notify(press, syscall.SIGUSR1)
	fmt.Println("{}") // ready
	for range press {
		d.mu.Lock()
		id := d.eject
		d.mu.Unlock()
		if err := conn.Emit(path, name+".ActionInvoked", id, "eject"); err != nil {
			return err
		}
	}
	return nil
}
