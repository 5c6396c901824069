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
			"  fatvol replay extract 1A2B-3C4D-20260102T030405.678 rescued/\n" +
			"  fatvol replay apply 1A2B-3C4D-20260102T030405.678",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var onto string
	apply := &cobra.Command{
		Use:   "apply FILE",
		Short: "Write the changes to the image, if it is as it was left",
		Args:  exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return replayApplyFile(cmd.OutOrStdout(), args[0], onto)
		},
	}
	apply.Flags().StringVar(&onto, "image", "", "the `image`, where it is not at the path it had")
	cmd.AddCommand(
		&cobra.Command{
			Use:   "list",
			Short: "List the files with changes that could not be written",
			Args:  cobra.NoArgs,
			RunE:  func(cmd *cobra.Command, _ []string) error { return replayList(cmd.OutOrStdout()) },
		},
		&cobra.Command{
			Use:   "show FILE",
			Short: "Show what changes a file holds",
			Args:  exactly("FILE"),
			RunE:  func(cmd *cobra.Command, args []string) error { return replayShow(cmd.OutOrStdout(), args[0]) },
		},
		&cobra.Command{
			Use:   "extract FILE DIR",
			Short: "Write the changed files to the directory DIR",
			Long: "Writes the files that FILE has changes of to DIR. Parts of them that are not in FILE are\n" +
				"read from the image if that is there, and are zeros otherwise; which, is said.",
			Args: exactly("FILE", "DIR"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return replayExtract(cmd.OutOrStdout(), args[0], args[1])
			},
		},
		apply,
		&cobra.Command{
			Use:   "discard FILE",
			Short: "Forget the changes",
			Args:  exactly("FILE"),
			RunE: func(cmd *cobra.Command, args []string) error {
				path, _, err := openSaved(args[0])
				if err == nil {
					err = os.Remove(path)
				}
				return withCode(exitFailed, err)
			},
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
		return "", nil, failf(exitFailed, "replay %s: %w", name, err)
	}
	return path, saved, nil
}

func replayList(out io.Writer) error {
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
			byteCount(info.Bytes), len(info.Files), info.Label, info.Image)
	}
	return withCode(exitSystem, w.Flush())
}

func replayShow(out io.Writer, name string) error {
	path, saved, err := openSaved(name)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "file:    %s\nimage:   %s\nvolume:  %s %s\nsaved:   %s\nchanges: %s\n",
		path, saved.Image, saved.Serial, saved.Label, saved.Saved.Local().Format(time.DateTime), byteCount(saved.Info.Bytes))
	for _, f := range saved.Files {
		fmt.Fprintf(out, "  %s (%s)\n", f.Path, byteCount(f.Size))
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

// replayExtract writes the files that a replay file has changes of to a directory.
func replayExtract(out io.Writer, name, dir string) error {
	_, saved, err := openSaved(name)
	if err != nil {
		return err
	}
	var base io.ReaderAt
	if host, _, err := image.OpenHost(saved.Image, image.OpenOptions{ReadOnly: true, NoLock: true}); err == nil {
		defer host.Close()
		base = host
	}
	for _, f := range saved.Files {
		missing, err := extractFile(saved, base, f, dir)
		if err != nil {
			return failf(exitFailed, "replay extract %s: %s: %w", name, f.Path, err)
		}
		switch {
		case missing == 0:
			fmt.Fprintf(out, "%s: whole\n", f.Path)
		case base != nil:
			fmt.Fprintf(out, "%s: %s of %s are from the image as it is now\n", f.Path, byteCount(missing), byteCount(f.Size))
		default:
			fmt.Fprintf(out, "%s: %s of %s are missing, and are zeros here: the image is not there\n", f.Path, byteCount(missing), byteCount(f.Size))
		}
	}
	return nil
}

// extractFile writes one file below dir, and returns how many of its bytes were not in the replay file.
// The path comes from a volume that may be anybody's: it cannot lead out of dir.
func extractFile(saved *replay.Saved, base io.ReaderAt, f replay.File, dir string) (missing int64, err error) {
	root, err := openRoot(dir)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	rel := strings.TrimPrefix(f.Path, "/")
	if err := root.MkdirAll(filepath.Dir(rel), 0o777); err != nil {
		return 0, err
	}
	w, err := root.OpenFile(rel, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	buf := make([]byte, 1<<20)
	var at int64
	for _, p := range f.Pieces {
		for done := int64(0); done < p.N; {
			b := buf[:min(p.N-done, int64(len(buf)))]
			clear(b)
			if base != nil {
				if _, err := base.ReadAt(b, p.Off+done); err != nil {
					base = nil // gone in the middle: the rest is what the replay file has
					clear(b)
				}
			}
			missing += int64(len(b)) - saved.Patch(b, p.Off+done)
			if _, err := w.WriteAt(b, at); err != nil {
				return 0, err
			}
			done += int64(len(b))
			at += int64(len(b))
		}
	}
	return missing + max(0, f.Size-at), w.Truncate(f.Size)
}

func openRoot(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	return os.OpenRoot(dir)
}
