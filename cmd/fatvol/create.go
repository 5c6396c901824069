package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"fatvol/image"
	"fatvol/image/device"
	"fatvol/image/mkfat"
)

// createFlags are the flags of `fatvol create`, as they were given.
type createFlags struct {
	size, spare, fat, cluster, label, serial, partition, from, boot string
	sector, fats                                                    int
	fit, reproducible, follow, skip, force, quiet                   bool
	options                                                         []string
}

func createCommand() *cobra.Command {
	var c createFlags
	cmd := &cobra.Command{
		Use:   "create IMAGE",
		Short: "Make a disk image, with files in it",
		Long: "Makes IMAGE, a FAT volume of the size given by --size, or as large as its contents need\n" +
			"(--fit). With --from, it holds the files of a directory or of a tar archive, each in one piece.\n" +
			"Geometry is chosen as mkfs.fat and Windows do it; the sizes of floppy disks (160K, 180K, 320K,\n" +
			"360K, 720K, 1.2M, 1.44M, 2.88M) make floppies. What FAT cannot hold (symbolic links, devices,\n" +
			"names, files of 4 GiB) is listed before anything is written. IMAGE gets its name when it is whole;\n" +
			"what is there already is only replaced with --force, and a disk only then written to.",
		Example: "  fatvol create card.img --size 64M --label CARD --from photos/\n" +
			"  fatvol create esp.img --fit --spare 16M --partition gpt:esp --from esp/\n" +
			"  fatvol create floppy.img --size 1.44M\n" +
			"  tar c -C build . | fatvol create boot.img --fit --reproducible --from -",
		Args: exactly("IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := notEmpty(cmd, "from", "boot"); err != nil {
				return err
			}
			collectLate()
			return c.run(cmd.Context(), cmd.OutOrStdout(), args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.size, "size", "", "`size` of IMAGE in bytes, or with a unit: 64M, 2G, 1.44M")
	f.BoolVar(&c.fit, "fit", false, "make IMAGE as large as its contents need")
	f.StringVar(&c.spare, "spare", "0", "with --fit, `size` of the room that is left free")
	f.StringVar(&c.from, "from", "", "`source` of the files: a directory, a tar archive (also .gz, .zst, .xz, .bz2), or - for an archive on standard input")
	f.BoolVarP(&c.follow, "follow", "L", false, "store what symbolic links lead to")
	f.BoolVar(&c.skip, "skip", false, "leave out what FAT cannot hold, and list it")
	f.StringVar(&c.label, "label", "", "`name` of the volume, up to 11 characters")
	f.StringVar(&c.serial, "serial", "", "serial `number` of the volume, as in 1234-ABCD; any by default")
	f.StringVar(&c.fat, "fat", "auto", "`bits` of a FAT entry: auto, 12, 16 or 32")
	f.StringVar(&c.cluster, "cluster", "", "`size` of a cluster, as in 4K; chosen by the size of the volume by default")
	f.IntVar(&c.sector, "sector", 0, "`bytes` of a sector: 512, 1024, 2048 or 4096; 512 by default, or what the disk has")
	f.IntVar(&c.fats, "fats", 2, "`number` of FATs, 1 to 4")
	f.StringVar(&c.partition, "partition", "none", "partition `table` around the volume: none, mbr or gpt; with :esp behind it for an EFI system partition")
	f.StringVar(&c.boot, "boot", "", "`file` of 512 bytes: a boot sector whose code the volume gets")
	f.BoolVar(&c.reproducible, "reproducible", false, "the same bytes for the same input: times are UTC and not later than $SOURCE_DATE_EPOCH, numbers follow from the contents")
	f.BoolVarP(&c.force, "force", "f", false, "replace IMAGE if it is there, or write to it if it is a disk")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "tell nothing but errors")
	f.StringArrayVarP(&c.options, "options", "o", nil, "mount `options` that say how names and times are stored: codepage=, iocharset=, shortname=, nonumtail, tz=, time_offset=")
	return cmd
}

// run makes the image at path.
func (c *createFlags) run(ctx context.Context, out io.Writer, path string) error {
	opt, err := c.planOptions()
	if err != nil {
		return failf(exitUsage, "create %s: %w", path, err)
	}
	target, err := openTarget(path, c.force)
	if err != nil {
		return failf(exitFailed, "create %s: %w", path, err)
	}
	defer target.close()
	if err := target.settle(c, &opt); err != nil {
		return failf(exitUsage, "create %s: %w", path, err)
	}
	spool := mkfat.NewSpool(target.spoolDir())
	defer spool.Close()
	tree, err := c.scan(spool, target.info)
	if err != nil {
		return failf(exitFailed, "create %s: --from %s: %w", path, c.from, withoutPath(c.from, err))
	}
	plan, err := mkfat.New(tree, opt)
	if err != nil {
		return c.refused(path, err)
	}
	for _, r := range plan.Skipped {
		complain("create %s: left out: %s: %v", path, printable(r.Path), r.Err)
	}
	if err := c.write(ctx, plan, target); err != nil {
		return err
	}
	if c.quiet {
		return nil
	}
	told := &reporter{w: out}
	fmt.Fprintln(told, planLine(path, plan))
	return told.end(exitSystem, "create "+path, nil)
}

