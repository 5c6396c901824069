package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"fatvol/image"
	"fatvol/image/fat"
)

// Exit codes of `fatvol check`; they are those of fsck(8), and so differ from the others.
const (
	checkClean       = 0  // nothing is wrong
	checkCorrected   = 1  // something was, and is repaired
	checkLeft        = 4  // something is wrong
	checkOperational = 8  // it could not be looked at
	checkUsage       = 16 // wrong invocation
)

// A checkReport is what `fatvol check` tells; it is also the JSON form.
type checkReport struct {
	Path        string         `json:"path"`
	Files       uint64         `json:"files"`
	Directories uint64         `json:"directories"`
	Clusters    uint32         `json:"clusters"`
	Free        uint32         `json:"free_clusters"`
	Bad         uint32         `json:"bad_clusters"`
	Found       int            `json:"found"`
	Fixed       int            `json:"fixed"`
	Left        int            `json:"left"`
	Findings    []checkFinding `json:"findings"`
}

// checkFinding is one thing that is wrong with a volume.
type checkFinding struct {
	Kind     string `json:"kind"`
	Path     string `json:"path,omitempty"` // in the volume; absent for the volume itself
	Cluster  uint32 `json:"cluster,omitempty"`
	Detail   string `json:"detail,omitempty"`
	Action   string `json:"action,omitempty"` // what a repair does
	Fixed    bool   `json:"fixed"`
	Leftover bool   `json:"leftover"` // a cut of power leaves it; it does no harm
}

func checkCommand() *cobra.Command {
	var asJSON, repair, keep bool
	var options []string
	cmd := &cobra.Command{
		Use:   "check IMAGE",
		Short: "Look for damage in the volume in IMAGE, and repair it",
		Long: "Looks through the FAT volume in IMAGE, which must not be mounted, and says what is wrong,\n" +
			"where, and what a repair does about it. With --repair it does so, in an order that makes a\n" +
			"loss of power in the middle harmless; every file that can be read before can be read after\n" +
			"it. What a loss of power leaves in a volume that fatvol wrote needs no check: the next\n" +
			"mount repairs it by itself (see repair= in mount.fatvol(8)).\n\n" +
			"The exit code is that of fsck(8): 0 nothing is wrong; 1 something was, and is repaired; 4\n" +
			"something is wrong, and is left; 8 the volume could not be looked at; 16 wrong invocation.",
		Example: "  fatvol check disk.img\n" +
			"  fatvol check --repair -o partition=2 disk.img\n" +
			"  fatvol check --json disk.img | jq '.findings[].path'",
		Args: func(cmd *cobra.Command, args []string) error {
			return withCode(checkUsage, plainError(exactly("IMAGE")(cmd, args)))
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := parseMountOptions(currentCaller(), options, false)
			if err == nil && keep && !repair {
				err = errors.New("--keep goes with --repair only")
			}
			if err != nil {
				return failf(checkUsage, "check %s: %w", args[0], err)
			}
			if repair {
				survivePipes()
			}
			told := &reporter{w: cmd.OutOrStdout()}
			var out io.Writer = told
			if asJSON {
				out = io.Discard
			}
			report, err := checkImage(out, args[0], cfg, repair, keep)
			if err != nil {
				about := imageError
				if errors.Is(err, fat.ErrCorrupt) && !errors.Is(err, fat.ErrTruncated) {
					about = withoutPath // not even a check can do anything about it
				}
				return failf(checkOperational, "check %s: %w", args[0], about(args[0], err))
			}
			if asJSON {
				enc := json.NewEncoder(told)
				enc.SetIndent("", "  ")
				_ = enc.Encode(report) // told has the error
			}
			return told.end(checkOperational, "check "+args[0], report.exit())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&repair, "repair", false, "repair what is wrong")
	f.BoolVar(&keep, "keep", false, "with --repair, make files FSCKnnnn.REC of clusters that no file uses, instead of freeing them")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.StringArrayVarP(&options, "options", "o", nil, "mount `options` that say which volume it is, and how to read it: partition=, offset=, codepage=, fat=")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return failf(checkUsage, "%s: %w: see '%s --help'", cmd.Name(), err, cmd.CommandPath())
	})
	return cmd
}

