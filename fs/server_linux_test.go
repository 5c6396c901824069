package fs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/moby/sys/mountinfo"

	"fatvol/image/fat"
)

// mountLine finds the mount in the kernel's table.
func mountLine(t testing.TB, dir string) *mountinfo.Info {
	t.Helper()
	i, err := topMount(dir)
	must(t, err)
	if i == nil {
		t.Fatalf("%s is not in the mount table", dir)
	}
	return i
}

func TestMountTable(t *testing.T) {
	for _, c := range []struct {
		name   string
		opt    Options
		source string
		fstype string
		opts   []string // of the mount point or of the file system
		not    []string
	}{
		{"plain", Options{}, "fatvol", "fuse.fatvol", []string{"rw", "max_read=1048576"},
			[]string{"ro", "default_permissions", "allow_other", "sync", "noatime"}},
		{"named", Options{FSName: "/media/a,b c/disk.img", Subtype: "other"}, "/media/a,b c/disk.img", "fuse.other", nil, nil},
		{"read-only", Options{ReadOnly: true}, "fatvol", "fuse.fatvol", []string{"ro"}, []string{"rw"}},
		{"permissions", Options{AllowOther: true, DefaultPermissions: true}, "fatvol", "fuse.fatvol",
			[]string{"allow_other", "default_permissions"}, nil},
		{"permissions that the kernel cannot check", Options{DefaultPermissions: true, Quiet: true}, "fatvol", "fuse.fatvol",
			nil, []string{"default_permissions"}},
		{"no, no, no", Options{NoSuid: true, NoDev: true, NoExec: true}, "fatvol", "fuse.fatvol",
			[]string{"nosuid", "nodev", "noexec"}, nil},
		{"synchronous", Options{Sync: true, DirSync: true}, "fatvol", "fuse.fatvol", []string{"sync", "dirsync"}, nil},
		{"times", Options{NoAtime: true, NoDirAtime: true}, "fatvol", "fuse.fatvol", []string{"noatime", "nodiratime"}, nil},
		{"relatime", Options{RelAtime: true}, "fatvol", "fuse.fatvol", []string{"relatime"}, nil},
		{"strictatime", Options{StrictAtime: true}, "fatvol", "fuse.fatvol", nil, []string{"relatime", "noatime"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mount(t, setup{fs: c.opt, fat: fat.Options{ReadOnly: c.opt.ReadOnly}})
			i := mountLine(t, m.dir)
			if i.Source != c.source || i.FSType != c.fstype {
				t.Errorf("source %q type %q, want %q %q", i.Source, i.FSType, c.source, c.fstype)
			}
			have := map[string]bool{}
			for _, o := range strings.Split(i.Options+","+i.VFSOptions, ",") {
				have[o] = true
			}
			for _, o := range c.opts {
				if !have[o] && os.Geteuid() == 0 {
					t.Errorf("not mounted %s: %s %s", o, i.Options, i.VFSOptions)
				}
			}
			for _, o := range c.not {
				if o == "rw" {
					continue // stays in the file system's options
				}
				if have[o] {
					t.Errorf("mounted %s: %s %s", o, i.Options, i.VFSOptions)
				}
			}
			if c.opt.ReadOnly {
				_, err := os.Create(m.path("f"))
				wantErrno(t, "create", err, unix.EROFS)
			}
		})
	}
}

// A volume that became read-only after it was mounted says so too.
func TestReadOnlyVolume(t *testing.T) {
	m := mount(t, setup{fat: fat.Options{ReadOnly: true}})
	_, err := os.Create(m.path("f"))
	wantErrno(t, "create", err, unix.EROFS)
	wantErrno(t, "mkdir", os.Mkdir(m.path("d"), 0o777), unix.EROFS)
	if names := list(t, m.dir); len(names) != 0 {
		t.Error(names)
	}
}

func TestReadahead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := mount(t, setup{})
	b, err := os.ReadFile("/sys/class/bdi/" + m.mount.id.String() + "/read_ahead_kb")
	if err != nil {
		t.Skip(err)
	}
	if got := strings.TrimSpace(string(b)); got != "1024" {
		t.Errorf("readahead of %s KiB, want 1024", got)
	}
}

