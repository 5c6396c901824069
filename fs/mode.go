package fs

import (
	"strings"
	"syscall"

	"fatvol/image/fat"
)

const (
	modeType   = syscall.S_IFMT
	modeDir    = syscall.S_IFDIR
	modeFile   = syscall.S_IFREG
	modeWrite  = 0o222
	modeRest   = 0o555 // what a FAT attribute cannot take away
	modeValid  = 0o777 // beyond these, a chmod asks for what FAT cannot hold
	modeNoExec = 0o666
)

// mode gives the st_mode of a node, as vfat's fat_make_mode: everything that the mask leaves, but
// for the w bits of what is read-only and, with ShowExec, the x bits of what is no program.
func (o *Options) mode(attr fat.Attributes, dir, program bool) uint32 {
	perm := uint32(0o777)
	if !dir && o.ShowExec && !program {
		perm = modeNoExec
	}
	if attr&fat.AttrReadOnly != 0 && (!dir || o.RODir) {
		perm &^= modeWrite
	}
	if dir {
		return modeDir | perm&^o.DMask
	}
	return modeFile | perm&^o.FMask
}

func (o *Options) mask(dir bool) uint32 {
	if dir {
		return o.DMask
	}
	return o.FMask
}

// holdsReadOnly reports whether the w bits of the mode stand for the read-only attribute: not where
// the mask takes them all away, nor for directories without RODir.
func (o *Options) holdsReadOnly(dir bool) bool {
	if dir && !o.RODir {
		return false
	}
	return o.mask(dir)&modeWrite != modeWrite
}

// chmod translates a change of mode from one that mode gave into the read-only attribute. It
// reports false where FAT cannot hold the mode: then nothing changes, and nothing is wrong, as in
// vfat's fat_sanitize_mode. The r and x bits must be as they are, and of the w bits that the mask
// leaves, all or none must be set.
func (o *Options) chmod(from, to uint32) (readOnly, ok bool) {
	dir := from&modeType == modeDir
	mask := o.mask(dir)
	to &^= modeType | mask
	if to&modeRest != from&modeRest {
		return false, false
	}
	all := modeWrite &^ mask
	switch {
	case !o.holdsReadOnly(dir):
		return false, false
	case to&modeWrite == 0:
		return true, true
	case to&modeWrite == all:
		return false, true
	}
	return false, false
}

// isProgram reports whether an 8.3 name has one of the extensions that ShowExec knows.
func isProgram(short string) bool {
	i := strings.LastIndexByte(short, '.')
	if i < 0 {
		return false
	}
	switch short[i+1:] {
	case "EXE", "COM", "BAT":
		return true
	}
	return false
}

// immutable reports whether nobody may change the node.
func (o *Options) immutable(attr fat.Attributes) bool {
	return o.SysImmutable && attr&fat.AttrSystem != 0
}