// refused lists what of a tree FAT cannot hold.
func (c *createFlags) refused(path string, err error) error {
	var all *mkfat.RefusedError
	if !errors.As(err, &all) {
		return failf(exitFailed, "create %s: %w: nothing was written", path, err)
	}
	for _, r := range all.Refusals {
		complain("create %s: %s: %v", path, printable(r.Path), r.Err)
	}
	hint := "--skip leaves them out"
	for _, r := range all.Refusals {
		if mkfat.IsSymlink(r.Err) && !c.follow {
			hint = "--follow stores what symbolic links lead to, --skip leaves them out"
			break
		}
	}
	return failf(exitFailed, "create %s: FAT cannot hold the %s above: nothing was written: %s", path, count(len(all.Refusals), "file", "files"), hint)
}

// write writes the image, and tells how far it is.
func (c *createFlags) write(ctx context.Context, plan *mkfat.Plan, target *createTarget) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	var p *progress
	if !c.quiet {
		p = startProgress(os.Stderr, "create "+filepath.Base(target.path), plan.Bytes)
	}
	err := target.write(ctx, plan, p.add)
	p.close()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return failf(exitInterrupted, "create %s: interrupted: %s", target.path, target.remains())
	}
	return failf(exitFailed, "create %s: %w: %s", target.path, withoutPath(target.path, err), target.remains())
}

// A createTarget is what the image is written to: a file that is made, or a disk.
type createTarget struct {
	path string
	host *device.Host // what is there already, locked; nil where there is nothing
	info os.FileInfo
}

// openTarget looks at what is at path. What is there is kept from being mounted meanwhile.
func openTarget(path string, force bool) (*createTarget, error) {
	t := &createTarget{path: path}
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if _, err := os.Lstat(path); err == nil {
			return nil, errors.New("is a symbolic link that leads nowhere: remove it first")
		}
		return t, checkDirectory(path)
	case err != nil:
		return nil, withoutPath(path, err)
	case !force && st.Mode().IsRegular():
		return nil, fmt.Errorf("%w: --force replaces it", os.ErrExist)
	case !force && !st.IsDir():
		return nil, errors.New("is not a regular file: --force writes to it, if it is a disk")
	}
	if t.path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	t.info = st
	t.host, _, err = image.OpenHost(t.path, image.OpenOptions{NoFallback: true})
	if err != nil && st.Mode().IsRegular() && device.IsWriteProtected(err) {
		// It is replaced, not written to; but if it is in use, it stays.
		t.host, _, err = image.OpenHost(t.path, image.OpenOptions{ReadOnly: true})
	}
	if err != nil {
		return nil, withoutPath(t.path, err)
	}
	return t, nil
}

// checkDirectory says early that there is no directory for a new file.
func checkDirectory(path string) error {
	st, err := os.Stat(filepath.Dir(path))
	if err == nil && !st.IsDir() {
		err = &os.PathError{Op: "create", Path: path, Err: syscall.ENOTDIR}
	}
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("its directory is not there: make it with mkdir: %w", err)
	}
	return err
}

// spoolDir is where an archive that can be read only once is kept meanwhile: where there is room for the image, and
// for a disk not beside its device file, where everything is in memory and only root can make files.
func (t *createTarget) spoolDir() string {
	if t.isDisk() {
		return os.TempDir()
	}
	return filepath.Dir(t.path)
}

func (t *createTarget) isDisk() bool { return t.host != nil && t.host.IsDisk() }

// settle lets a disk have its say about sizes.
func (t *createTarget) settle(c *createFlags, opt *mkfat.Options) error {
	if !t.isDisk() {
		if opt.Size == 0 && !c.fit {
			return errors.New("how large? --size says it, or --fit makes it as large as its contents need")
		}
		return nil
	}
	if c.size != "" || c.fit {
		return errors.New("a disk has its size: leave out --size and --fit")
	}
	opt.Size = t.host.Size()
	if c.sector == 0 {
		opt.Wishes.SectorSize = t.host.SectorSize()
	}
	return nil
}

func (t *createTarget) write(ctx context.Context, plan *mkfat.Plan, add func(n int64)) error {
	if !t.isDisk() {
		return plan.WriteFile(ctx, t.path, t.host != nil, add)
	}
	if err := plan.Write(ctx, t.host, false, add); err != nil {
		return err
	}
	return t.host.Sync()
}

// remains says what a failure leaves behind.
func (t *createTarget) remains() string {
	switch {
	case t.isDisk():
		return "what was on the disk is lost"
	case t.host != nil:
		return "it is as it was"
	}
	return "nothing is left of it"
}

func (t *createTarget) close() {
	if t.host != nil {
		_ = t.host.Close() // nothing was written by it that a Sync has not covered
	}
}
