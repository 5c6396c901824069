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
	switch {
	case c.Uid == 0: // x only where somebody has it
		return want&mayExec == 0 || mode&modeType == modeDir || mode&0o111 != 0
	case c.Uid == fs.opt.UID:
		return mode>>6&want == want
	case mode>>3&want == mode&want: // no matter which
		return mode&want == want
	case fs.inGroup(c):
		return mode>>3&want == want
	}
	return mode&want == want
}

// permit answers EACCES unless the caller has the rights on n. Where the kernel checks modes, it has
// done so. What is immutable nobody may write, whoever checks.
func (fs *fileSystem) permit(c *fuse.Caller, n *node, want uint32) fuse.Status {
	if !fs.ownChecks && !(fs.opt.SysImmutable && want&mayWrite != 0) {
		return fuse.OK
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
	return fs.permit(&in.Caller, n, in.Mask)
}

// groupsOf gives the supplementary groups of a process, which FUSE does not send. None are known of
// one that is in another pid namespace, or gone.
func groupsOf(pid uint32) []uint32 {
	if pid == 0 {
		return nil
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil
	}
	return parseGroups(status)
}

func parseGroups(status []byte) (groups []uint32) {
	for line := range bytes.Lines(status) {
		list, ok := bytes.CutPrefix(line, []byte("Groups:"))
		if !ok {
			continue
		}
		for _, f := range bytes.Fields(list) {
			if gid, err := strconv.ParseUint(string(f), 10, 32); err == nil {
				groups = append(groups, uint32(gid))
			}
		}
		break
	}
	return groups
}
