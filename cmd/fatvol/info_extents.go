package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"

	"fatvol/image"
	"fatvol/image/device"
	"fatvol/image/fat"
)

// showExtents prints where the bytes of a file or directory of a volume lie. The list is written while
// it is read: a file may have millions of extents.
func showExtents(out io.Writer, imagePath, name string, cfg *config, asJSON bool) (err error) {
	host, _, err := image.OpenHost(imagePath, image.OpenOptions{ReadOnly: true, NoLock: true})
	if err != nil {
		return err
	}
	defer host.Close()
	open := cfg.image
	open.ReadOnly, open.NoLock = true, true
	where, err := image.Locate(host, open)
	if err != nil {
		return err
	}
	opt := cfg.fat
	opt.ReadOnly, opt.NoAtime = true, true
	opt.Log = slog.New(slog.DiscardHandler) // what it would say is in the error
	volume, err := fat.Open(device.ReadOnly(where.Device()), opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, volume.Close()) }()
	node, err := findNode(volume, name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer node.Release(1)
	attr, err := node.Attr()
	if err != nil && !errors.Is(err, fat.ErrCorrupt) {
		return fmt.Errorf("%s: %w", name, err)
	}
	w := bufio.NewWriter(out)
	list := &extentList{w: w, base: where.Partition.Start, size: attr.Size, isDir: node.IsDir()}
	if asJSON {
		err = list.json(path.Join("/", name), node)
	} else {
		err = list.text(path.Join("/", name), node)
	}
	if err := errors.Join(err, w.Flush()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// findNode follows a path from the root of a volume. The caller releases what it returns.
func findNode(v *fat.Volume, name string) (*fat.Node, error) {
	n := v.Root()
	for _, part := range strings.FieldsFunc(name, func(r rune) bool { return r == '/' }) {
		next, _, err := v.Lookup(n, part)
		n.Release(1)
		if err != nil {
			return nil, err
		}
		n = next
	}
	return n, nil
}

// An extentList prints the extents of one file.
type extentList struct {
	w     *bufio.Writer
	base  int64 // of the volume in the image
	size  int64
	isDir bool
	count int
}

func (l *extentList) text(name string, n *fat.Node) error {
	fmt.Fprintf(l.w, "%s: %s\n", orDash(name), counted(l.size, "byte", "bytes"))
	const row = "%5s  %14s  %10s  %10s  %16s  %16s  %s\n"
	fmt.Fprintf(l.w, row, "ext", "in file", "cluster", "clusters", "in volume", "in image", "length")
	err := l.each(n, func(e fat.Extent) error {
		_, err := fmt.Fprintf(l.w, "%5d  %14d  %10s  %10d  %16d  %16d  %d\n",
			l.count, e.At, clusterText(e.Cluster), e.Count, e.Off, l.base+e.Off, l.length(e))
		return err
	})
	fmt.Fprintf(l.w, "%s\n", counted(l.count, "extent", "extents"))
	return err
}

// clusterText is the number of a cluster; the fixed root directory has none.
func clusterText(c fat.Cluster) string {
	if c == 0 {
		return "-"
	}
	return fmt.Sprint(c)
}

func (l *extentList) json(name string, n *fat.Node) error {
	text, err := json.Marshal(name)
	if err != nil {
		return err
	}
	kind := "file"
	if l.isDir {
		kind = "directory"
	}
	fmt.Fprintf(l.w, "{\n  \"path\": %s,\n  \"type\": %q,\n  \"size\": %d,\n  \"extents\": [", string(text), kind, l.size)
	err = l.each(n, func(e fat.Extent) error {
		separator := ","
		if l.count == 0 {
			separator = ""
		}
		_, err := fmt.Fprintf(l.w, "%s\n    {\"offset\": %d, \"cluster\": %d, \"clusters\": %d, \"volume_offset\": %d, \"image_offset\": %d, \"length\": %d}",
			separator, e.At, e.Cluster, e.Count, e.Off, l.base+e.Off, l.length(e))
		return err
	})
	if l.count > 0 {
		fmt.Fprint(l.w, "\n  ")
	}
	fmt.Fprint(l.w, "]\n}\n")
	return err
}

// each calls fn for the extents, which l.count numbers from 0.
func (l *extentList) each(n *fat.Node, fn func(fat.Extent) error) error {
	return n.Extents(func(e fat.Extent) error {
		if err := fn(e); err != nil {
			return err
		}
		l.count++
		return nil
	})
}

// length is the number of the file's bytes in an extent: what lies behind the end of a file does not
// belong to it.
func (l *extentList) length(e fat.Extent) int64 {
	if l.isDir {
		return e.Len
	}
	return min(e.Len, max(0, l.size-e.At))
}
