package main

import (
	"slices"

	"github.com/spf13/cobra"
)

// Commands by which `fatvol exec` calls itself.
const (
	execServeCommand = "exec-serve" // mounts, in name spaces of its own, and starts the other
	execStartCommand = "exec-start" // becomes the user's command
)

// mountVariable tells the command where the volume is.
const mountVariable = "FATVOL_MNT"

func execCommand() *cobra.Command {
	var options []string
	cmd := &cobra.Command{
		Use:   "exec [flags] IMAGE -- COMMAND [ARGUMENT...]",
		Short: "Run a command with the volume in IMAGE mounted for it",
		Long: "Mounts the FAT volume in IMAGE at a place that only COMMAND and what it starts can see, runs\n" +
			"COMMAND, unmounts, and returns COMMAND's exit code once everything is on the medium. {} in the\n" +
			"arguments is the place, and so is $FATVOL_MNT. It needs neither root nor fusermount3, but a user\n" +
			"name space, and says what is missing where there can be none. Signals are passed on.\n\n" +
			"The exit code is 125 when the volume could not be mounted, or not be brought to the medium\n" +
			"completely, whatever COMMAND returned; 126 when COMMAND cannot be run, 127 when there is none,\n" +
			"and 128 and the number of the signal that ended it.",
		Example: "  fatvol exec disk.img -- ls -l {}\n" +
			"  fatvol exec disk.img -o partition=2 -- sh -c 'tar c -C \"$FATVOL_MNT\" . | gzip > backup.tar.gz'\n" +
			"  fatvol exec card.img -- rsync -a photos/ {}/photos/",
		Args: func(cmd *cobra.Command, args []string) error {
			switch dash := cmd.ArgsLenAtDash(); {
			case dash == 1 && args[0] == "":
				return failf(exitExec, "exec: IMAGE is empty: see '%s --help'", cmd.CommandPath())
			case dash == 1 && len(args) > 1:
				return nil
			case dash < 0 && len(args) > 1:
				return failf(exitExec, "exec: -- is needed between IMAGE and COMMAND: see '%s --help'", cmd.CommandPath())
			}
			return failf(exitExec, "exec: IMAGE, -- and COMMAND needed: see '%s --help'", cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withCode(exitExec, runExec(args[0], options, args[1:]))
		},
	}
	cmd.Flags().StringArrayVarP(&options, "options", "o", nil, "mount `options`, separated by commas, as of 'fatvol mount'")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return failf(exitExec, "exec: %w: see '%s --help'", err, cmd.CommandPath())
	})
	return cmd
}

// execInternals are the commands by which exec calls itself.
func execInternals() []*cobra.Command {
	var options []string
	serve := &cobra.Command{
		Use: execServeCommand, Hidden: true, Args: cobra.MinimumNArgs(3),
		RunE: func(_ *cobra.Command, args []string) error { return execServe(args[0], args[1], options, args[2:]) },
	}
	serve.Flags().StringArrayVarP(&options, "options", "o", nil, "")
	start := &cobra.Command{
		Use: execStartCommand, Hidden: true, DisableFlagParsing: true, Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return execStart(slices.Clone(args)) },
	}
	return []*cobra.Command{serve, start}
}
