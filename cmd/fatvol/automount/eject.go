package automount

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/godbus/dbus/v5"
)

// UnmountHost unmounts a medium by udisks2 where that has mounted it, and by umount(8) otherwise.
func UnmountHost(ctx context.Context, m Medium) error {
	u, err := dialUDisks(ctx)
	if err == nil {
		defer u.close()
		o, err := u.list(ctx)
		if err != nil {
			return fmt.Errorf("udisks2: %w", err)
		}
		if block, ok := o.block(m.Dir); ok {
			if err := u.unmount(ctx, block); err != nil {
				return fmt.Errorf("%s cannot be unmounted: %w", m.Dir, plain(err))
			}
			return nil
		}
	}
	return plainUnmount(ctx, m)
}

func plainUnmount(ctx context.Context, m Medium) error {
	_, said, err := runChild(ctx, []string{"umount", "--", m.Dir}, nil, nil)
	if err == nil {
		return nil
	}
	if said != "" && !errors.Is(err, exec.ErrNotFound) {
		err = errors.New(said)
	}
	return fmt.Errorf("%s cannot be unmounted: %w", m.Dir, err)
}

// TakeOut makes a medium ready to be taken out: its file system is unmounted, its volumes having been
// unmounted before, and its drive is switched off, or opened. It says on out what was done.
func TakeOut(ctx context.Context, out io.Writer, m Medium, powerOff bool) error {
	u, err := dialUDisks(ctx)
	if err != nil {
		if err := plainUnmount(ctx, m); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s is unmounted and can be taken out\n", m.Name)
		return nil
	}
	defer u.close()
	o, err := u.list(ctx)
	if err != nil {
		return fmt.Errorf("udisks2: %w", err)
	}
	block, ok := o.block(m.Dir)
	if !ok {
		err = plainUnmount(ctx, m)
	} else if err = u.unmount(ctx, block); err != nil {
		err = fmt.Errorf("%s cannot be unmounted: %w", m.Dir, plain(err))
	}
	if err != nil {
		return err
	}
	if !ok {
		fmt.Fprintf(out, "%s is unmounted and can be taken out\n", m.Name)
		return nil
	}
	drive := o.drive(block)
	if o, err = u.list(ctx); err != nil {
		return fmt.Errorf("udisks2: %w", err)
	}
	if others := o.mountedOf(drive); len(others) > 0 {
		fmt.Fprintf(out, "%s is unmounted; do not take it out yet: %s still mounted\n", m.Name, strings.Join(others, ", ")+are(len(others)))
		return nil
	}
	return u.release(ctx, out, m, o, drive, powerOff)
}

func are(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

// release switches a drive off, or opens it.
func (u *udisks) release(ctx context.Context, out io.Writer, m Medium, o objects, drive dbus.ObjectPath, powerOff bool) error {
	method, done := "", "unmounted"
	switch {
	case powerOff && property[bool](o, drive, ifaceDrive, "CanPowerOff"):
		method, done = "PowerOff", "switched off"
	case property[bool](o, drive, ifaceDrive, "Ejectable"):
		method, done = "Eject", "ejected"
	}
	if method != "" {
		if err := u.conn.Object(udisksName, drive).CallWithContext(ctx, ifaceDrive+"."+method, 0, noOptions).Err; err != nil {
			// Nothing is on its way any more; that it stays lit is no danger.
			done = fmt.Sprintf("unmounted (%s: %v)", method, plain(err))
		}
	}
	fmt.Fprintf(out, "%s is %s and can be taken out\n", m.Name, done)
	return nil
}

// plain is an error of D-Bus without the name of its kind.
func plain(err error) error {
	if e, ok := errors.AsType[dbus.Error](err); ok && len(e.Body) > 0 {
		if text, ok := e.Body[0].(string); ok {
			return errors.New(oneLine(text))
		}
	}
	return err
}

// List asks a source for the media that are there now.
func List(ctx context.Context, s Source) (media []Medium, err error) {
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	got := false
	err = s.Follow(ctx, func(list []Medium) {
		if !got {
			media, got = list, true
		}
		enough()
	})
	if got {
		err = nil
	}
	return media, err
}

// MediumOf is the medium of those that a path lies on, by its mount point. It fails where that is none that
// can be taken out.
func MediumOf(media []Medium, path string) (Medium, error) {
	m := mediumOf(media, path)
	switch {
	case m == nil:
		return Medium{}, errors.New("it lies on no medium that is mounted")
	case m.Refused != "":
		return Medium{}, fmt.Errorf("it lies on %s, which is no removable medium: %s: 'fatvol umount' unmounts a volume alone", m.Dir, m.Refused)
	}
	return *m, nil
}
