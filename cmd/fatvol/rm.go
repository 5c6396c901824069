package main

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"

	"github.com/spf13/cobra"
)

func rmCommand() *cobra.Command {
	r := remover{}
	cmd := &cobra.Command{
		Use:   "rm FILE...",
		Short: "Remove files from images",
		Long: "Removes files, and with -r directories with all that is in them. Files with the read-only attribute\n" +
			"are removed with -f only.\n\n" + pathSyntax,
		Example: "  fatvol rm disk.img:/old.txt\n" +
			"  fatvol rm -r 'disk.img:2:/cache/*'",
		Args: atLeast(1, "FILE"),
	}
	f := cmd.Flags()
	f.BoolVarP(&r.recursive, "recursive", "r", false, "remove directories with all that is in them")
	f.BoolVarP(&r.force, "force", "f", false, "remove read-only files too, and say nothing of what is not there")
	f.BoolVarP(&r.verbose, "verbose", "v", false, "name each file that is removed")
	return fileCommand(cmd, func(j *job, args []string) error {
		r := r
		r.job = j
		found, err := j.onVolumes(args, true)
		for _, l := range found {
			r.remove(l)
		}
		return err
	})
}

// A remover removes files and trees.
type remover struct {
	*job
	recursive, force, verbose bool
}

// remove removes what is at l, and reports whether it is gone. What went wrong is said.
func (r *remover) remove(l location) bool {
	info, err := lstat(l)
	switch {
	case r.ctx.Err() != nil:
		return false
	case r.force && isNotExist(err):
		return true
	case err != nil:
		r.failAt(l, err)
		return false
	case l.base() == "":
		r.failAt(l, errors.New("the root of a volume cannot be removed"))
		return false
	case info.IsDir() && !r.recursive:
		r.failAt(l, errors.New("is a directory: -r removes it with all that is in it"))
		return false
	}
	return r.removeInfo(l, info.IsDir(), info.Mode())
}

// lstat is Stat, but a link of the host is a link, whatever it leads to.
func lstat(l location) (iofs.FileInfo, error) {
	if t, ok := l.tree.(hostTree); ok {
		return os.Lstat(t.path(l.name))
	}
	return l.tree.Stat(l.name)
}

func (r *remover) removeInfo(l location, isDir bool, mode iofs.FileMode) bool {
	if isDir && !r.removeAllIn(l) {
		return false
	}
	if !isDir && mode.IsRegular() && mode&0o222 == 0 && !r.force {
		r.failAt(l, errors.New("has the read-only attribute: -f removes it all the same"))
		return false
	}
	if err := l.tree.Remove(l.name); err != nil {
		r.failAt(l, err)
		return false
	}
	if r.verbose {
		fmt.Fprintf(r.out, "removed %s\n", l)
	}
	return true
}

// removeAllIn empties a directory.
func (r *remover) removeAllIn(l location) bool {
	list, err := l.tree.ReadDir(l.name)
	if err != nil {
		r.failAt(l, err)
		return false
	}
	empty := true
	for _, e := range list {
		if r.ctx.Err() != nil {
			return false
		}
		c := l.child(e.Name())
		// A link of the host is removed itself, whatever it leads to.
		mode := e.Type()
		if mode.IsRegular() {
			info, err := e.Info()
			if err != nil {
				r.failAt(c, err)
				empty = false
				continue
			}
			mode = info.Mode()
		}
		empty = r.removeInfo(c, e.IsDir(), mode) && empty
	}
	return empty
}