// plainError is an error without its exit code.
func plainError(err error) error {
	var e *exitError
	if errors.As(err, &e) {
		return e.err
	}
	return err
}

// exit is how the command ends.
func (r *checkReport) exit() error {
	switch {
	case r.Left > 0:
		return &exitError{checkLeft, errReported}
	case r.Found > 0:
		return &exitError{checkCorrected, errReported}
	}
	return nil
}

// checkImage checks the volume in an image, and writes to out what it finds.
func checkImage(out io.Writer, path string, cfg *config, repair, keep bool) (*checkReport, error) {
	opt := cfg.image
	opt.ReadOnly, opt.NoFallback = !repair, true
	im, err := image.OpenVolume(path, opt)
	if err != nil {
		return nil, err
	}
	defer im.Close()
	for _, note := range im.Notes() {
		complain("check %s: WARNING: %s", path, note)
	}
	if repair {
		if err := nothingSaved(im, cfg); err != nil {
			return nil, err
		}
	}
	progress := startProgress(os.Stderr, "check "+path, 0)
	defer progress.close()
	r := &checkReport{Path: path, Findings: []checkFinding{}}
	res, err := fat.Check(im.Device(), fat.CheckOptions{
		Repair: repair, Keep: keep, Geometry: cfg.fat.Geometry, Names: cfg.fat.Names,
		Found: func(f fat.Finding) {
			c := checkFinding{string(f.Kind), f.Path, uint32(f.Cluster), f.Detail, f.Action, f.Fixed, f.Kind.Leftover()}
			r.Findings = append(r.Findings, c)
			fmt.Fprintln(out, c.text(repair))
		},
	})
	if err != nil {
		return nil, err
	}
	r.Files, r.Directories, r.Clusters, r.Free, r.Bad = res.Files, res.Directories, res.Clusters, res.Free, res.Bad
	r.Found, r.Fixed, r.Left = res.Found, res.Fixed, res.Left
	fmt.Fprintln(out, r.text(repair))
	return r, nil
}

// nothingSaved refuses to change a volume that unsynced writes are kept for: they would fit no more.
func nothingSaved(im *image.Image, cfg *config) error {
	g, err := volumeGeometry(im.Device(), cfg)
	if err != nil {
		return err
	}
	abs, err := absolutePath(im.Path())
	if err != nil {
		return err
	}
	if st := waitingMount(g.Serial, im.Partition.Start, abs); st != nil {
		return fmt.Errorf("%w: unmount that first ('fatvol umount %s')", heldBy(st), st.Dir)
	}
	paths, err := savedReplays(g.Serial)
	if err != nil || len(paths) == 0 || g.Serial == 0 {
		return err
	}
	return fmt.Errorf("changes of a volume with this serial number are kept in %s, and would fit no more: mount it once, or 'fatvol replay discard %s' forgets them", paths[0], paths[0])
}

// text is the line that tells of a finding.
func (f *checkFinding) text(repair bool) string {
	where := f.Path
	if where == "" {
		where = "volume"
	}
	s := where + ": " + f.Kind
	detail := f.Detail
	if f.Cluster != 0 {
		if detail != "" {
			detail += ", "
		}
		detail += fmt.Sprintf("cluster %d", f.Cluster)
	}
	if detail != "" {
		s += " (" + detail + ")"
	}
	switch {
	case f.Fixed:
		return s + ": " + f.Action
	case f.Action == "" || repair:
		return s + ": left as it is"
	}
	return s + ": with --repair, " + f.Action
}

// text is the last line.
func (r *checkReport) text(repair bool) string {
	what := fmt.Sprintf("%s: %d files, %d directories, %d of %d clusters in use", r.Path, r.Files, r.Directories, r.Clusters-r.Free-r.Bad, r.Clusters)
	switch {
	case r.Found == 0:
		return what + ": nothing is wrong"
	case r.Left == 0:
		return fmt.Sprintf("%s: repaired (%d)", what, r.Fixed)
	case repair:
		return fmt.Sprintf("%s: repaired (%d), left (%d)", what, r.Fixed, r.Left)
	}
	return fmt.Sprintf("%s: wrong (%d)", what, r.Left)
}
