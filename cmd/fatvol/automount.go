package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"fatvol/cmd/fatvol/automount"
)

// automountFlags are what the command line says.
type automountFlags struct {
	config, directory string
	once, dryRun      bool
	printConfig       bool
	cleanUp           bool
}

func automountCommand() *cobra.Command {
	var flags automountFlags
	cmd := &cobra.Command{
		Use:   "automount",
		Short: "Mount what is in images on removable media, as these come and go",
		Long: "Waits for removable media to be mounted, looks for images on them, mounts the volumes in\n" +
			"these below $XDG_RUNTIME_DIR/fatvol/media, and tells the desktop. A volume whose medium is\n" +
			"pulled waits for it, if programs use it or something is unsaved, and is unmounted otherwise;\n" +
			"when somebody unmounts or ejects the medium, its volumes are unmounted first. It runs until\n" +
			"it is interrupted, usually as a service of the user's (systemctl --user enable --now\n" +
			"fatvol-automount), and then unmounts what it has mounted.",
		Example: "  fatvol automount --once --dry-run       say what would be done now, and why\n" +
			"  fatvol automount --print-config         show the configuration, with comments\n" +
			"  fatvol automount",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := notEmpty(cmd, "config", "directory"); err != nil {
				return err
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			told := &reporter{w: cmd.OutOrStdout()}
			return told.end(exitSystem, "automount", flags.run(ctx, told, cmd.ErrOrStderr()))
		},
	}
	f := cmd.Flags()
	f.StringVarP(&flags.config, "config", "c", "", "read this configuration `file` instead of fatvol/automount.toml in ~/.config or /etc/xdg")
	f.StringVarP(&flags.directory, "directory", "d", "", "mount volumes below this `directory`")
	f.BoolVar(&flags.once, "once", false, "do what is to be done now, leave it mounted, and end")
	f.BoolVarP(&flags.dryRun, "dry-run", "n", false, "change nothing, but say what would be done, and why")
	f.BoolVar(&flags.printConfig, "print-config", false, "print the configuration as a file, with comments, and end")
	f.BoolVar(&flags.cleanUp, "clean-up", false, "remove what a helper that was killed has left, and end")
	return cmd
}

// searchCommand looks for images on a medium, for the helper.
func searchCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "automount-search",
		Short:  "Look for images on a medium (called by automount)",
		Hidden: true,
		Args:   exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withCode(exitFailed, automount.ServeSearch(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout()))
		},
	}
}

func (f *automountFlags) run(ctx context.Context, out, errOut io.Writer) error {
	cfg, read, err := automount.LoadConfig(f.config)
	if err != nil {
		if f.printConfig {
			// What there is, for whoever looks for what is wrong in the file.
			fmt.Fprint(out, "# as it is by default\n", automount.DefaultConfig())
		}
		return failf(exitUsage, "automount: %w", err)
	}
	if f.directory != "" {
		cfg.Directory = f.directory
	}
	if f.printConfig {
		if read != "" {
			fmt.Fprintf(out, "# from %s\n", read)
		}
		fmt.Fprint(out, cfg)
		return nil
	}
	log := slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	dir, err := volumeDirectory(cfg.Directory)
	if err != nil {
		return failf(exitSystem, "automount: the directory for volumes: %w", err)
	}
	h := &automount.Helper{
		Config: cfg, Directory: dir, System: commands{}, Notifier: automount.NoNotifier{}, Log: log,
		Once: f.once, DryRun: f.dryRun, Out: out,
		Ready: func() { notifySupervisor("READY=1") },
	}
	if f.cleanUp {
		h.CleanUp()
		return nil
	}
	unlock, err := f.alone(dir)
	if err != nil {
		return err
	}
	defer unlock()
	if f.dryRun {
		h.Log = slog.New(slog.DiscardHandler)
	} else if cfg.Notify {
		h.Notifier = automount.NewDesktop()
		defer h.Notifier.Close()
	}
	h.Source = mediaSource(&cfg, h.Log)
	err = h.Run(ctx)
	notifySupervisor("STOPPING=1")
	if err != nil {
		return failf(exitSystem, "automount: %w", err)
	}
	return nil
}

// alone makes this the only helper for a directory. A dry run changes nothing, and may run beside it.
func (f *automountFlags) alone(dir string) (unlock func(), err error) {
	if f.dryRun {
		return func() {}, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, failf(exitSystem, "automount: %w", err)
	}
	lock, err := os.OpenFile(strings.TrimSuffix(dir, "/")+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, failf(exitSystem, "automount: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, failf(exitFailed, "automount: another helper mounts below %s already: end it first", dir)
		}
		return nil, failf(exitSystem, "automount: lock %s: %w", lock.Name(), err)
	}
	// The file stays: to remove it could let two helpers have a lock on two of them.
	return func() { lock.Close() }, nil
}

