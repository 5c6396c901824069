package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// The calling convention of mount(8) and umount(8) for their helpers:
//
//	mount.fatvol SPEC DIR [-sfnvrw] [-N namespace] [-o options] [-t type.subtype]
//	umount.fatvol DIR [-flnrv] [-N namespace] [-t type.subtype]
//
// -f is "fake" here, and not the foreground of our own command.

// mountHelper is mount.fatvol.
func mountHelper(ctx context.Context, name string, args []string) error {
	var req mountRequest
	var readOnly bool
	f := mountHelperFlags(name, &req, &req.options, &readOnly)
	f.BoolVarP(&req.sloppy, "sloppy", "s", false, "warn of unknown options instead of failing")
	f.BoolVarP(&req.fake, "fake", "f", false, "check everything, but do not mount")
	if err := parseHelper(os.Stdout, f, args, "IMAGE", "DIR"); err != nil {
		return err
	}
	req.image, req.dir = f.Arg(0), f.Arg(1)
	if readOnly {
		req.options = append(req.options, "ro")
	}
	return req.run(ctx)
}

// mountHelperFlags has the options that helpers of all mount(8) take.
func mountHelperFlags(name string, req *mountRequest, options *[]string, readOnly *bool) *pflag.FlagSet {
	f := helperFlags(name, &req.namespace, &req.verbose)
	f.StringArrayVarP(options, "options", "o", nil, "mount `options`, separated by commas: 'fatvol mount -o help' lists them")
	f.BoolVarP(readOnly, "read-only", "r", false, "the same as -o ro")
	f.BoolVarP(&req.rwOnly, "rw", "w", false, "fail where the image cannot be written to, instead of mounting it read-only")
	return f
}

// umountHelper is umount.fatvol.
func umountHelper(ctx context.Context, name string, args []string) error {
	var flags umountFlags
	var namespace string
	f := helperFlags(name, &namespace, &flags.verbose)
	f.BoolVarP(&flags.lazy, "lazy", "l", false, "detach DIR now, even if it is in use")
	// An unmount by force would make the kernel drop what it has not yet given to the serving
	// process; remounting read-only instead is not possible. Both mean a plain unmount.
	f.BoolP("force", "f", false, "of no effect")
	f.BoolP("read-only", "r", false, "of no effect")
	if err := parseHelper(os.Stdout, f, args, "DIR"); err != nil {
		return err
	}
	if namespace != "" {
		return umountInNamespace(namespace, f.Arg(0), flags)
	}
	return umountAndWait(ctx, os.Stdout, os.Stderr, f.Arg(0), flags)
}

// helperFlags has the options that all helpers take.
func helperFlags(name string, namespace *string, verbose *bool) *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.Usage = func() {}
	f.StringVarP(namespace, "namespace", "N", "", "`path` of the mount name space to work in")
	f.StringP("types", "t", "", "of no effect: the `type` is known by the name of this program")
	f.BoolVarP(verbose, "verbose", "v", false, "say what is done")
	f.BoolP("no-mtab", "n", false, "of no effect: nobody writes /etc/mtab any more")
	return f
}

// parseHelper parses the arguments of a helper; names says which are left besides options. It returns an error with
// the exit code 0 where it was only asked for help, and has given that.
func parseHelper(out io.Writer, f *pflag.FlagSet, args []string, names ...string) error {
	err := f.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		_, err := fmt.Fprintf(out, "Usage:\n  %s %s [options]\n\nmount(8) and umount(8) call it; 'fatvol help' tells of the commands for people.\n\nFlags:\n%s",
			f.Name(), strings.Join(names, " "), plainFlags(f.FlagUsages()))
		if err != nil {
			return withCode(exitSystem, err)
		}
		return &exitError{exitOK, errReported}
	case err != nil:
		return failf(exitUsage, "%s: %w: see '%s --help'", f.Name(), err, f.Name())
	}
	if why := wrongArguments(f.Args(), names...); why != "" {
		return failf(exitUsage, "%s: %s: see '%s --help'", f.Name(), why, f.Name())
	}
	return nil
}