func TestMountErrors(t *testing.T) {
	vol := newVolume(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write(t, file, "")
	link := filepath.Join(dir, "dangling")
	must(t, os.Symlink("nowhere", link))
	for _, c := range []struct {
		dir  string
		want string
	}{
		{filepath.Join(dir, "nothing"), "does not exist"},
		{link, "does not exist"},
		{file, "is not a directory"},
		{filepath.Join(file, "below"), "not a directory"},
	} {
		s, err := Mount(vol, c.dir, Options{})
		if err == nil {
			s.Unmount()
			t.Errorf("%s was mounted on", c.dir)
			continue
		}
		if !errors.Is(err, ErrMountPoint) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", c.dir, err, c.want)
		}
	}
}

// What fusermount3 says becomes one line, and one of our errors where it is the same thing.
func TestHelperErrors(t *testing.T) {
	for _, c := range []struct {
		said string
		is   error
		want string
	}{
		{"fusermount3: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf\n", ErrNotPermitted, "/etc/fuse.conf"},
		{"fusermount3: user has no write access to mountpoint /mnt\n", ErrNotPermitted, "no write access"},
		{"fusermount3: mounting over filesystem type 0x009fa0 is forbidden\n", ErrNotPermitted, "forbidden"},
		{"fusermount3: mount failed: Operation not permitted\n", ErrNotPermitted, "not permitted"},
		{"fusermount3: fuse device not found, try 'modprobe fuse' first\n", ErrNoFUSE, "modprobe"},
		{"fusermount3: failed to open /dev/fuse: Permission denied\n", ErrNoFUSE, "/dev/fuse"},
		{"fusermount3: something\nelse\n", nil, "something else"},
		{"", nil, "exit status 1"},
	} {
		err := helperError("/mnt", c.said, errors.New("exit status 1"))
		if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %v with %q", c.said, err, c.is, c.want)
		}
	}
}

func TestMountOnFullDirectoryAndThroughLink(t *testing.T) {
	vol := newVolume(t)
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "real"), 0o777))
	write(t, filepath.Join(dir, "real/hidden"), "")
	must(t, os.Symlink("real", filepath.Join(dir, "link")))
	s, err := Mount(vol, filepath.Join(dir, "link"), Options{})
	must(t, err)
	mountLine(t, filepath.Join(dir, "real"))
	must(t, s.Unmount())
	s.Wait()
	if !errors.Is(s.Unmount(), ErrNotMounted) {
		t.Error("unmounted twice")
	}
}

func TestUnmountBusy(t *testing.T) {
	m := mount(t, setup{})
	f := create(t, m.path("f"), "x")
	if err := m.Unmount(); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("unmount while a file is open: %v", err)
	}
	must(t, f.Close())
}

// Somebody else may unmount us, and mount something in our place.
func TestUnmountByOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	vol := newVolume(t)
	dir := t.TempDir()
	s, err := Mount(vol, dir, Options{})
	must(t, err)
	must(t, unix.Unmount(dir, 0))
	s.Wait()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	defer unix.Unmount(dir, 0)
	if err := s.Unmount(); !errors.Is(err, ErrNotMounted) {
		t.Errorf("unmount of what is gone: %v", err)
	}
	if i := mountLine(t, dir); i.FSType != "tmpfs" {
		t.Error("the other mount was taken away")
	}
}

func TestUnmountBelowAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := mount(t, setup{})
	must(t, unix.Mount("tmpfs", m.dir, "tmpfs", 0, ""))
	if err := m.Unmount(); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("unmount with another on top: %v", err)
	}
	must(t, unix.Unmount(m.dir, 0))
}

func TestUnmountWhereItWasMoved(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	// A mount cannot be moved within a shared one, so there is a private one around it.
	base := t.TempDir()
	must(t, unix.Mount("tmpfs", base, "tmpfs", 0, ""))
	defer unix.Unmount(base, unix.MNT_DETACH)
	must(t, unix.Mount("", base, "", unix.MS_PRIVATE, ""))
	from, to := filepath.Join(base, "from"), filepath.Join(base, "to")
	must(t, os.Mkdir(from, 0o777))
	must(t, os.Mkdir(to, 0o777))
	s, err := Mount(newVolume(t), from, Options{})
	must(t, err)
	must(t, unix.Mount(from, to, "", unix.MS_MOVE, ""))
	must(t, s.Unmount())
	s.Wait()
}

