//go:build !linux

package mkfat

// renameNew renames a file unless there is one of that name.
func renameNew(from, to string) error { return renameUnlessThere(from, to) }
