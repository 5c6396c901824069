package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"fatvol/image/mkfat"
)

// scan makes the tree of what --from names; except is the image, if it is there already.
func (c *createFlags) scan(spool *mkfat.Spool, except os.FileInfo) (*mkfat.Node, error) {
	opt := mkfat.ScanOptions{Follow: c.follow, Except: except}
	switch c.from {
	case "":
		return nil, nil
	case "-":
		if isTerminal(os.Stdin) {
			return nil, errors.New("standard input is a terminal: a tar archive is wanted there")
		}
		return c.scanTar(os.Stdin, spool, opt)
	}
	st, err := os.Stat(c.from)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return mkfat.ScanDir(c.from, opt)
	}
	f, err := os.Open(c.from)
	if err != nil {
		return nil, err
	}
	// It stays open: the files are read from it when the image is written.
	tree, err := c.scanTar(f, spool, opt)
	if errors.Is(err, mkfat.ErrNotTar) {
		return nil, fmt.Errorf("neither a directory nor a tar archive: %w", err)
	}
	return tree, err
}

func (c *createFlags) scanTar(r io.Reader, spool *mkfat.Spool, opt mkfat.ScanOptions) (*mkfat.Node, error) {
	if !c.quiet {
		p := startProgress(os.Stderr, "read the archive", 0)
		defer p.close()
		spool.Progress = p.add
	}
	return mkfat.ScanTar(r, spool, opt)
}

// planLine says what was made.
func planLine(path string, p *mkfat.Plan) string {
	what := fmt.Sprintf("%v of %s", p.Shape.Width, humanSize(p.Size))
	if p.Shape.Floppy {
		what = fmt.Sprintf("%v floppy of %s", p.Shape.Width, humanSize(p.Size))
	}
	return fmt.Sprintf("%s: %s, clusters of %s, %s and %s, %s free, serial number %s",
		path, what, humanSize(p.Shape.ClusterSize()), count(p.Files, "file", "files"),
		count(p.Dirs, "directory", "directories"), humanSize(p.Free()), serialText(p.Serial))
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
