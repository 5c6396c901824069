package main

import (
	"context"
	"os"

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
	f := helperFlags(name, &req.namespace, &req.verbose)
	f.StringArrayVarP(&req.options, "options", "o", nil, "")
	f.BoolVarP(&req.sloppy, "sloppy", "s", false, "")
	f.BoolVarP(&req.fake, "fake", "f", false, "")
	f.BoolVarP(&readOnly, "read-only", "r", false, "")
	f.BoolVarP(&req.rwOnly, "rw", "w", false, "")
	if err := f.Parse(args); err != nil {
		return failf(exitUsage, "%s: %w", name, err)
	}
	if f.NArg() != 2 {
		return failf(exitUsage, "%s: IMAGE and DIR needed, %d arguments given", name, f.NArg())
	}
	req.image, req.dir = f.Arg(0), f.Arg(1)
	if readOnly {
		req.options = append(req.options, "ro")
	}
	return req.run(ctx)
}

// umountHelper is umount.fatvol.
func umountHelper(ctx context.Context, name string, args []string) error {
	var flags umountFlags
	var namespace string
	f := helperFlags(name, &namespace, &flags.verbose)
	f.BoolVarP(&flags.lazy, "lazy", "l", false, "")
	// An unmount by force would make the kernel drop what it has not yet given to the serving
	// process; remounting read-only instead is not possible. Both mean a plain unmount.
	f.BoolP("force", "f", false, "")
	f.BoolP("read-only", "r", false, "")
	if err := f.Parse(args); err != nil {
		return failf(exitUsage, "%s: %w", name, err)
	}
	if f.NArg() != 1 {
		return failf(exitUsage, "%s: DIR needed, %d arguments given", name, f.NArg())
	}
	if namespace != "" {
		return umountInNamespace(namespace, f.Arg(0), flags)
	}
	return umountAndWait(ctx, os.Stdout, os.Stderr, f.Arg(0), flags)
}

// helperFlags has the options that both helpers take.
func helperFlags(name string, namespace *string, verbose *bool) *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.Usage = func() {}
	f.StringVarP(namespace, "namespace", "N", "", "")
	f.StringP("types", "t", "", "") // known by our name
	f.BoolVarP(verbose, "verbose", "v", false, "")
	f.BoolP("no-mtab", "n", false, "") // nobody writes /etc/mtab any more
	return f
}
