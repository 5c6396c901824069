package fs

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// Rights, as access(2) numbers them.
const (
	mayExec  = 1
	mayWrite = 2
	mayRead  = 4
)

// owns reports whether the caller may do what the owner may. Capabilities other than root's are not
// seen: those that a process has in a user namespace of its own mean nothing here.
func (fs *fileSystem) owns(c *fuse.Caller) bool { return c.Uid == 0 || c.Uid == fs.opt.UID }

// administers reports whether the caller may do what needs CAP_SYS_ADMIN on a kernel file system:
// root, and whoever runs the server, because the image is his.
func (fs *fileSystem) administers(c *fuse.Caller) bool {
	return c.Uid == 0 || c.Uid == fs.serverUID
}

// inGroup reports whether the caller is in the group that owns the files.
func (fs *fileSystem) inGroup(c *fuse.Caller) bool {
	return c.Gid == fs.opt.GID || slices.Contains(groupsOf(c.Pid), fs.opt.GID)
}

// granted reports whether the mode gives the caller all of the rights, by the rules of
// generic_permission.
func (fs *fileSystem) granted(c *fuse.Caller, mode, want uint32) bool {
	class := mode
	switch {
	case c.Uid == fs.opt.UID:
		class = mode >> 6
	case mode>>3&want == mode&want: // no matter which
	case c.Uid == 0 && mode&want == want: // no matter either, but for a root without capabilities
	case fs.inGroup(c):
		class = mode >> 3
	}
	if class&want == want {
		return true
	}
	if want&mayExec != 0 && mode&modeType != modeDir && mode&0o111 == 0 {
		return false // x only where somebody has it
	}
	return c.Uid == 0 && overridesModes(c.Pid)
}

// permit answers EACCES unless the caller has the rights on n. Where the kernel checks modes, it has
// done so. What is immutable nobody may write, whoever checks.
func (fs *fileSystem) permit(c *fuse.Caller, n *node, want uint32) fuse.Status {
	if !fs.ownChecks && !(fs.opt.SysImmutable && want&mayWrite != 0) {
		return fuse.OK
	}
	// The mode of most directories is the same, whatever they are.
	if n.IsDir() && !fs.opt.RODir && !fs.opt.SysImmutable && !n.stale.Load() {
		if fs.granted(c, fs.opt.mode(0, true, false), want) {
			return fuse.OK
		}
		return fuse.EACCES
	}
	a, st := fs.attr(n)
	if !st.Ok() {
		return st
	}
	return fs.permitAttr(c, n, &a, want)
}

func (fs *fileSystem) permitAttr(c *fuse.Caller, n *node, a *fat.Attr, want uint32) fuse.Status {
	if want&mayWrite != 0 && fs.opt.immutable(a.Attributes) {
		return fuse.EPERM
	}
	if !fs.ownChecks {
		return fuse.OK
	}
	mode, err := fs.mode(n.Node, a)
	if err != nil {
		return fs.status(err)
	}
	if !fs.granted(c, mode, want) {
		return fuse.EACCES
	}
	return fuse.OK
}

// Access is sent for access(2) and chdir(2) where the kernel does not check modes.
func (fs *fileSystem) Access(_ <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	n, st := fs.node(in.NodeId)
	if !st.Ok() {
		return st
	}
	if !fs.ownChecks {
		_, st := fs.attr(n)
		return st
	}
	if err := fs.vol.Alive(); err != nil {
		return fs.status(err)
	}
	return fs.permit(&in.Caller, n, in.Mask)
}

// statusOf is the /proc/…/status of a process: nil for one in another pid namespace, or gone.
func statusOf(pid uint32) []byte {
	if pid == 0 {
		return nil
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil
	}
	return status
}

// field is a line of such a file.
func field(status []byte, name string) (value []byte, ok bool) {
	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte(name+":")); ok {
			return bytes.TrimSpace(value), true
		}
	}
	return nil, false
}

// overridesModes reports whether a process of root has CAP_DAC_OVERRIDE, which some containers take away.
// Of one that cannot be looked at it is taken for granted.
func overridesModes(pid uint32) bool {
	const capDACOverride = 1
	value, ok := field(statusOf(pid), "CapEff")
	if !ok {
		return true
	}
	caps, err := strconv.ParseUint(string(value), 16, 64)
	return err != nil || caps&(1<<capDACOverride) != 0
}

// groupsOf gives the supplementary groups of a process, which FUSE does not send. None are known of
// one that is in another pid namespace, or gone.
func groupsOf(pid uint32) []uint32 { return parseGroups(statusOf(pid)) }

func parseGroups(status []byte) (groups []uint32) {
	list, _ := field(status, "Groups")
	for _, f := range bytes.Fields(list) {
		if gid, err := strconv.ParseUint(string(f), 10, 32); err == nil {
			groups = append(groups, uint32(gid))
		}
	}
	return groups
}
