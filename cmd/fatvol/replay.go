package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fatvol/image"
	"fatvol/image/replay"
)

func replayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Deal with changes that could not be written because the medium was gone",
		Long: "When a volume is unmounted while its medium is gone, what was written last is kept in a\n" +
			"file, and the next mount of the volume writes it. These commands are for when that does\n" +
			"not do: FILE is a path, or a name as 'fatvol replay list' shows it.",
		Example: "  fatvol replay list\n" +
			"  fatvol replay extract 1A2B-3C4D-20260102T030405.678901 rescued/\n" +
			"  fatvol replay apply 1A2B-3C4D-20260102T030405.678901",
		Args: subcommandOnly,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var onto string
	apply := &cobra.Command{
		Use:   "apply FILE",
		Short: "Write the changes to the image, if it is as it was left",
		Args:  exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			told := &reporter{w: cmd.OutOrStdout()}
			return told.end(exitSystem, "replay apply "+args[0], replayApplyFile(told, args[0], onto))
		},
	}
	extract := &cobra.Command{
		Use:   "extract FILE DIR",
		Short: "Write the changed files to the directory DIR",
		Long: "Writes the files that FILE has changes of to DIR. Parts of them that are not in FILE are\n" +
			"read from the image, if that is there and the same volume, and are zeros otherwise;\n" +
			"which, is said.",
		Args: exactly("FILE", "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			told := &reporter{w: cmd.OutOrStdout()}
			return told.end(exitSystem, "replay extract "+args[0], replayExtract(told, args[0], args[1], onto))
		},
	}
	for _, c := range []*cobra.Command{apply, extract} {
		c.Flags().StringVar(&onto, "image", "", "the `image`, where it is not at the path it had")
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "list",
			Short: "List the files with changes that could not be written",
			Long: "Lists the replay files: what mounts that ended without their medium could not write. The\n" +
				"next mount of the volume writes it; the other commands are for when that does not do.\n" +
				"Their FILE is a path, or a name as shown here.",
			Args: exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error {
				told := &reporter{w: cmd.OutOrStdout()}
				return told.end(exitSystem, "replay list", replayList(told))
			},
		},
		&cobra.Command{
			Use:   "show FILE",
			Short: "Show what changes a file holds",
			Args:  exactly("FILE"),
			RunE: func(cmd *cobra.Command, args []string) error {
				told := &reporter{w: cmd.OutOrStdout()}
				return told.end(exitSystem, "replay show "+args[0], replayShow(told, args[0]))
			},
		},
		extract, apply,
		&cobra.Command{
			Use:   "discard FILE",
			Short: "Forget the changes",
			Args:  exactly("FILE"),
			RunE:  func(_ *cobra.Command, args []string) error { return replayDiscard(args[0]) },
		},
	)
	return cmd
}

// savedPath is the path that the user means.
func savedPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	dir, err := stateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, strings.TrimSuffix(name, replaySuffix)+replaySuffix), nil
}

func openSaved(name string) (path string, saved *replay.Saved, err error) {
	if path, err = savedPath(name); err == nil {
		saved, err = replay.Load(path)
	}
	if err != nil {
		return "", nil, failf(exitFailed, "replay %s: %w", name, replayError(path, err))
	}
	return path, saved, nil
}

// replayError is an error about the replay file at path, with what can be done about it.
func replayError(path string, err error) error {
	if errors.Is(err, os.ErrNotExist) && isMissing(path) {
		return &shortened{"there is no such replay file: 'fatvol replay list' lists them", err}
	}
	return err
}

// replayDiscard removes a replay file, also a damaged one, and nothing else.
func replayDiscard(name string) error {
	path, err := savedPath(name)
	if err == nil {
		_, err = replay.LoadInfo(path)
	}
	if errors.Is(err, replay.ErrFile) && strings.HasSuffix(path, replaySuffix) {
		err = nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return failf(exitFailed, "replay discard %s: %w", name, replayError(path, err))
	}
	return nil
}

func replayList(out *reporter) error {
	dir, err := stateDir()
	if err != nil {
		return withCode(exitFailed, err)
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "*"+replaySuffix))
	if len(paths) == 0 {
		fmt.Fprintln(out, "nothing is unsaved")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FILE\tSAVED\tCHANGES\tFILES\tLABEL\tIMAGE")
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), replaySuffix)
		info, err := replay.LoadInfo(path)
		if err != nil {
			fmt.Fprintf(w, "%s\t%v\n", name, err)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", name, info.Saved.Local().Format(time.DateTime),
			byteCount(info.Bytes), len(info.Files)+info.Omitted, printable(info.Label), printable(info.Image))
	}
	_ = w.Flush() // the reporter has the error
	return nil
}

func replayShow(out io.Writer, name string) error {
	path, saved, err := openSaved(name)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "file:    %s\nimage:   %s\nvolume:  %s %s\nsaved:   %s\nchanges: %s\n",
		path, printable(saved.Image), printable(saved.Serial), printable(saved.Label), saved.Saved.Local().Format(time.DateTime), byteCount(saved.Info.Bytes))
	for _, f := range saved.Files {
		fmt.Fprintf(out, "  %s (%s)\n", printable(f.Path), byteCount(f.Size))
	}
	if saved.Omitted > 0 {
		fmt.Fprintf(out, "  and %d more files\n", saved.Omitted)
	}
	return nil
}

// replayApplyFile writes the changes to the image, if that is as it was left.
func replayApplyFile(out io.Writer, name, onto string) error {
	path, saved, err := openSaved(name)
	if err != nil {
		return err
	}
	if onto == "" {
		onto = saved.Image
	}
	host, _, err := image.OpenHost(onto, image.OpenOptions{NoFallback: true})
	if err != nil {
		return failf(exitFailed, "replay apply %s: %w", name, err)
	}
	defer host.Close()
	if err := applyTo(host, saved); err != nil {
		return failf(exitFailed, "replay apply %s: %s: %w: 'fatvol replay extract' gets files out of it", name, onto, err)
	}
	fmt.Fprintf(out, "%s of changes written to %s\n", byteCount(saved.Info.Bytes), onto)
	return withCode(exitFailed, os.Remove(path))
}
