package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"fatvol/image/fat"
)

func attrCommand() *cobra.Command {
	var take [4]bool
	var recursive bool
	cmd := &cobra.Command{
		Use:   "attr [+rhsa] [-rhsa] FILE...",
		Short: "Show or change the attributes of files in images",
		Long: "Prints the attributes of files, or changes them: +r -h gives the read-only attribute and takes the\n" +
			"hidden one away. Also attributes that FILE has already can be given. The letters are those of\n" +
			"fatattr(1) and mattrib(1).\n\n" + pathSyntax,
		Example: "  fatvol attr 'disk.img:/*.sys'\n" +
			"  fatvol attr +rh -a disk.img:/boot.ini",
		Args: atLeast(1, "FILE"),
	}
	f := cmd.Flags()
	f.Bool("help", false, "help for attr") // -h is an attribute
	f.BoolVarP(&take[0], "no-read-only", "r", false, "take the read-only attribute away")
	f.BoolVarP(&take[1], "no-hidden", "h", false, "take the hidden attribute away")
	f.BoolVarP(&take[2], "no-system", "s", false, "take the system attribute away")
	f.BoolVarP(&take[3], "no-archive", "a", false, "take the archive attribute away")
	f.BoolVarP(&recursive, "recursive", "R", false, "also of all that is in directories")
	return fileCommand(cmd, func(j *job, args []string) error {
		var give, off fat.Attributes
		for i, bit := range []fat.Attributes{fat.AttrReadOnly, fat.AttrHidden, fat.AttrSystem, fat.AttrArchive} {
			if take[i] {
				off |= bit
			}
		}
		for len(args) > 0 && strings.HasPrefix(args[0], "+") {
			bits, ok := fat.ParseAttributes(args[0][1:])
			if !ok || bits == 0 {
				return fmt.Errorf("%s: letters of rhsa expected", args[0])
			}
			give, args = give|bits, args[1:]
		}
		switch {
		case len(args) == 0:
			return fmt.Errorf("FILE needed: see 'fatvol attr --help'")
		case give&off != 0:
			return fmt.Errorf("%s is both given and taken away", give&off)
		}
		found, err := j.onVolumes(args, give|off != 0)
		a := attributes{j, give, off, recursive}
		for _, l := range found {
			a.do(l)
		}
		return err
	})
}

// attributes shows or changes attributes.
type attributes struct {
	*job
	give, take fat.Attributes
	recursive  bool
}

func (a *attributes) do(l location) {
	if err := a.one(l); err != nil {
		a.failAt(l, err)
		return
	}
	if !a.recursive || a.ctx.Err() != nil || !isDirectory(l) {
		return
	}
	list, err := l.tree.ReadDir(l.name)
	if err != nil {
		a.failAt(l, err)
	}
	for _, e := range list {
		a.do(l.child(e.Name()))
	}
}

func (a *attributes) one(l location) error {
	v, _ := l.onVolume()
	info, err := v.Stat(l.name)
	if err != nil {
		return err
	}
	switch {
	case l.base() == "" && a.recursive:
		return nil // the root has none
	case l.base() == "" && a.give|a.take != 0:
		return errors.New("the root of a volume has no attributes")
	}
	d, err := v.describe(l.name, info)
	if err != nil {
		return err
	}
	if a.give|a.take == 0 {
		_, err := fmt.Fprintf(a.out, "%s  %s\n", attributeColumn(d.attributes), l)
		return err
	}
	return v.SetAttributes(l.name, d.attributes&^a.take|a.give)
}

// attributeColumn is "RHSA" with dashes for those that are not set.
func attributeColumn(a fat.Attributes) string {
	column := []byte("----")
	for i, c := range []byte("RHSA") {
		if strings.IndexByte(a.String(), c) >= 0 {
			column[i] = c
		}
	}
	return string(column)
}
