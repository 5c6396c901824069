package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

type umountFlags struct {
	lazy, verbose bool
}

func umountCommand() *cobra.Command {
	var flags umountFlags
	cmd := &cobra.Command{
		Use:     "umount DIR",
		Aliases: []string{"unmount"},
		Short:   "Unmount a volume and wait until it is complete on the host",
		Long: "Unmounts the volume that is mounted on DIR, waits until the process that served it has\n" +
			"written everything and ended, and returns how that went. The image's path may stand\n" +
			"for DIR. umount(8) does the same for mounts with the option helper=fatvol;\n" +
			"otherwise it may return while the last of the volume is still being written.",
		Example: "  fatvol umount /mnt",
		Args:    exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return umountAndWait(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], flags)
		},
	}
	cmd.Flags().BoolVarP(&flags.lazy, "lazy", "l", false, "detach DIR now, even if it is in use; the volume is complete once nobody uses it")
	cmd.Flags().BoolVarP(&flags.verbose, "verbose", "v", false, "say what was done")
	return cmd
}

// Waiting for the serving process: how long until the user is told about it, and how long a lazy
// unmount waits at all.
const (
	quietWait = 3 * time.Second
	lazyWait  = 500 * time.Millisecond
)

// umountAndWait unmounts dir, waits for the serving process and returns its result.
func umountAndWait(ctx context.Context, out, errOut io.Writer, path string, flags umountFlags) error {
	m, err := findMount(path)
	if err != nil {
		return failf(exitFailed, "umount %s: %w: 'fatvol status' lists what is mounted", path, reason(err))
	}
	if m == nil {
		return failf(exitFailed, "umount %s: not mounted: 'fatvol status' lists what is", path)
	}
	record := recordOf(m)
	if record != nil {
		defer record.close()
	} else if m.FSType != fuseType {
		return failf(exitFailed, "umount %s: not a mount of fatvol but of type %s: use umount(8)", m.Mountpoint, m.FSType)
	}
	wasAlive := record != nil && record.alive()

	if err := unmountPatiently(ctx, m, flags.lazy); err != nil {
		return umountError(m, err)
	}
	switch {
	case record == nil:
		tell(errOut, "umount %s: unmounted, but its serving process left no record: cannot tell when the image is complete", m.Mountpoint)
		return nil
	case !wasAlive:
		return deadServerError(m.Mountpoint, record)
	}
	if others := otherMounts(m); len(others) > 0 {
		tell(errOut, "umount %s: unmounted here; the volume is still mounted on %s", m.Mountpoint, strings.Join(others, ", "))
		return nil
	}
	if err := awaitEnd(ctx, errOut, m.Mountpoint, record, flags); err != nil {
		return err
	}
	if !flags.verbose {
		return nil
	}
	told := &reporter{w: out}
	tell(told, "%s unmounted, %s is complete", m.Mountpoint, record.Image)
	return told.end(exitSystem, "umount "+m.Mountpoint, nil)
}

// A mount may be busy for a moment because of somebody who only looks, as df(1) does.
const (
	busyPatience = time.Second
	busyPause    = 50 * time.Millisecond
)

// unmountPatiently is unmount, tried for a moment where the mount is busy and nobody to be found uses it.
func unmountPatiently(ctx context.Context, m *mountinfo.Info, lazy bool) error {
	for end := time.Now().Add(busyPatience); ; {
		err := unmount(m.Mountpoint, lazy)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) || len(knownUsers(m)) > 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(busyPause):
		}
	}
}

