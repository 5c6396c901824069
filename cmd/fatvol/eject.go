package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"fatvol/cmd/fatvol/automount"
)

func ejectCommand() *cobra.Command {
	var all, tell bool
	var config string
	cmd := &cobra.Command{
		Use:   "eject [PATH]",
		Short: "Unmount a medium and the volumes in its images, so that it can be taken out",
		Long: "Unmounts every volume that fatvol has mounted from an image on the medium, waits until\n" +
			"the images are complete, unmounts the medium, and switches it off where udisks2 can.\n" +
			"PATH is a directory where such a volume is mounted, an image, or anything on the medium;\n" +
			"it can be left out when there is one medium with mounted images only.",
		Example: "  fatvol eject\n" +
			"  fatvol eject /run/media/anna/STICK",
		Args: atMost("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := notEmpty(cmd, "config"); err != nil {
				return err
			}
			told := &reporter{w: cmd.OutOrStdout()}
			err := told.end(exitSystem, "eject", eject(cmd.Context(), told, config, args, all))
			if tell {
				automount.Say(cmd.Context(), err)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "", "read this configuration `file` instead of automount's")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "eject all media with mounted images")
	cmd.Flags().BoolVar(&tell, "notify", false, "tell the desktop how it went, too")
	return cmd
}

// eject ejects the medium that args means, or all of them.
func eject(ctx context.Context, out io.Writer, config string, args []string, all bool) error {
	cfg, _, err := automount.LoadConfig(config)
	if err != nil {
		return failf(exitUsage, "eject: %w", err)
	}
	media, err := automount.List(ctx, mediaSource(&cfg, slog.New(slog.DiscardHandler)))
	if err != nil {
		return failf(exitSystem, "eject: %w", err)
	}
	mounts, err := collectMounts(nil)
	if err != nil {
		return failf(exitSystem, "eject: %w", err)
	}
	var wanted []automount.Medium
	if len(args) == 1 {
		m, err := mediumMeant(media, args[0])
		if err != nil {
			return failf(exitFailed, "eject %s: %w", args[0], err)
		}
		wanted = append(wanted, m)
	} else {
		for _, st := range mounts {
			m, err := automount.MediumOf(media, st.Image)
			if err == nil && !slices.ContainsFunc(wanted, func(w automount.Medium) bool { return w.Dir == m.Dir }) {
				wanted = append(wanted, m)
			}
		}
		switch {
		case len(wanted) == 0:
			return failf(exitFailed, "eject: no volume is mounted from an image on a removable medium")
		case len(wanted) > 1 && !all:
			return failf(exitUsage, "eject: which of %s? Give one, or --all", mediaList(wanted))
		}
	}
	for _, m := range wanted {
		if err := ejectMedium(ctx, out, media, mounts, m, cfg.Eject.PowerOff); err != nil {
			return err
		}
	}
	return nil
}

func mediaList(media []automount.Medium) string {
	var dirs []string
	for _, m := range media {
		dirs = append(dirs, m.Dir)
	}
	return orList(dirs)
}

// mediumMeant is the medium that a path means: that of the image that is mounted there, or that of the path.
func mediumMeant(media []automount.Medium, path string) (automount.Medium, error) {
	for _, m := range media {
		if path == m.Dir || path == m.Device {
			return automount.MediumOf(media, m.Dir+"/.")
		}
	}
	m, err := findMount(path)
	if err != nil {
		return automount.Medium{}, reason(err)
	}
	if m != nil && m.FSType == fuseType {
		return automount.MediumOf(media, m.Source)
	}
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return automount.Medium{}, reason(err)
	}
	return automount.MediumOf(media, real+"/.")
}

// ejectMedium unmounts the volumes from a medium, and then itself.
func ejectMedium(ctx context.Context, out io.Writer, media []automount.Medium, mounts []*mountStatus, m automount.Medium, powerOff bool) error {
	for _, st := range mounts {
		if on, err := automount.MediumOf(media, st.Image); err != nil || on.Dir != m.Dir {
			continue
		}
		said, still, err := commands{}.Unmount(ctx, st.Dir, false)
		switch {
		case err != nil:
			return failf(exitFailed, "eject %s: %w", m.Dir, err)
		case still:
			return failf(exitFailed, "eject %s: %s: %s", m.Dir, st.Dir, said)
		case said != "":
			return failf(exitFailed, "eject %s: %s", m.Dir, said)
		}
		fmt.Fprintf(out, "%s unmounted, %s is complete\n", st.Dir, st.Image)
	}
	if err := automount.TakeOut(ctx, out, m, powerOff); err != nil {
		return failf(exitFailed, "eject: %w", err)
	}
	return nil
}
