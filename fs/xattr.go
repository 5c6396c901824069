package fs

import (
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// Extended attributes are windows on what FAT has and POSIX has no name for. They cannot be made
// freely: there is no place for them.
const (
	xattrPrefix     = "user.fatvol."
	xattrAttributes = "attributes" // letters of those set, as of RHSA; may be set
	xattrShortName  = "shortname"  // the 8.3 name
	xattrLabel      = "label"      // of the root: the volume's label
	xattrSerial     = "serial"     // of the root: the volume's serial number, XXXX-XXXX
	xattrType       = "type"       // of the root: FAT12, FAT16 or FAT32
)

// xattrsOf lists the names of a node's extended attributes without their prefix.
func (fs *fileSystem) xattrsOf(n *node) []string {
	if n.ID() != fuse.FUSE_ROOT_ID {
		return []string{xattrAttributes, xattrShortName}
	}
	names := []string{xattrLabel, xattrSerial, xattrType}
	for name := range fs.state() {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (fs *fileSystem) state() map[string]string {
	if fs.opt.State == nil {
		return nil
	}
	return fs.opt.State()
}

// xattr gives the value of an extended attribute.
func (fs *fileSystem) xattr(n *node, name string) (string, fuse.Status) {
	if n.ID() == fuse.FUSE_ROOT_ID {
		return fs.rootXattr(name)
	}
	switch name {
	case xattrAttributes:
		a, st := fs.attr(n)
		return a.Attributes.String(), st
	case xattrShortName:
		_, short, err := n.Names()
		return short, fs.status(err)
	}
	return "", fuse.ENOATTR
}

func (fs *fileSystem) rootXattr(name string) (string, fuse.Status) {
	if v, ok := fs.state()[name]; ok {
		return v, fuse.OK
	}
	switch name {
	case xattrLabel:
		label, err := fs.vol.Label()
		return label, fs.status(err)
	case xattrSerial:
		s := fs.vol.Serial()
		return fmt.Sprintf("%04X-%04X", s>>16, s&0xffff), fuse.OK
	case xattrType:
		g := fs.vol.Geometry()
		return g.Width.String(), fuse.OK
	}
	return "", fuse.ENOATTR
}

// ownXattr tells our names, without prefix, from those that no FAT volume has.
func ownXattr(attr string) (name string, ok bool) { return strings.CutPrefix(attr, xattrPrefix) }

// noXattr answers for names that are not ours: in the user namespace there are attributes, but not
// this one; the others there are none of. Said of an access control list or a capability, this makes
// programs ask for the first file only: ls -l asks for each, if one merely has none.
func noXattr(attr string) fuse.Status {
	if strings.HasPrefix(attr, "user.") {
		return fuse.ENOATTR
	}
	return fuse.ENOTSUP
}

func (fs *fileSystem) GetXAttr(_ <-chan struct{}, in *fuse.InHeader, attr string, dest []byte) (uint32, fuse.Status) {
	name, ok := ownXattr(attr)
	if !ok {
		return 0, noXattr(attr)
	}
	n, st := fs.node(in.NodeId)
	if !st.Ok() {
		return 0, st
	}
	if n.ID() != fuse.FUSE_ROOT_ID { // the root's must be there even when the volume is gone
		if st := fs.permit(&in.Caller, n, mayRead); !st.Ok() {
			return 0, st
		}
	}
	value, st := fs.xattr(n, name)
	if !st.Ok() {
		return 0, st
	}
	return putXattr(dest, value)
}

func (fs *fileSystem) ListXAttr(_ <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	n, st := fs.node(in.NodeId)
	if !st.Ok() {
		return 0, st
	}
	var b strings.Builder
	for _, name := range fs.xattrsOf(n) {
		b.WriteString(xattrPrefix + name + "\x00")
	}
	return putXattr(dest, b.String())
}

// putXattr copies a value. One that does not fit gets ERANGE with the size that it takes.
func putXattr(dest []byte, value string) (uint32, fuse.Status) {
	if len(value) > len(dest) {
		return uint32(len(value)), fuse.ERANGE
	}
	return uint32(copy(dest, value)), fuse.OK
}

const xattrCreate = 1 // XATTR_CREATE, sys/xattr.h

func (fs *fileSystem) SetXAttr(_ <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) fuse.Status {
	name, ok := ownXattr(attr)
	if !ok {
		return fuse.ENOTSUP
	}
	n, st := fs.node(in.NodeId)
	if !st.Ok() {
		return st
	}
	if !slices.Contains(fs.xattrsOf(n), name) {
		return fuse.ENOTSUP
	}
	if in.Flags&xattrCreate != 0 {
		return fuse.Status(syscall.EEXIST)
	}
	if name != xattrAttributes {
		return fuse.EPERM
	}
	to, ok := fat.ParseAttributes(strings.TrimRight(string(data), "\n"))
	if !ok {
		return fuse.EINVAL
	}
	return fs.setAttributes(&in.Caller, n, to)
}

// RemoveXAttr: what FAT has of these, it always has.
func (fs *fileSystem) RemoveXAttr(_ <-chan struct{}, in *fuse.InHeader, attr string) fuse.Status {
	name, ok := ownXattr(attr)
	if !ok {
		return noXattr(attr)
	}
	n, st := fs.node(in.NodeId)
	if !st.Ok() {
		return st
	}
	if !slices.Contains(fs.xattrsOf(n), name) {
		return fuse.ENOATTR
	}
	return fuse.EPERM
}
