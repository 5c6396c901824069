package main

import (
	"errors"
	"fmt"
	"os"
	"path"

	"github.com/spf13/cobra"
)

func mkdirCommand() *cobra.Command {
	var parents, verbose bool
	cmd := &cobra.Command{
		Use:     "mkdir DIR...",
		Short:   "Make directories in images",
		Long:    "Makes directories.\n\n" + pathSyntax,
		Example: "  fatvol mkdir -p disk.img:/EFI/BOOT",
		Args:    atLeast(1, "DIR"),
	}
	f := cmd.Flags()
	f.BoolVarP(&parents, "parents", "p", false, "make the directories above it as well; it is no error if DIR is there")
	f.BoolVarP(&verbose, "verbose", "v", false, "name each directory that is made")
	return fileCommand(cmd, func(j *job, args []string) error {
		found, err := j.onVolumes(args, true)
		for _, l := range found {
			if err := j.mkdir(l, parents, verbose); err != nil {
				j.failAt(l, err)
			}
		}
		return err
	})
}

func (j *job) mkdir(l location, parents, verbose bool) error {
	if parents {
		if isDirectory(l) {
			return nil
		}
		up := l
		if up.name = path.Dir(l.name); up.name != l.name {
			if err := j.mkdir(up, true, verbose); err != nil {
				return err
			}
		}
	}
	if l.name == "." {
		return os.ErrExist // the root
	}
	if err := l.tree.Mkdir(l.name, 0o777); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: -p makes the directories above it as well", reason(err))
	} else if err != nil {
		return err
	}
	if verbose {
		fmt.Fprintf(j.out, "made %s\n", l)
	}
	return nil
}
