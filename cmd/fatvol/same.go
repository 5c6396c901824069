package main

import (
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A volume that is mounted is there twice, as IMAGE:/PATH and below its mount point. To copy a file from one to the
// other would be to replace it by itself, and to move it, to remove it.

// isSame reports whether the file at src, which info describes, is the one at dst.
func isSame(src location, info iofs.FileInfo, dst location) bool {
	if src.tree == dst.tree {
		return foldName(src.name) == foldName(dst.name)
	}
	path, ok := hostPath(dst)
	return ok && isFileAt(path, info)
}

// isWithin reports whether dst is the directory at src, which info describes, or below it.
func isWithin(src location, info iofs.FileInfo, dst location) bool {
	if src.tree == dst.tree {
		return inDir(foldName(src.name), foldName(dst.name))
	}
	path, ok := hostPath(dst)
	for ok {
		if isFileAt(path, info) {
			return true
		}
		up := filepath.Dir(path)
		ok = up != path
		path = up
	}
	return false
}

// hostPath is the path, without symbolic links, at which the operating system has what is at l; ok is false where it
// does not have it.
func hostPath(l location) (path string, ok bool) {
	switch t := l.tree.(type) {
	case hostTree:
		path = t.path(l.name)
	case mountTree:
		path = t.path(l.name)
	default:
		return "", false
	}
	path, err := absolutePath(path)
	if err != nil {
		return "", false
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path, true
}

func isFileAt(path string, info iofs.FileInfo) bool {
	there, err := os.Stat(path)
	return err == nil && os.SameFile(there, info)
}

// inDir reports whether name is dir or in it.
func inDir(dir, name string) bool {
	return dir == "." || name == dir || strings.HasPrefix(name, dir+"/")
}
