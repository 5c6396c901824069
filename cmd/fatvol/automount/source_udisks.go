package automount

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// UDisks is the Source that asks udisks2. It sees when somebody tries to unmount a medium: udisks has a job
// for that while it tries.
type UDisks struct {
	Media Media
	Log   *slog.Logger
}

// Name implements Source.
func (UDisks) Name() string { return "udisks" }

// errUDisksLeft is why a source ends that has seen udisks end.
var errUDisksLeft = errors.New("udisks2 has left the bus")

// signalBuffer bounds the signals that wait; they only say that something has changed, except for jobs.
const signalBuffer = 256

// Follow implements Source.
func (s UDisks) Follow(ctx context.Context, send func([]Medium)) error {
	u, err := dialUDisks(ctx)
	if err != nil {
		return err
	}
	defer u.close()
	signals := make(chan *dbus.Signal, signalBuffer)
	u.conn.Signal(signals)
	for _, match := range [][]dbus.MatchOption{
		{dbus.WithMatchSender(udisksName), dbus.WithMatchInterface(ifaceManager)},
		{dbus.WithMatchSender(udisksName), dbus.WithMatchInterface(ifaceProps), dbus.WithMatchMember("PropertiesChanged")},
		{dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, udisksName)},
	} {
		if err := u.conn.AddMatchSignalContext(ctx, match...); err != nil {
			return fmt.Errorf("udisks2: %w", err)
		}
	}
	var a appearances
	asked := map[dbus.ObjectPath]int{}
	for {
		o, err := u.list(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("udisks2: %w", err)
		}
		for block := range asked {
			if len(property[[][]byte](o, block, ifaceFS, "MountPoints")) == 0 {
				delete(asked, block) // it has been unmounted; what is mounted next is another medium
			}
		}
		media := s.media(o, asked)
		a.number(media)
		send(media)
		select {
		case <-ctx.Done():
			return nil
		case sig, ok := <-signals:
			// Everything that has arrived is covered by one list.
			for more := true; more; {
				if !ok {
					return errors.New("the system's D-Bus has closed the connection")
				}
				if err := note(sig, asked); err != nil {
					return err
				}
				select {
				case sig, ok = <-signals:
				default:
					more = false
				}
			}
		}
	}
}

// note counts what a signal says of attempts to unmount.
func note(sig *dbus.Signal, asked map[dbus.ObjectPath]int) error {
	switch sig.Name {
	case "org.freedesktop.DBus.NameOwnerChanged":
		if len(sig.Body) == 3 && sig.Body[2] == "" {
			return errUDisksLeft
		}
	case ifaceManager + ".InterfacesAdded":
		var path dbus.ObjectPath
		var interfaces map[string]map[string]dbus.Variant
		if dbus.Store(sig.Body, &path, &interfaces) != nil {
			return nil
		}
		o := objects{path: interfaces}
		if property[string](o, path, ifaceJob, "Operation") == "filesystem-unmount" {
			for _, block := range property[[]dbus.ObjectPath](o, path, ifaceJob, "Objects") {
				asked[block]++
			}
		}
	}
	return nil
}

// media are the file systems that are mounted, with why each of them is, or is not, looked at.
func (s UDisks) media(o objects, asked map[dbus.ObjectPath]int) (media []Medium) {
	for path := range o {
		points := property[[][]byte](o, path, ifaceFS, "MountPoints")
		if len(points) == 0 {
			continue
		}
		m := Medium{
			Dir:    cString(points[0]),
			Device: cString(property[[]byte](o, path, ifaceBlock, "PreferredDevice")),
			Name:   property[string](o, path, ifaceBlock, "IdLabel"),
			FSType: property[string](o, path, ifaceBlock, "IdType"),
			Asked:  asked[path],
		}
		if m.Device == "" {
			m.Device = cString(property[[]byte](o, path, ifaceBlock, "Device"))
		}
		if m.Name == "" {
			m.Name = mediumName(m.Dir, m.Device)
		}
		if m.Why = s.Media.counts(m.Dir); m.Why == "" {
			m.Why, m.Refused = removableDrive(o, path)
			if m.Refused == "" && isSystemDir(m.Dir) {
				m.Refused = "a directory of the system"
			}
		}
		s.Media.exclude(&m)
		media = append(media, m)
	}
	slices.SortFunc(media, func(a, b Medium) int { return cmp.Compare(a.Dir, b.Dir) })
	return media
}

// removableDrive says why a block device lies on a medium that can be taken out, or why it does not.
func removableDrive(o objects, block dbus.ObjectPath) (why, refused string) {
	drive := o.drive(block)
	bus := property[string](o, drive, ifaceDrive, "ConnectionBus")
	switch {
	case property[bool](o, block, ifaceBlock, "HintIgnore"):
		return "", "udisks is told to ignore it"
	case bus == "usb", bus == "sdio", bus == "ieee1394":
		return fmt.Sprintf("on the bus %s (%s)", bus, driveName(o, drive)), ""
	case property[bool](o, drive, ifaceDrive, "Removable"), property[bool](o, drive, ifaceDrive, "MediaRemovable"):
		return fmt.Sprintf("that can be taken out (%s)", driveName(o, drive)), ""
	case len(drive) <= 1:
		return "", "in no drive"
	}
	return "", fmt.Sprintf("the drive %s is not removable", driveName(o, drive))
}

func driveName(o objects, drive dbus.ObjectPath) string {
	name := strings.TrimSpace(property[string](o, drive, ifaceDrive, "Vendor") + " " + property[string](o, drive, ifaceDrive, "Model"))
	if name == "" {
		return "of no name"
	}
	return name
}
