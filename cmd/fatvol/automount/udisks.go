package automount

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/godbus/dbus/v5"
)

// Names of udisks2 on the system bus (its D-Bus API reference, udisks 2.x).
const (
	udisksName    = "org.freedesktop.UDisks2"
	udisksPath    = dbus.ObjectPath("/org/freedesktop/UDisks2")
	ifaceManager  = "org.freedesktop.DBus.ObjectManager"
	ifaceProps    = "org.freedesktop.DBus.Properties"
	ifaceBlock    = "org.freedesktop.UDisks2.Block"
	ifaceFS       = "org.freedesktop.UDisks2.Filesystem"
	ifaceDrive    = "org.freedesktop.UDisks2.Drive"
	ifaceJob      = "org.freedesktop.UDisks2.Job"
	errNotMounted = "org.freedesktop.UDisks2.Error.NotMounted"
)

// objects is what an object manager has: interfaces by object, properties by interface.
type objects map[dbus.ObjectPath]map[string]map[string]dbus.Variant

// property is a property of an object, or the zero value where there is none of this type.
func property[T any](o objects, path dbus.ObjectPath, iface, name string) (value T) {
	if v, ok := o[path][iface][name]; ok {
		value, _ = v.Value().(T)
	}
	return value
}

// cString is a path as udisks writes it: bytes that end with a zero.
func cString(b []byte) string { return string(bytes.TrimRight(b, "\x00")) }

// udisks is a connection to udisks2.
type udisks struct{ conn *dbus.Conn }

// dialUDisks connects to the system bus, and has udisks2 started where that is possible.
func dialUDisks(ctx context.Context) (*udisks, error) {
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		return nil, fmt.Errorf("the system's D-Bus: %w", err)
	}
	u := &udisks{conn}
	if _, err := u.list(ctx); err != nil { // the first call starts it
		conn.Close()
		return nil, fmt.Errorf("udisks2: %w", err)
	}
	return u, nil
}

func (u *udisks) close() { u.conn.Close() }

func (u *udisks) list(ctx context.Context) (o objects, err error) {
	err = u.conn.Object(udisksName, udisksPath).CallWithContext(ctx, ifaceManager+".GetManagedObjects", 0).Store(&o)
	return o, err
}

// noOptions are the options of a call that has none.
var noOptions = map[string]dbus.Variant{}

// unmount unmounts the file system of a block device. One that is not mounted any more is no error.
func (u *udisks) unmount(ctx context.Context, block dbus.ObjectPath) error {
	err := u.conn.Object(udisksName, block).CallWithContext(ctx, ifaceFS+".Unmount", 0, noOptions).Err
	if e, ok := errors.AsType[dbus.Error](err); ok && e.Name == errNotMounted {
		return nil
	}
	return err
}

// block is the object of the file system that is mounted on dir.
func (o objects) block(dir string) (dbus.ObjectPath, bool) {
	for path := range o {
		for _, p := range property[[][]byte](o, path, ifaceFS, "MountPoints") {
			if cString(p) == dir {
				return path, true
			}
		}
	}
	return "", false
}

// drive is the drive that a block device is a part of, also through an encrypted one.
func (o objects) drive(block dbus.ObjectPath) dbus.ObjectPath {
	if below := property[dbus.ObjectPath](o, block, ifaceBlock, "CryptoBackingDevice"); len(below) > 1 {
		block = below
	}
	return property[dbus.ObjectPath](o, block, ifaceBlock, "Drive")
}

// mountedOf lists the mount points of a drive.
func (o objects) mountedOf(drive dbus.ObjectPath) (dirs []string) {
	for path := range o {
		if o.drive(path) != drive {
			continue
		}
		for _, p := range property[[][]byte](o, path, ifaceFS, "MountPoints") {
			dirs = append(dirs, cString(p))
		}
	}
	slices.Sort(dirs)
	return dirs
}
