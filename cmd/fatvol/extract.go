package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"fatvol/image"
	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/replay"
)

// replayExtract writes the files that a replay file has changes of to a directory. A file that cannot be
// written does not keep the others from it.
func replayExtract(out io.Writer, name, dir, onto string) error {
	_, saved, err := openSaved(name)
	if err != nil {
		return err
	}
	base, why := openBase(saved, onto)
	if base != nil {
		defer base.Close()
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return failf(exitFailed, "replay extract %s: %w", name, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return failf(exitFailed, "replay extract %s: %w", name, err)
	}
	defer root.Close()
	failed := saved.Omitted
	for _, f := range saved.Files {
		x := extraction{saved: saved, file: f}
		if base != nil {
			x.base = base
		}
		if err := x.to(root); err != nil {
			fmt.Fprintf(out, "%s: NOT written: %v\n", printable(f.Path), err)
			failed++
			continue
		}
		fmt.Fprintf(out, "%s: %s\n", printable(f.Path), x.origin(why))
	}
	if saved.Omitted > 0 {
		fmt.Fprintf(out, "%d more files have no place in the list of files\n", saved.Omitted)
	}
	if failed > 0 {
		return failf(exitFailed, "replay extract %s: %d files were not written", name, failed)
	}
	return nil
}

// openBase opens the image that the changes were made to, for what of the files is not in the replay file.
// Where it is not that volume, or not there, the host is nil. why says in words what is doubtful about it,
// or why there is none.
func openBase(saved *replay.Saved, onto string) (host *device.Host, why string) {
	if onto == "" {
		onto = saved.Image
	}
	host, _, err := image.OpenHost(onto, image.OpenOptions{ReadOnly: true, NoLock: true})
	if err != nil {
		return nil, "the image is not there: " + err.Error()
	}
	if err := sameSerial(host, saved); err != nil {
		host.Close()
		return nil, onto + ": " + err.Error()
	}
	if err := saved.Verify(host); err != nil {
		return host, err.Error() + "; they may be of another file"
	}
	return host, ""
}

// sameSerial compares the serial number of the volume on an image with that in a replay file.
func sameSerial(dev device.Device, saved *replay.Saved) error {
	if dev.Size() != saved.Size {
		return fmt.Errorf("%w: the image has %d bytes, expected %d", replay.ErrOther, dev.Size(), saved.Size)
	}
	boot := make([]byte, min(fat.BootSize, saved.Size-saved.Offset))
	if _, err := dev.ReadAt(boot, saved.Offset); err != nil {
		return err
	}
	g, err := fat.ParseGeometry(boot, dev.Size()-saved.Offset, fat.GeometryOptions{})
	if err != nil {
		return fmt.Errorf("%w: %w", replay.ErrOther, err)
	}
	if got := serialText(g.Serial); got != saved.Serial {
		return fmt.Errorf("%w: serial number %s, expected %s", replay.ErrOther, got, saved.Serial)
	}
	return nil
}

// An extraction is one file on its way out of a replay file.
type extraction struct {
	saved   *replay.Saved
	file    replay.File
	base    io.ReaderAt // the image; nil where there is none
	copied  int64       // bytes from the image
	missing int64       // bytes from nowhere: zeros
}

// to writes the file below root. Its path comes from a volume that may be anybody's: it cannot lead out.
func (x *extraction) to(root *os.Root) (err error) {
	rel := strings.TrimPrefix(x.file.Path, "/")
	if err := root.MkdirAll(filepath.Dir(rel), 0o777); err != nil {
		return err
	}
	w, err := root.OpenFile(rel, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, w.Close()); err != nil {
			_ = root.Remove(rel) // a part of a file would pass for the whole
		}
	}()
	var at int64
	buf := make([]byte, 1<<20)
	for _, p := range x.file.Pieces {
		for done := int64(0); done < p.N; {
			b := buf[:min(p.N-done, int64(len(buf)))]
			x.fill(b, p.Off+done)
			if _, err := w.WriteAt(b, at); err != nil {
				return err
			}
			done += int64(len(b))
			at += int64(len(b))
		}
	}
	x.missing += x.file.Size - at
	return w.Truncate(x.file.Size)
}

// fill reads b from offset off of the image as it should be.
func (x *extraction) fill(b []byte, off int64) {
	clear(b)
	got := &x.missing
	if x.base != nil {
		if _, err := x.base.ReadAt(b, off); err == nil {
			got = &x.copied
		} else {
			clear(b)
		}
	}
	*got += int64(len(b)) - x.saved.Patch(b, off)
}

// origin says where the bytes of the file are from.
func (x *extraction) origin(why string) string {
	text := "whole"
	if x.copied > 0 {
		text = fmt.Sprintf("%s of %s are from the image", byteCount(x.copied), byteCount(x.file.Size))
		if why != "" {
			text += " (" + why + ")"
		}
	}
	if x.missing > 0 {
		text = fmt.Sprintf("%s of %s are missing, and are zeros here", byteCount(x.missing), byteCount(x.file.Size))
		if why != "" {
			text += " (" + why + ")"
		}
	}
	return text
}

// printable is text from a file or volume that may be anybody's, fit for a terminal.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
