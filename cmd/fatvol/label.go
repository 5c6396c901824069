package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func labelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "label IMAGE[:PART] [LABEL]",
		Short: "Show or set the label of the volume in an image",
		Long: "Prints the label of the FAT volume in IMAGE, or sets it to LABEL: at most 11 characters of the\n" +
			"volume's code page, of which small letters become capitals. An empty LABEL removes it.\n\n" + pathSyntax,
		Example: "  fatvol label disk.img\n" +
			"  fatvol label disk.img:2 BOOT\n" +
			"  fatvol label disk.img ''",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				args = args[:1] // the other may be anything
			}
			return exactly("IMAGE[:PART]")(cmd, args)
		},
	}
	return fileCommand(cmd, func(j *job, args []string) error {
		p := parseVolume(args[0])
		if p.image == "" {
			return fmt.Errorf("%s: %w", args[0], errNoImage)
		}
		j.vols.plan(p, len(args) == 2)
		l, err := j.vols.at(p)
		if err != nil {
			return err
		}
		v, _ := l.onVolume()
		if len(args) == 2 {
			return v.SetLabel(args[1])
		}
		label, err := v.Label()
		if err == nil {
			_, err = fmt.Fprintln(j.out, label)
		}
		return err
	})
}
