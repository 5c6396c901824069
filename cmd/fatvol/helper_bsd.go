package main

import (
	"context"
	"os"
	"strings"
)

// The calling convention of mount(8) of macOS and FreeBSD, for "mount -t fatvol":
//
//	mount_fatvol [-rw] [-o options]... SPECIAL NODE
//
// where the name that the program finds in argv[0] is "fatvol" in those that follow 4.4BSD to the letter.

// isBSDStyle reports whether the program was called by that convention. No command of ours begins with -o.
func isBSDStyle(name string, args []string) bool {
	return strings.HasPrefix(name, "mount_") || len(args) > 2 && args[0] == "-o"
}

// bsdOptions are what these mount(8) pass on besides, whose subject is not in a FAT volume.
var bsdOptions = map[string]bool{
	"noasync": true, "owners": true, "noowners": true, "perm": true, "noperm": true, "nolocal": true,
	"noauto": true, "late": true, "failok": true,
}

// bsdMountHelper is mount_fatvol.
func bsdMountHelper(ctx context.Context, name string, args []string) error {
	req, err := bsdRequest(name, args)
	if err != nil {
		return err
	}
	return req.run(ctx)
}

// bsdRequest takes the arguments apart.
func bsdRequest(name string, args []string) (*mountRequest, error) {
	var req mountRequest
	var options []string
	var readOnly bool
	f := mountHelperFlags(name, &req, &options, &readOnly)
	if err := parseHelper(os.Stdout, f, args, "IMAGE", "DIR"); err != nil {
		return nil, err
	}
	req.image, req.dir = f.Arg(0), f.Arg(1)
	for _, list := range options {
		words, err := splitOptions(list)
		if err != nil {
			return nil, failf(exitUsage, "%s: %w", name, err)
		}
		for _, word := range words {
			if !bsdOptions[word] {
				// One to a list: splitOptions has taken escapes away that would be missed.
				req.options = append(req.options, strings.NewReplacer(`\`, `\\`, ",", `\,`).Replace(word))
			}
		}
	}
	if readOnly {
		req.options = append(req.options, "ro")
	}
	return &req, nil
}
