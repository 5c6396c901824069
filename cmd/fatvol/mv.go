package main

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

func mvCommand() *cobra.Command {
	c := copier{recursive: true}
	var quiet bool
	cmd := &cobra.Command{
		Use:   "mv SOURCE... TARGET",
		Short: "Rename and move files in, into, out of and between images",
		Long: "Renames SOURCE to TARGET, or moves all SOURCEs into the directory TARGET. Within a volume that is\n" +
			"one step, and a file that had the name is replaced by it. From one volume to another, or the host,\n" +
			"it is a copy, and what was copied whole is removed.\n\n" + pathSyntax,
		Example: "  fatvol mv disk.img:/old.txt disk.img:/new.txt\n" +
			"  fatvol mv 'disk.img:/*.jpg' disk.img:/pictures\n" +
			"  fatvol mv disk.img:/DCIM ~/photos/",
		Args: atLeast(2, "SOURCE and TARGET"),
	}
	f := cmd.Flags()
	f.BoolVarP(&c.noClobber, "no-clobber", "n", false, "replace nothing")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "name each file that is moved")
	f.BoolVarP(&quiet, "quiet", "q", false, "show no progress")
	return fileCommand(cmd, func(j *job, args []string) error {
		c := c
		c.job = j
		sources, target, err := c.open(args, true)
		if err != nil {
			return err
		}
		if !quiet {
			c.progress = startProgress(cmd.ErrOrStderr(), c.name, 0)
			defer c.progress.close()
		}
		return c.each(sources, target, c.move)
	})
}

// move gives src the name dst.
func (c *copier) move(src, dst location) {
	if src.base() == "" {
		why := "the root of a volume cannot be moved"
		if src.prefix == "" {
			why = "a directory is moved by its name only"
		}
		c.failAt(src, errors.New(why))
		return
	}
	if c.noClobber && exists(dst) {
		return
	}
	if src.tree == dst.tree {
		if err := c.rename(src, dst); err != nil {
			c.failAt(src, err)
			return
		}
		c.note(dst)
		c.say(src, dst)
		return
	}
	// A device or a pipe is not what can be read from it, which is all that would be there once it is removed.
	if info, err := src.tree.Stat(src.name); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		c.failAt(src, errors.New("neither a file nor a directory, and cannot be moved: 'fatvol cp' copies what is read from it"))
		return
	}
	if !c.copy(src, dst) {
		return
	}
	// What is removed must be on the other medium before.
	if err := settle(dst); err != nil {
		c.failAt(dst, err)
		return
	}
	r := remover{job: c.job, recursive: true, force: true}
	r.remove(src)
}

// rename moves within a tree.
func (c *copier) rename(src, dst location) error {
	from, err := src.tree.Stat(src.name)
	if err != nil {
		return err
	}
	to, err := dst.tree.Stat(dst.name)
	if err == nil && foldName(src.name) != foldName(dst.name) && to.IsDir() != from.IsDir() {
		if to.IsDir() {
			return fmt.Errorf("cannot replace the directory %s", dst)
		}
		return fmt.Errorf("is a directory, and %s a file", dst)
	}
	if foldName(src.name) != foldName(dst.name) {
		if err := c.justMade(dst); err != nil {
			return err
		}
	}
	if err := src.tree.Rename(src.name, dst.name); err != nil {
		return fmt.Errorf("cannot be renamed to %s: %w", dst, reason(err))
	}
	return nil
}

// settle brings what was copied to l to its medium.
func settle(l location) error {
	if v, ok := l.onVolume(); ok {
		return v.Sync()
	}
	t, ok := l.tree.(hostTree)
	if !ok {
		return nil
	}
	top := t.path(l.name)
	err := filepath.WalkDir(top, func(path string, e iofs.DirEntry, err error) error {
		if err != nil || !e.IsDir() && !e.Type().IsRegular() {
			return err
		}
		return syncPath(path)
	})
	return errors.Join(err, syncPath(filepath.Dir(top)))
}

// syncPath syncs a file or directory, unless it cannot be read or the host has no such thing for it.
func syncPath(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}