// withoutTime leaves the time to whoever keeps the log.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return a
}

// mediaSource is the source of media that the configuration names.
func mediaSource(cfg *automount.Config, log *slog.Logger) automount.Source {
	udisks := automount.UDisks{Media: cfg.Media, Log: log}
	table := automount.MountTable{Media: cfg.Media, Log: log}
	switch cfg.Source {
	case udisks.Name():
		return udisks
	case table.Name():
		return table
	}
	return automount.Auto{UDisks: udisks, Table: table, Log: log, Again: automount.DefaultAgain}
}

// volumeDirectory is where volumes are mounted: absolute, and without symbolic links on the way, as it will
// stand in the mount table.
func volumeDirectory(configured string) (string, error) {
	if configured == "" {
		dir, err := createRuntimeDir()
		if err != nil {
			return "", err
		}
		configured = filepath.Join(dir, "media")
	} else if rest, ok := strings.CutPrefix(configured, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		configured = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(configured) {
		return "", fmt.Errorf("%s is not an absolute path", configured)
	}
	// What is there is resolved; the rest is made.
	for head, tail := filepath.Clean(configured), ""; ; head, tail = filepath.Dir(head), filepath.Join(filepath.Base(head), tail) {
		real, err := filepath.EvalSymlinks(head)
		if err == nil {
			return filepath.Join(real, tail), nil
		}
		if !errors.Is(err, os.ErrNotExist) || head == "/" {
			return "", err
		}
	}
}

// commands is the System: the other commands of this program, as processes of their own.
type commands struct{}

func (commands) SearchCommand() []string { return []string{selfPath(), "automount-search"} }

// selfPath is the path of this program.
func selfPath() string {
	if self, err := os.Executable(); err == nil {
		return self
	}
	return os.Args[0]
}

// Mounts implements automount.System.
func (commands) Mounts(below string) ([]automount.Mount, error) {
	all, err := collectMounts(func(dir string) bool { return filepath.Dir(dir) == below })
	if err != nil {
		return nil, err
	}
	list := make([]automount.Mount, 0, len(all))
	for _, st := range all {
		list = append(list, automount.Mount{
			Dir: st.Dir, Image: st.Image, State: automount.State(st.State), Reason: st.Reason,
			Refused: st.Refused, RefusedAt: st.RefusedAt, Since: st.Since, Serial: st.Serial,
			Unsaved: st.Unsynced, Files: st.Files, Names: st.Names,
		})
	}
	return list, nil
}

// Mount implements automount.System.
func (commands) Mount(ctx context.Context, image, dir, options string) (said string, err error) {
	said, err = runSelf(ctx, "mount", "-o", options, "--", image, dir)
	if err != nil && said != "" {
		return "", errors.New(strings.TrimPrefix(said, "mount "))
	}
	// The rest is for whoever sits at a terminal.
	_, warning, _ := strings.Cut(said, "WARNING: ")
	return warning, err
}

// Unmount implements automount.System.
func (commands) Unmount(ctx context.Context, dir string, lazy bool) (said string, still bool, err error) {
	args := []string{"umount"}
	if lazy {
		args = append(args, "-l")
	}
	said, err = runSelf(ctx, append(args, "--", dir)...)
	m, tableErr := mountAt(dir)
	if tableErr != nil {
		return said, true, tableErr
	}
	said = strings.TrimSuffix(strings.TrimPrefix(said, "umount "+dir+": "), ", or use -l")
	if m != nil {
		return said, true, nil
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = nil // it is unmounted; what is to be said of that has been said
	}
	return said, false, err
}

// UnmountHost implements automount.System.
func (commands) UnmountHost(ctx context.Context, m automount.Medium) error {
	return automount.UnmountHost(ctx, m)
}

// Eject implements automount.System.
func (commands) Eject(ctx context.Context, dir string) error {
	said, err := runSelf(ctx, "eject", "--", dir)
	if err != nil && said != "" {
		return errors.New(said)
	}
	return err
}

// runSelf runs this program and returns what it complains of, in one line.
func runSelf(ctx context.Context, args ...string) (said string, err error) {
	return automount.Run(ctx, append([]string{selfPath()}, args...), withoutSupervisor())
}

// withoutSupervisor is the environment for processes that are not the service.
func withoutSupervisor() (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "NOTIFY_SOCKET=") {
			env = append(env, v)
		}
	}
	return env
}
