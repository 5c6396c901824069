// Command fatvol mounts the FAT12, FAT16 or FAT32 volume inside a file as a file system.
//
// The same program serves mount(8) and umount(8) as their helper for the types fatvol and
// fuse.fatvol, under the names mount.fatvol, mount.fuse.fatvol, umount.fatvol and
// umount.fuse.fatvol; and as mount_fatvol the mount(8) of macOS and FreeBSD.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args)) }

// run is the whole program; it returns the exit code.
func run(argv []string) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(os.Stderr, "fatvol: internal error: %v: please report this\n%s", p, debug.Stack())
			code = exitBug
		}
	}()
	err := dispatch(context.Background(), argv)
	if err != nil && !errors.Is(err, errReported) {
		complain("%v", err)
	}
	return exitCode(err)
}

// dispatch tells by the program's name, and by the arguments, what is asked for.
func dispatch(ctx context.Context, argv []string) error {
	if len(argv) == 0 {
		argv = []string{"fatvol"}
	}
	name, args := filepath.Base(argv[0]), argv[1:]
	switch {
	case strings.HasPrefix(name, "mount."):
		return mountHelper(ctx, name, args)
	case strings.HasPrefix(name, "umount."):
		return umountHelper(ctx, name, args)
	case isBSDStyle(name, args):
		return bsdMountHelper(ctx, name, args)
	}
	if own := ownCommand(args); own != nil {
		own.SetArgs(slices.Clone(args[1:]))
		return own.ExecuteContext(ctx)
	}
	root := rootCommand()
	if isFUSEStyle(root.Commands(), args) {
		// As mount.fuse3(8) calls the program for "mount -t fuse fatvol#IMAGE DIR".
		return mountHelper(ctx, name, args)
	}
	root.SetArgs(slices.Clone(args))
	unread := helpReported(root)
	return andError(root.ExecuteContext(ctx), withCode(exitSystem, unread()))
}

// ownCommand is the command of a process that this program starts to serve a mount: it does not need the others,
// and somebody waits for it. For all else it is nil.
func ownCommand(args []string) *cobra.Command {
	var c *cobra.Command
	switch {
	case len(args) == 0:
		return nil
	case args[0] == "unmounter":
		c = unmounterCommand()
	case args[0] == "mount" && os.Getenv(readyVariable) != "":
		c = mountCommand()
	default:
		return nil
	}
	c.SilenceErrors, c.SilenceUsage = true, true
	return c
}