// awaitEnd waits until the serving process is dead and returns its result.
func awaitEnd(ctx context.Context, errOut io.Writer, dir string, record *recordView, flags umountFlags) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	ended := record.ended()
	limit := quietWait
	if flags.lazy {
		limit = lazyWait
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for waiting := true; waiting; {
		select {
		case <-ended:
			waiting = false
		case <-timer.C:
			if flags.lazy {
				tell(errOut, "umount %s: detached; PID %d serves it until its last user is done", dir, record.PID)
				return nil
			}
			tell(errOut, "umount %s: unmounted; waiting for PID %d to finish %s (it may be mounted in another name space as well)",
				dir, record.PID, record.Image)
		case <-ctx.Done():
			return failf(exitInterrupted, "umount %s: interrupted: unmounted, but PID %d has not finished %s", dir, record.PID, record.Image)
		}
	}
	end, _, ok := record.end()
	switch {
	case !ok:
		return deadServerError(dir, record)
	case end.Code != exitOK:
		return failf(end.Code, "umount %s: unmounted, but %s is not complete: %s", dir, record.Image, end.Error)
	}
	return nil
}

// recordOf opens the record of a mount, or returns nil when there is none.
func recordOf(m *mountinfo.Info) *recordView {
	uids := []int{mountOwner(m)}
	if own := os.Geteuid(); own != uids[0] {
		uids = append(uids, own)
	}
	var found *recordView
	for _, uid := range uids {
		for _, v := range recordsOf(uid) {
			switch {
			case !v.belongsTo(m) || found != nil && !v.fits(m, found):
				v.close()
			case found != nil:
				found.close()
				fallthrough
			default:
				found = v
			}
		}
	}
	return found
}

// fits reports whether v is rather the record of m than other is. A process that completes its image has its
// device number used by the next mount meanwhile.
func (v *recordView) fits(m *mountinfo.Info, other *recordView) bool {
	if here := v.Dir == m.Mountpoint; here != (other.Dir == m.Mountpoint) {
		return here
	}
	return v.Started.After(other.Started)
}

// belongsTo reports whether v is the record of m. Device numbers are used again, so the record of
// a dead process must agree in the directory as well.
func (v *recordView) belongsTo(m *mountinfo.Info) bool {
	if v.Device == "" || m.Major+m.Minor == 0 {
		return v.Dir == m.Mountpoint && m.FSType == fuseType
	}
	return v.Device == deviceNumber(m) && (v.Dir == m.Mountpoint || v.alive())
}

// deadServerError says that the process which served dir died before the unmount was complete.
func deadServerError(dir string, record *recordView) error {
	_, lastWords, _ := record.end()
	if lastWords == "" {
		lastWords = "it was killed"
	}
	os.Remove(record.f.Name()) // it has been read out; a failure leaves it to the next mount
	os.Remove(controlPath(record.f.Name()))
	return failf(exitFailed, "umount %s: unmounted, but the process that served it (PID %d) died before: %s: 'fatvol check %s' tells whether it is whole",
		dir, record.PID, lastWords, record.Image)
}

// maxHolders bounds how many processes an error lists.
const maxHolders = 5

// umountError explains why a mount could not be taken away.
func umountError(m *mountinfo.Info, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return failf(exitFailed, "umount %s: busy: %s: end that first, or use -l", m.Mountpoint, busyReason(m))
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return failf(exitUsage, "umount %s: %w: only root and the user who mounted it may unmount it", m.Mountpoint, err)
	case os.Geteuid() != 0 && os.Geteuid() != mountOwner(m):
		// fusermount3 says that it does not find it.
		return failf(exitUsage, "umount %s: it was mounted by %s: only root and the user who mounted it may unmount it", m.Mountpoint, userName(mountOwner(m)))
	}
	return failf(exitFailed, "umount %s: %w", m.Mountpoint, err)
}

// knownUsers lists what keeps a mount busy, as far as this process can see.
func knownUsers(m *mountinfo.Info) (all []string) {
	for _, dir := range mountsBelow(m) {
		all = append(all, "mounted on: "+dir)
	}
	for _, h := range holders(m.Mountpoint, deviceNumber(m)) {
		all = append(all, h.String())
	}
	return all
}

// busyReason says what keeps a mount busy.
func busyReason(m *mountinfo.Info) string {
	all := knownUsers(m)
	if len(all) == 0 {
		return "in use by a process that only root can see"
	}
	if len(all) > maxHolders {
		all = append(all[:maxHolders], fmt.Sprintf("and %d more", len(all)-maxHolders))
	}
	return strings.Join(all, "; ")
}
