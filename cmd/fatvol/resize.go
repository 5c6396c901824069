package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"fatvol/image"
	"fatvol/image/device"
	"fatvol/image/fat"
)

// resizeRequest is what `fatvol resize` was asked for.
type resizeRequest struct {
	options       []string
	dryRun, quiet bool
}

func resizeCommand() *cobra.Command {
	var req resizeRequest
	cmd := &cobra.Command{
		Use:   "resize [flags] IMAGE[:PART] SIZE",
		Short: "Make a volume, and its image or partition, larger or smaller",
		Long: "Gives the volume in IMAGE another size: SIZE bytes (as in 64M or 2GiB), so much more (+10M) or\n" +
			"less (-10M), the smallest that holds what is there (min), or all the room there is (max). Where\n" +
			"IMAGE is one volume, the file grows or shrinks with it. A volume in a partition can take the\n" +
			"free space behind it, and the file grows where nothing is behind it; the entry in the table\n" +
			"follows, and the file is cut off behind the last partition.\n\n" +
			"What lies behind a smaller end is moved to free space first. After a loss of power at any\n" +
			"moment, and after Ctrl-C, the volume has its old size or its new one, and every file is whole.\n" +
			"Sizes at which the volume would become another kind of FAT are refused. IMAGE is locked as by\n" +
			"a mount. Options are given before IMAGE.",
		Example: "  fatvol resize card.img 256M\n" +
			"  fatvol resize card.img:1 +100M\n" +
			"  fatvol resize --dry-run card.img min",
		Args: exactly("IMAGE[:PART]", "SIZE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := parseMountOptions(currentCaller(), req.options, false)
			if err != nil {
				return failf(exitUsage, "resize %s: %w", args[0], err)
			}
			if _, err := parseNewSize(args[1]); err != nil {
				return failf(exitUsage, "resize %s: %w", args[0], err)
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			told := &reporter{w: cmd.OutOrStdout()}
			err = offlineError("resize", args[0], req.run(ctx, told, args[0], args[1], cfg))
			return told.end(exitSystem, "resize "+args[0], err)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&req.dryRun, "dry-run", "n", false, "only say what would be done")
	f.BoolVarP(&req.quiet, "quiet", "q", false, "print nothing but errors")
	f.StringArrayVarP(&req.options, "options", "o", nil, "mount `options` that say which volume, and how to read it: partition=, codepage=")
	// What begins with a minus sign may be a size.
	f.SetInterspersed(false)
	return cmd
}

// A newSize is a size as the user gives it.
type newSize struct {
	word  string // "min", "max" or empty
	sign  int64  // 0: bytes is the size; 1 or -1: so much more or less
	bytes int64
}

func parseNewSize(text string) (newSize, error) {
	switch text {
	case "min", "max":
		return newSize{word: text}, nil
	}
	s := newSize{}
	digits := text
	switch {
	case strings.HasPrefix(text, "+"):
		s.sign, digits = 1, text[1:]
	case strings.HasPrefix(text, "-"):
		s.sign, digits = -1, text[1:]
	}
	n, err := parseSize(digits)
	if err != nil || n == 0 {
		return s, fmt.Errorf("size %q is none of 64M, +10M, -10M, min and max", text)
	}
	s.bytes = n
	return s, nil
}

// A resizing is the work on one image.
type resizing struct {
	*resizeRequest
	im   *image.Image
	opt  fat.Options
	old  *fat.Geometry
	room image.Room
	plan *fat.Resizing
}

func (r *resizeRequest) run(ctx context.Context, out io.Writer, arg, sizeText string, cfg *config) error {
	im, err := openImageAlone(arg, cfg, r.dryRun)
	if err != nil {
		return err
	}
	w := &resizing{resizeRequest: r, im: im, opt: cfg.fat, old: im.Partition.Content.Geometry}
	w.opt.Log = slog.New(slog.DiscardHandler) // what it would say is in the error
	err = w.do(ctx, out, sizeText)
	return andError(err, im.Close())
}

func (w *resizing) do(ctx context.Context, out io.Writer, sizeText string) error {
	if w.im.Layout == nil {
		return errors.New("with offset= or sizelimit= it is not known what lies behind the volume: give the partition")
	}
	var err error
	if w.room, err = w.im.Layout.RoomFor(w.im.Partition); err != nil {
		return err
	}
	size, err := w.target(ctx, sizeText)
	if err != nil {
		return err
	}
	if w.plan, err = fat.PlanResize(w.im.Device(), w.opt.Geometry, size); err != nil {
		return err
	}
	if err := w.fits(size); err != nil {
		return err
	}
	if !w.quiet {
		w.announce(out)
	}
	if w.dryRun || w.plan.New.Size == w.old.Size && w.im.Partition.Size == w.old.Size {
		return nil
	}
	if err := w.work(ctx); err != nil {
		return err
	}
	if !w.quiet {
		fmt.Fprintln(out, "done")
	}
	return nil
}

// target is the size in bytes that was asked for.
func (w *resizing) target(ctx context.Context, text string) (int64, error) {
	s, err := parseNewSize(text)
	if err != nil {
		return 0, err
	}
	v, err := fat.Open(device.ReadOnly(w.im.Device()), w.readOptions())
	if err != nil {
		return 0, err
	}
	defer v.Close()
	if v.WasDirty() {
		return 0, errUnclean
	}
	switch {
	case s.word == "max":
		return max(w.room.Limit, w.old.Size), nil
	case s.word == "min":
		survey, err := v.Survey(ctx)
		if err != nil {
			return 0, err
		}
		return w.old.MinSize(survey.Used + survey.Bad), nil
	case s.sign == 0:
		return s.bytes, nil
	}
	if s.sign > 0 && s.bytes > 1<<62-w.old.Size {
		return 0, fmt.Errorf("size %q is more than anything can hold", text)
	}
	if size := w.old.Size + s.sign*s.bytes; size > 0 {
		return size, nil
	}
	return 0, fmt.Errorf("the volume has %s, and cannot be %s smaller", humanSize(w.old.Size), humanSize(s.bytes))
}

func (w *resizing) readOptions() fat.Options {
	opt := w.opt
	opt.ReadOnly, opt.NoAtime = true, true
	return opt
}

// fits refuses a size for which there is no room.
func (w *resizing) fits(size int64) error {
	switch {
	case w.plan.New.Size <= w.room.Limit:
		return nil
	case !w.room.Last:
		return fmt.Errorf("%s do not fit: another partition begins %s behind the beginning of this one", humanSize(size), humanSize(w.room.Limit))
	case w.im.Host().IsDisk():
		return fmt.Errorf("%s do not fit: the disk has room for %s", humanSize(size), humanSize(w.room.Limit))
	}
	return nil
}

func (w *resizing) announce(out io.Writer) {
	old, now := w.plan.Old, w.plan.New
	fmt.Fprintf(out, "%v volume of %s: %s to be, %d clusters instead of %d\n",
		old.Width, humanSize(old.Size), humanSize(now.Size), now.Clusters, old.Clusters)
	if w.plan.Shifted {
		fmt.Fprintf(out, "its FATs have to be larger: new ones of %s each take the place of the first %s of data\n",
			humanSize(now.FATBytes), counted(w.evacuated(), "cluster", "clusters"))
	}
}

func (w *resizing) evacuated() uint32 {
	_, n := w.plan.Evacuated()
	return n
}

// work does it: what is in the way is moved first; to grow, the image, the table and then the volume;
// to shrink, the other way round.
func (w *resizing) work(ctx context.Context) error {
	var told func(int64)
	if !w.quiet {
		p := startProgress(os.Stderr, "moving", 0)
		defer p.close()
		told = p.add
	}
	full := w.plan.MakeRoom(ctx, w.im.Device(), w.opt, told)
	if full != nil && !(w.plan.Shifted && errors.Is(full, fat.ErrNoSpace) && w.old.InPlaceSize() > w.old.Size) {
		return full
	}
	host, part := w.im.Host(), w.im.Partition
	size := max(w.plan.New.Size, part.Size)
	if w.plan.New.Size < part.Size {
		size = w.plan.New.Size
	}
	imageSize := w.imageSize(size)
	dev := host
	if longer := imageSize > host.Size(); longer {
		if err := setLength(host.Path(), imageSize); err != nil {
			return err
		}
		var err error
		if dev, err = device.OpenHost(host.Path(), true); err != nil {
			return err
		}
		defer dev.Close()
	}
	if size > part.Size {
		if err := w.table(dev, size, imageSize); err != nil {
			return err
		}
	}
	section, err := device.NewSection(dev, part.Start, max(size, w.old.Size))
	if err != nil {
		return err
	}
	if full != nil {
		err = w.stepwise(ctx, section, told)
	}
	if err == nil {
		err = w.plan.Resize(ctx, section, w.opt)
	}
	if err != nil {
		if w.im.Layout.Scheme == image.Whole && imageSize > host.Size() && w.stillOld(section) {
			err = andError(err, setLength(host.Path(), host.Size()))
		}
		return err
	}
	if size < part.Size {
		if err := w.table(dev, size, imageSize); err != nil {
			return err
		}
	}
	if imageSize < host.Size() {
		return setLength(host.Path(), imageSize)
	}
	return nil
}

// stepwise makes room for larger FATs where the volume is too full: it first grows as far as the FATs
// allow that it has.
func (w *resizing) stepwise(ctx context.Context, dev device.Device, told func(int64)) error {
	first, err := fat.PlanResize(dev, w.opt.Geometry, min(w.old.InPlaceSize(), w.plan.New.Size))
	if err == nil {
		err = first.Run(ctx, dev, w.opt, told)
	}
	if err != nil {
		return err
	}
	if w.plan, err = fat.PlanResize(dev, w.opt.Geometry, w.plan.New.Size); err != nil {
		return err
	}
	return w.plan.MakeRoom(ctx, dev, w.opt, told)
}

// imageSize is the length of the image once the partition has size bytes. What lies behind a partition
// that is not the last one, and a disk, stay as they are.
func (w *resizing) imageSize(size int64) int64 {
	host := w.im.Host()
	if !w.room.Last || host.IsDisk() || size == w.im.Partition.Size {
		return host.Size()
	}
	return w.room.ImageSize(w.im.Partition, size)
}

// table writes the partition's new size into its table, where there is one.
func (w *resizing) table(dev device.Device, size, imageSize int64) error {
	if w.im.Layout.Scheme == image.Whole {
		return nil
	}
	return w.im.Layout.ResizePartition(dev, w.im.Partition, size, imageSize)
}

// stillOld reports whether the volume has its old size after something failed.
func (w *resizing) stillOld(dev device.Device) bool {
	boot := make([]byte, fat.BootSize)
	if _, err := dev.ReadAt(boot, 0); err != nil {
		return false
	}
	g, err := fat.ParseGeometry(boot, dev.Size(), w.opt.Geometry)
	return err == nil && g.Size == w.old.Size
}

// setLength makes a file longer, with a hole, or shorter, and makes that durable.
func setLength(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return andError(andError(f.Truncate(size), f.Sync()), f.Close())
}