func TestDetach(t *testing.T) {
	m := mount(t, setup{})
	f := create(t, m.path("f"), "x")
	must(t, m.Detach())
	if i, err := topMount(m.dir); err != nil || i != nil {
		t.Errorf("still mounted: %v %v", i, err)
	}
	_, err := f.WriteString(" and more, for who has it open")
	must(t, err)
	must(t, f.Close())
	m.Wait()
	m.once.Do(func() {})
	n, _, err := m.vol.Lookup(m.vol.Root(), "f")
	must(t, err)
	a, err := n.Attr()
	must(t, err)
	n.Release(1)
	if a.Size != 31 {
		t.Errorf("%d bytes arrived, want 31", a.Size)
	}
	must(t, m.vol.Close())
}

// What is open or unlinked when the mount goes away is given back: the volume is consistent, and no
// cluster is lost.
func TestUnmountGivesBack(t *testing.T) {
	m := mount(t, setup{})
	before, err := m.vol.Stat()
	must(t, err)
	for range 5 {
		f := create(t, m.path("f"), string(pattern(1, 100_000)))
		must(t, os.Remove(m.path("f")))
		_ = f
	}
	m.abort() // before anything was closed
	m.Wait()
	m.once.Do(func() {})
	must(t, m.vol.Sync())
	after, err := m.vol.Stat()
	must(t, err)
	if before.Free != after.Free {
		t.Errorf("%d clusters were free, %d are", before.Free, after.Free)
	}
	if n := len(m.fs.nodes.t.all()) + len(m.fs.handles.all()); n != 0 {
		t.Errorf("%d nodes and handles left", n)
	}
	must(t, m.vol.Close())
}

// File handles, as an NFS server uses them.
func TestFileHandles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := mount(t, setup{fs: Options{NFS: "stale_rw"}})
	must(t, os.Mkdir(m.path("d"), 0o777))
	write(t, m.path("d/f"), "content")
	h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, m.path("d/f"), 0)
	must(t, err)
	root := openDir(t, m.dir)
	fd, err := unix.OpenByHandleAt(root, h, unix.O_RDONLY)
	must(t, err)
	b := make([]byte, 20)
	n, err := unix.Read(fd, b)
	unix.Close(fd)
	if string(b[:n]) != "content" {
		t.Errorf("read %q %v", b[:n], err)
	}
	must(t, os.Remove(m.path("d/f")))
	m.forgotten(t)
	_, err = unix.OpenByHandleAt(root, h, unix.O_RDONLY)
	wantErrno(t, "open by handle of what is gone", err, unix.ESTALE)
}

// With nostale_ro, handles outlive what the kernel remembers; without, they are stale by then.
func TestFileHandlesAfterForget(t *testing.T) {
	for _, c := range []struct {
		nfs  string
		want fuse.Status
	}{
		{"stale_rw", fuse.Status(unix.ESTALE)},
		{"nostale_ro", fuse.OK},
	} {
		fs := newFileSystem(newVolume(t), Options{NFS: c.nfs})
		n, err := fs.vol.Create(fs.vol.Root(), "f", 0)
		must(t, err)
		var out fuse.EntryOut
		if st := fs.entry(nil, n, true, &out); !st.Ok() {
			t.Fatal(st)
		}
		id := out.NodeId
		fs.Forget(id, 1)
		if st := fs.Lookup(nil, &fuse.InHeader{NodeId: id}, ".", &out); st != c.want {
			t.Errorf("%s: %v, want %v", c.nfs, st, c.want)
		}
		if c.want.Ok() {
			if st := fs.Lookup(nil, &fuse.InHeader{NodeId: id}, "..", &out); !st.Ok() || out.NodeId != fuse.FUSE_ROOT_ID || out.Generation != 0 {
				t.Errorf("%s: parent %v node %d generation %d", c.nfs, st, out.NodeId, out.Generation)
			}
		}
		fs.OnUnmount()
	}
}

// A file handle of an earlier mount, however short a time ago that was and whatever the clock says, means no file of this one:
// both number their nodes from 1 on.
func TestFileHandleOfEarlierMount(t *testing.T) {
	earlier := map[uint64]bool{}
	for range 3 {
		fs := newFileSystem(newVolume(t), Options{NFS: "stale_rw"})
		n, err := fs.vol.Create(fs.vol.Root(), "f", 0)
		must(t, err)
		var out fuse.EntryOut
		if st := fs.entry(nil, n, true, &out); !st.Ok() {
			t.Fatal(st)
		}
		// 32 bits of it are in the kernel's file handles.
		if g := out.Generation & 0xffff_ffff; g == 0 || earlier[g] {
			t.Errorf("node %d of generation %d as before", out.NodeId, out.Generation)
		} else {
			earlier[g] = true
		}
		fs.OnUnmount()
	}
}
