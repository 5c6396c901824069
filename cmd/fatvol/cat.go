package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func catCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cat FILE...",
		Short:   "Print files in images",
		Long:    "Writes files to standard output, one behind the other.\n\n" + pathSyntax,
		Example: "  fatvol cat disk.img:/autoexec.bat\n  fatvol cat disk.img:/backup.tar | tar t",
		Args:    atLeast(1, "FILE"),
	}
	return fileCommand(cmd, func(j *job, args []string) error {
		found, err := j.onVolumes(args, false)
		c := copier{job: j}
		for _, l := range found {
			err := c.print(l)
			if j.out.Flush() != nil {
				break // which the end of the job tells
			}
			if err != nil {
				j.failAt(l, err)
			}
		}
		return err
	})
}

func (c *copier) print(l location) error {
	info, err := l.tree.Stat(l.name)
	if err == nil && info.IsDir() {
		err = errors.New("is a directory: 'fatvol ls' lists it")
	}
	if err != nil {
		return err
	}
	r, err := l.tree.Open(l.name)
	if err != nil {
		return err
	}
	defer r.Close()
	return c.pump(c.out, r, l)
}
