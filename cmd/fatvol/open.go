package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os/exec"

	"github.com/spf13/cobra"

	"fatvol/cmd/fatvol/automount"
)

func openCommand() *cobra.Command {
	var tell bool
	cmd := &cobra.Command{
		Use:   "open IMAGE",
		Short: "Mount an image where automount does, and open it on the desktop",
		Long: "Mounts the volume in IMAGE under a readable name below $XDG_RUNTIME_DIR/fatvol/media, or\n" +
			"finds where that was done already, and opens that directory in the file manager. It is\n" +
			"what a double click on an image does.",
		Example: "  fatvol open card.img",
		Args:    exactly("IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			told := &reporter{w: cmd.OutOrStdout()}
			err := told.end(exitSystem, "open "+args[0], openImage(cmd.Context(), told, args[0]))
			if tell && err != nil {
				automount.SayFailed(cmd.Context(), args[0], err)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&tell, "notify", false, "tell the desktop of an error, too")
	return cmd
}

func openImage(ctx context.Context, out io.Writer, path string) error {
	cfg, _, err := automount.LoadConfig("")
	if err != nil {
		return failf(exitUsage, "open: %w", err)
	}
	dir, err := volumeDirectory(cfg.Directory)
	if err != nil {
		return failf(exitSystem, "open: the directory for volumes: %w", err)
	}
	image, err := absoluteImage(path)
	if err != nil {
		return failf(exitFailed, "open %s: %w", path, withoutPath(path, imageError(parseVolume(path).image, err)))
	}
	h := &automount.Helper{Config: cfg, Directory: dir, System: commands{}, Log: slog.New(slog.DiscardHandler)}
	dirs, err := h.Open(ctx, image)
	if err != nil {
		return failf(exitFailed, "open %s: %w", path, withoutPath(image, err))
	}
	for _, d := range dirs {
		fmt.Fprintf(out, "%s is open at %s\n", path, d)
	}
	show, err := exec.LookPath("xdg-open")
	if err != nil {
		complain("xdg-open is not installed, so no file manager is opened (Debian: apt install xdg-utils)")
		return nil
	}
	if err := exec.CommandContext(ctx, show, dirs[0]).Run(); err != nil {
		return failf(exitFailed, "open %s: mounted on %s, but %s: %w", path, dirs[0], show, err)
	}
	return nil
}
