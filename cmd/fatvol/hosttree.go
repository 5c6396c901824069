package main

import (
	"crypto/rand"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"fatvol/image/hostperm"
)

// A hostTree is the files of the host. Names are the host's paths, below root if that is not empty.
type hostTree struct{ root string }

func (t hostTree) path(name string) string {
	if t.root == "" {
		return name
	}
	return filepath.Join(t.root, name)
}

func (t hostTree) Open(name string) (iofs.File, error)          { return os.Open(t.path(name)) }
func (t hostTree) Stat(name string) (iofs.FileInfo, error)      { return os.Stat(t.path(name)) }
func (t hostTree) ReadDir(name string) ([]iofs.DirEntry, error) { return os.ReadDir(t.path(name)) }
func (t hostTree) Mkdir(name string, perm iofs.FileMode) error  { return os.Mkdir(t.path(name), perm) }
func (t hostTree) Remove(name string) error                     { return os.Remove(t.path(name)) }
func (t hostTree) Rename(oldName, newName string) error {
	return os.Rename(t.path(oldName), t.path(newName))
}
func (t hostTree) Chtimes(name string, acc, mod time.Time) error {
	return os.Chtimes(t.path(name), acc, mod)
}

// begin writes beside the file under another name, and to devices and pipes directly. Where the name is a
// symbolic link, the file that it leads to is meant.
func (t hostTree) begin(name string, perm iofs.FileMode, size int64) (draft, error) {
	target := t.path(name)
	if real, err := filepath.EvalSymlinks(target); err == nil {
		target = real
	}
	old, err := os.Stat(target)
	switch {
	case err == nil && old.IsDir():
		return nil, &os.PathError{Op: "write", Path: target, Err: syscall.EISDIR}
	case err == nil && !old.Mode().IsRegular():
		f, err := os.OpenFile(target, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &directDraft{f}, nil
	case err == nil && old.Mode().Perm()&0o222 == 0:
		return nil, &os.PathError{Op: "write", Path: target, Err: errors.New("write-protected")}
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	if _, err := os.Lstat(target); err == nil && old == nil {
		return nil, &os.PathError{Op: "write", Path: target, Err: errors.New("is a symbolic link that leads nowhere")}
	}
	if old != nil {
		perm = 0o600 // for the moment
	}
	temp := filepath.Join(filepath.Dir(target), ".fatvol-"+rand.Text()+".tmp")
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return nil, err
	}
	d := &hostDraft{File: f, target: target}
	if old != nil {
		if err := hostperm.Copy(f, old); err != nil {
			return nil, errors.Join(err, d.Discard())
		}
	}
	return d, nil
}

// A hostDraft is the new contents of a host file.
type hostDraft struct {
	*os.File
	target             string
	accessed, modified time.Time
	done               bool
}

func (d *hostDraft) stamp(of iofs.FileInfo) error {
	d.accessed, d.modified = accessTime(of), of.ModTime()
	return nil
}

func (d *hostDraft) Commit() error {
	err := d.Close()
	if err == nil && !d.modified.IsZero() {
		err = os.Chtimes(d.Name(), d.accessed, d.modified)
	}
	if err == nil {
		err = os.Rename(d.Name(), d.target)
	}
	if err != nil {
		return errors.Join(err, d.Discard())
	}
	d.done = true
	return nil
}

func (d *hostDraft) Discard() error {
	if d.done {
		return nil
	}
	d.done = true
	d.Close() // it may be closed already, and is not wanted
	return os.Remove(d.Name())
}

// A directDraft writes to what is no regular file, which cannot be replaced and has no old contents.
type directDraft struct{ *os.File }

func (d *directDraft) stamp(iofs.FileInfo) error { return nil }
func (d *directDraft) Commit() error             { return d.Close() }
func (d *directDraft) Discard() error            { return d.Close() }
