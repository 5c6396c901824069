package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// mountRequest is what a command line asks to be mounted.
type mountRequest struct {
	image, dir string
	options    []string // lists after -o
	foreground bool
	verbose    bool
	sloppy     bool // unknown options are warnings
	rwOnly     bool // no falling back to read-only
	fake       bool // check, but do not mount
	namespace  string
}

func mountCommand() *cobra.Command {
	var req mountRequest
	var readOnly bool
	cmd := &cobra.Command{
		Use:   "mount IMAGE DIR",
		Short: "Mount the volume in IMAGE on the directory DIR",
		Long: "Mounts the FAT volume in IMAGE, a file or a block device, on the directory DIR. The volume\n" +
			"is the whole image, or the only FAT volume in its partition table, or the one that\n" +
			"-o partition= names. The command returns when the mount is ready, and its process goes\n" +
			"on in the background until DIR is unmounted.\n\n" +
			"The options after -o are those of Linux's vfat and some of fatvol's own:\n" +
			"'fatvol mount -o help' lists them, mount.fatvol(8) describes them.",
		Example: "  fatvol mount disk.img /mnt\n" +
			"  fatvol mount -o ro,partition=2 disk.img /mnt\n" +
			"  fatvol mount -o uid=1000,umask=022,partition=BOOT sdcard.img /mnt",
		Args: func(cmd *cobra.Command, args []string) error {
			if slices.Equal(req.options, []string{"help"}) {
				return nil
			}
			return exactly("IMAGE", "DIR")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if slices.Equal(req.options, []string{"help"}) {
				_, err := fmt.Fprint(cmd.OutOrStdout(), optionsHelp())
				return withCode(exitSystem, err)
			}
			req.image, req.dir = args[0], args[1]
			if readOnly {
				req.options = append(req.options, "ro")
			}
			return req.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&req.options, "options", "o", nil, "mount `options`, separated by commas; 'help' lists them")
	f.BoolVarP(&req.foreground, "foreground", "f", false, "serve the mount in this process, and log to standard error")
	f.BoolVarP(&req.verbose, "verbose", "v", false, "say more, here and in the log")
	f.BoolVarP(&readOnly, "read-only", "r", false, "the same as -o ro")
	f.BoolVarP(&req.rwOnly, "rw", "w", false, "fail where the image cannot be written to, instead of mounting it read-only")
	f.BoolVarP(&req.sloppy, "sloppy", "s", false, "warn of unknown options instead of failing")
	return cmd
}

// run mounts as asked. In the background it returns when the mount is ready, otherwise when the
// volume has been unmounted.
func (r *mountRequest) run(ctx context.Context) error {
	ready := takeReadyPipe()
	err := r.start(ctx, ready)
	if err != nil && ready != nil {
		// The parent prints it.
		if ready.report(err) == nil {
			return &exitError{exitCode(err), errReported}
		}
	}
	return err
}

// errReported stands for an error that somebody else prints.
var errReported = errors.New("reported")

func (r *mountRequest) start(ctx context.Context, ready *readyPipe) error {
	cfg, err := parseMountOptions(currentCaller(), r.options, r.sloppy)
	if err != nil {
		return failf(exitUsage, "mount %s: %w", r.image, err)
	}
	cfg.image.NoFallback = r.rwOnly
	if r.namespace != "" {
		err = r.makeAbsolute() // the rest is for the child to see
	} else {
		err = r.resolve()
	}
	if err != nil {
		return err
	}
	switch {
	case r.fake:
		return nil
	case ready != nil || r.foreground:
		return r.serve(ctx, cfg, ready)
	case r.namespace != "":
		return inBackground(r.childArgs(), func(cmd *exec.Cmd) error { return startInNamespace(cmd, r.namespace) })
	}
	return inBackground(r.childArgs(), nil)
}

// childArgs is the command line for the process that serves the mount.
func (r *mountRequest) childArgs() []string {
	args := []string{"mount"}
	for _, o := range r.options {
		args = append(args, "-o", o)
	}
	for _, flag := range []struct {
		on   bool
		name string
	}{{r.verbose, "-v"}, {r.rwOnly, "-w"}, {r.sloppy, "-s"}} {
		if flag.on {
			args = append(args, flag.name)
		}
	}
	return append(args, "--", r.image, r.dir)
}

// makeAbsolute makes the paths absolute without looking at them.
func (r *mountRequest) makeAbsolute() (err error) {
	if r.image, err = filepath.Abs(r.image); err == nil {
		r.dir, err = filepath.Abs(r.dir)
	}
	return withCode(exitSystem, err)
}

// resolve makes the paths absolute, and fails early, and plainly, where they cannot be right.
func (r *mountRequest) resolve() error {
	var err error
	if r.image, err = absoluteImage(r.image); err != nil {
		return failf(exitFailed, "mount %s: %w", r.image, imageError(r.image, err))
	}
	// Before the directory is looked at: a mount that is there already might hang.
	if abs, err := absolutePath(r.dir); err == nil {
		m, err := mountAt(abs)
		if err == nil && m != nil && m.FSType == fuseType && m.Source == r.image {
			return failf(exitFailed, "mount %s: already mounted on %s", r.image, r.dir)
		}
	}
	if r.dir, err = absoluteDir(r.dir); err != nil {
		return failf(exitFailed, "mount %s: %w", r.image, err)
	}
	return nil
}

// absoluteImage checks that there is an image at path and makes the path absolute.
func absoluteImage(path string) (string, error) {
	if _, err := os.Stat(path); err != nil {
		return path, err
	}
	return absolutePath(path)
}

// absolutePath makes a path absolute. Symbolic links on the way are resolved as they are now. The
// last name is not looked at: a device in /dev/disk keeps that name, and a mount that hangs there
// is not touched.
func absolutePath(path string) (string, error) {
	// filepath.Dir would clean "link/.." away, which to the kernel leads elsewhere.
	dir, base := filepath.Split(strings.TrimRight(path, "/"))
	switch {
	case base == "." || base == "..":
		dir, base = path, ""
	case base == "":
		return "/", nil
	case dir == "":
		dir = "."
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return path, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return path, err
	}
	return filepath.Join(dir, base), nil
}

// absoluteDir makes the path of a mount point absolute and free of symbolic links, as the kernel
// will show it.
func absoluteDir(path string) (string, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("mount point %s does not exist: make it with mkdir", path)
	case errors.Is(err, unix.ENOTCONN):
		return "", fmt.Errorf("mount point %s: holds a mount whose process died: free it with 'fatvol umount %s'", path, path)
	case err != nil:
		return "", fmt.Errorf("mount point %s: %w", path, reason(err))
	case !st.IsDir():
		return "", fmt.Errorf("mount point %s is not a directory", path)
	}
	dir, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("mount point %s: %w", path, reason(err))
	}
	return filepath.Abs(dir)
}

// reason is the cause in an error that names an operation and paths which the message has said.
func reason(err error) error {
	if p := (*os.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	if l := (*os.LinkError)(nil); errors.As(err, &l) {
		return l.Err
	}
	return err
}
