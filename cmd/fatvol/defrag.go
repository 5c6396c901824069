package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"fatvol/image/fat"
)

// defragRequest is what `fatvol defrag` was asked for.
type defragRequest struct {
	options      []string
	pack, dryRun bool
	json, quiet  bool
}

func defragCommand() *cobra.Command {
	var req defragRequest
	cmd := &cobra.Command{
		Use:   "defrag IMAGE[:PART]",
		Short: "Put files that lie in pieces into one piece each",
		Long: "Moves every file and directory of the volume in IMAGE that lies in pieces to free space in\n" +
			"one piece; with --pack also the free space, by moving files towards the beginning.\n\n" +
			"A file is copied first, and then switched over in one write: after a loss of power at any\n" +
			"moment, and after Ctrl-C, it is whole in its old place or in its new one. IMAGE is locked as\n" +
			"by a mount. A file for which there is no free space in one piece stays as it is.",
		Example: "  fatvol defrag --dry-run card.img\n" +
			"  fatvol defrag --pack card.img\n" +
			"  fatvol info --map card.img",
		Args: exactly("IMAGE[:PART]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := parseMountOptions(currentCaller(), req.options, false)
			if err != nil {
				return failf(exitUsage, "defrag %s: %w", args[0], err)
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			o, err := openOffline(args[0], cfg, req.dryRun)
			if err != nil {
				return offlineError("defrag", args[0], err)
			}
			opt := fat.DefragOptions{DryRun: req.dryRun, Pack: req.pack}
			if !req.quiet && !req.dryRun {
				p := startProgress(os.Stderr, "moving", 0)
				opt.Progress = p.add
				defer p.close()
			}
			report, err := o.volume.Defrag(ctx, opt)
			if err := andError(err, o.close()); err != nil {
				return offlineError("defrag", args[0], err)
			}
			told := &reporter{w: cmd.OutOrStdout()}
			req.print(told, report)
			return told.end(exitSystem, "defrag "+args[0], nil)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&req.pack, "pack", false, "also move files towards the beginning, so that the free space is in one piece")
	f.BoolVarP(&req.dryRun, "dry-run", "n", false, "only say what would be done, not counting what --pack moves")
	f.BoolVar(&req.json, "json", false, "print JSON")
	f.BoolVarP(&req.quiet, "quiet", "q", false, "print nothing but errors")
	f.StringArrayVarP(&req.options, "options", "o", nil, "mount `options` that say which volume, and how to read it: partition=, offset=, codepage=")
	return cmd
}

// defragInfo is the JSON form of what was done.
type defragInfo struct {
	DryRun bool        `json:"dry_run"`
	Before surveyInfo  `json:"before"`
	After  *surveyInfo `json:"after,omitempty"`
	Moved  uint64      `json:"moved"`
	Bytes  int64       `json:"bytes"`
	Left   uint64      `json:"left"`
	Paths  []string    `json:"left_paths,omitempty"`
}

// surveyInfo is how the files of a volume lie.
type surveyInfo struct {
	Files       uint64 `json:"files"`
	Directories uint64 `json:"directories"`
	Fragmented  uint64 `json:"fragmented"`
	Fragments   uint64 `json:"fragments"`
	Free        uint32 `json:"free_clusters"`
	FreeRuns    uint32 `json:"free_runs"`
	LargestFree uint32 `json:"largest_free_run"`
	Lost        uint32 `json:"lost_clusters"`
}

func newSurveyInfo(s *fat.Survey) *surveyInfo {
	if s == nil {
		return nil
	}
	return &surveyInfo{s.Files, s.Dirs, s.Fragmented, s.Fragments, s.Free, s.FreeRuns, s.LargestFree, s.Lost}
}

func (r *defragRequest) print(out *reporter, rep *fat.DefragReport) {
	if r.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		_ = enc.Encode(defragInfo{r.dryRun, *newSurveyInfo(rep.Before), newSurveyInfo(rep.After), rep.Moved, rep.Bytes, rep.Left, rep.LeftPaths}) // out has the error
		return
	}
	if r.quiet {
		return
	}
	moved := "moved"
	if r.dryRun {
		moved = "to move"
	}
	fmt.Fprintf(out, "before: %s\n", surveyText(rep.Before))
	fmt.Fprintf(out, "%s: %s, %s\n", moved, counted(rep.Moved, "file or directory", "files and directories"), humanSize(rep.Bytes))
	if rep.After != nil {
		fmt.Fprintf(out, "after: %s\n", surveyText(rep.After))
	}
	for i, path := range rep.LeftPaths {
		if i == 0 {
			fmt.Fprintf(out, "left in pieces, because no free space in one piece is large enough: %d\n", rep.Left)
		}
		fmt.Fprintf(out, "  %s\n", orDash(path))
	}
	if more := rep.Left - uint64(len(rep.LeftPaths)); more > 0 {
		fmt.Fprintf(out, "  and %d more\n", more)
	}
}

// surveyText is how the files of a volume lie, in one line.
func surveyText(s *fat.Survey) string {
	text := fmt.Sprintf("%d of %s in pieces", s.Fragmented, counted(s.Files+s.Dirs, "file or directory", "files and directories"))
	if s.Fragmented > 0 {
		text += fmt.Sprintf(" (%d in all)", s.Fragments)
	}
	text += fmt.Sprintf("; free space in %s", counted(s.FreeRuns, "piece", "pieces"))
	if s.Lost > 0 {
		text += fmt.Sprintf("; %s of no file: 'fatvol check --repair' gives them back", counted(s.Lost, "cluster", "clusters"))
	}
	return text
}
