package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fatvol/image/fat/fattest"
)

// Where FAT or the volume ends. What mount says to images that it does not take is in cmd_test.go,
// what the options change in options_*_test.go.

// fill writes a file until nothing more fits, and returns how many bytes did.
func fill(t *testing.T, name string) (total int64) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for block := bytes.Repeat([]byte("fill"), 16<<10); ; {
		n, err := f.Write(block)
		total += int64(n)
		if errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Errorf("sync of a file on a full volume: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	return total
}

func statfs(t *testing.T, dir string) (st unix.Statfs_t) {
	t.Helper()
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// A volume takes exactly what statfs promises, and the same again after everything was removed.
func TestFullVolume(t *testing.T) {
	for _, w := range widths {
		t.Run(w.name, func(t *testing.T) {
			img := mkfsFAT(t, w.size, w.args...)
			dir := mountImage(t, img)
			name := filepath.Join(dir, "big")
			var first int64
			empty := statfs(t, dir).Bfree
			for round := range 3 {
				// The kernel tells the server of the last close when it is done with it.
				awaitTrue(t, "what was removed is free", func() bool { return statfs(t, dir).Bfree == empty })
				st := statfs(t, dir)
				promised := int64(st.Bfree) * int64(st.Bsize)
				total := fill(t, name)
				if round == 0 {
					first = total
				}
				if total != first || total != promised {
					t.Errorf("round %d: %d bytes fit, %d in the first, statfs promised %d", round, total, first, promised)
				}
				if st := statfs(t, dir); st.Bfree != 0 {
					t.Errorf("round %d: %d free blocks on a full volume", round, st.Bfree)
				}
				if err := os.Mkdir(filepath.Join(dir, "dir"), 0o777); !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("mkdir on a full volume: %v", err)
				}
				// What is there can be read, overwritten, and found again after a remount.
				f, err := os.OpenFile(name, os.O_RDWR, 0)
				if err == nil {
					_, err = f.WriteAt([]byte("over"), total-4)
					err = errors.Join(err, f.Close())
				}
				if err != nil {
					t.Errorf("overwriting on a full volume: %v", err)
				}
				if round == 1 {
					umount(t, dir)
					fsck(t, img)
					mountAt(t, img, dir)
				}
				if info, err := os.Stat(name); err != nil || info.Size() != total {
					t.Errorf("round %d: the file that fills the volume: %v, %v", round, info, err)
				}
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
			umount(t, dir)
			fsck(t, img)
		})
	}
}

// The root of FAT12 and FAT16 cannot grow: it is full while subdirectories take more.
func TestFullRoot(t *testing.T) {
	for _, w := range []struct {
		name string
		args []string
	}{
		{"FAT12", []string{"-F", "12", "-r", "112"}}, // rounded up
		{"FAT16", []string{"-F", "16", "-s", "1", "-r", "512"}},
	} {
		t.Run(w.name, func(t *testing.T) {
			img := mkfsFAT(t, 16<<20, w.args...)
			slots := checkImage(t, img).Volume.RootEntries
			dir := mountImage(t, img)
			sub := filepath.Join(dir, "SUB")
			if err := os.Mkdir(sub, 0o777); err != nil {
				t.Fatal(err)
			}
			n := 1 // slots in use: SUB
			for ; ; n++ {
				err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("F%d.TXT", n)), nil, 0o666)
				if errors.Is(err, syscall.ENOSPC) {
					break
				}
				if err != nil || n > slots {
					t.Fatalf("file %d in a root of %d slots: %v", n, slots, err)
				}
			}
			if n != slots {
				t.Errorf("a root of %d slots is full with %d", slots, n)
			}
			if err := os.Mkdir(filepath.Join(dir, "D"), 0o777); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("mkdir in a full root: %v", err)
			}
			if err := os.Rename(filepath.Join(dir, "F1.TXT"), filepath.Join(dir, "a longer name.text")); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("renaming to what needs more slots: %v", err)
			}
			// The new name is written before the old one goes, so it needs a slot of its own, as with vfat.
			if err := os.Rename(filepath.Join(dir, "F1.TXT"), filepath.Join(dir, "G1.TXT")); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("renaming in a full root: %v", err)
			}
			for i := range slots {
				if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("one of many files, %d", i)), []byte("x"), 0o666); err != nil {
					t.Fatalf("file %d in a subdirectory while the root is full: %v", i, err)
				}
			}
			// One slot that becomes free is enough for one file, not for a long name.
			if err := os.Remove(filepath.Join(dir, "F1.TXT")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "a longer name.text"), nil, 0o666); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("a long name where one slot is free: %v", err)
			}
			if err := os.WriteFile(filepath.Join(dir, "LAST.TXT"), []byte("fits"), 0o666); err != nil {
				t.Errorf("a short name where one slot is free: %v", err)
			}
			umount(t, dir)
			fsck(t, img)
		})
	}
}

// A file holds 4 GiB - 1: every byte up to there, and not one more.
func TestLargestFile(t *testing.T) {
	const limit = 1<<32 - 1
	img := mkfsFAT(t, 6<<30, "-F", "32", "-s", "64")
	dir := mountImage(t, img)
	// fsck.fat 4.2 takes the length of such a chain for 0, so that it is asked when the file is gone;
	// until then there is our own checker.
	largest, other := filepath.Join(dir, "largest"), filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("other"), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(largest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	if err := unix.Fallocate(fd, 0, 0, limit+1); !errors.Is(err, unix.EFBIG) {
		t.Errorf("fallocate beyond the limit: %v", err)
	}
	if err := f.Truncate(limit + 1); !errors.Is(err, unix.EFBIG) {
		t.Errorf("truncate beyond the limit: %v", err)
	}
	if err := unix.Fallocate(fd, 0, 0, limit); err != nil { // no zeros to write: the image is sparse
		t.Fatal(err)
	}
	if n, err := f.WriteAt([]byte("the end!"), limit-8); n != 8 || err != nil {
		t.Errorf("writing the last bytes: %d, %v", n, err)
	}
	if n, err := unix.Pwrite(fd, []byte("!?"), limit-1); n != 1 || err != nil {
		t.Errorf("writing over the limit: %d, %v; want the one byte that fits", n, err)
	}
	if _, err := f.WriteAt([]byte("x"), limit); !errors.Is(err, unix.EFBIG) {
		t.Errorf("writing at the limit: %v", err)
	}
	if a, err := os.OpenFile(largest, os.O_APPEND|os.O_WRONLY, 0); err != nil {
		t.Error(err)
	} else {
		if _, err := a.Write([]byte("x")); !errors.Is(err, unix.EFBIG) {
			t.Errorf("appending to the largest file: %v", err)
		}
		a.Close()
	}
	f.Close()
	umount(t, dir)
	report := checkImage(t, img)
	if got := report.Find("largest"); got == nil || got.Size != limit {
		t.Errorf("on the volume: %+v", got)
	}
	mountAt(t, img, dir)
	end := make([]byte, 9)
	if f, err = os.Open(largest); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(end, limit-9); err != nil || string(end) != "\x00the end!" {
		t.Errorf("after a remount it ends in %q, %v", end, err)
	}
	if n, err := f.ReadAt(end, limit); n != 0 || err != io.EOF {
		t.Errorf("reading behind it: %d, %v", n, err)
	}
	f.Close()
	if err := os.Remove(largest); err != nil {
		t.Fatal(err)
	}
	umount(t, dir)
	fsck(t, img)
}

// checkImage runs the checker of fattest, which must find nothing.
func checkImage(t *testing.T, img string) *fattest.Report {
	t.Helper()
	r, err := fattest.CheckFile(img)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	return r
}

func TestNameLimits(t *testing.T) {
	img := mkfsFAT(t, 16<<20, "-F", "16", "-s", "1")
	dir := mountImage(t, img)
	const clef = "𝄞" // two UTF-16 units, four bytes of UTF-8
	type test struct {
		name string
		want error
	}
	tests := []test{
		{strings.Repeat("x", 255), nil},
		{strings.Repeat("x", 256), syscall.ENAMETOOLONG},
		{strings.Repeat("漢", 255), nil},
		{strings.Repeat("漢", 256), syscall.ENAMETOOLONG},
		{strings.Repeat(clef, 127), nil},
		{strings.Repeat(clef, 127) + "x", nil},
		{strings.Repeat(clef, 128), syscall.ENAMETOOLONG},
		{"bytes \xff that are no UTF-8", syscall.EINVAL},
		{"trailing dot.", syscall.EINVAL},
		{"trailing space ", syscall.EINVAL},
		{"...", syscall.EINVAL},
		{" ", syscall.EINVAL},
		{" leading space", nil},
		{".leading dot", nil},
		{"console", nil},
		{"COM", nil},
		{"COM10", nil},
	}
	for _, c := range []byte("\"*:<>?\\|\x01\x1f\n") {
		tests = append(tests, test{"a" + string(rune(c)) + "b", syscall.EINVAL})
	}
	for _, device := range []string{"CON", "con", "PRN", "AUX", "NUL", "COM1", "com9", "LPT1", "LPT9", "nul.txt", "Con.tar.gz"} {
		tests = append(tests, test{device, syscall.EINVAL})
	}
	var want []string
	for _, tc := range tests {
		path := dir + "/" + tc.name
		if err := os.WriteFile(path, []byte(tc.name), 0o666); !errors.Is(err, tc.want) {
			t.Errorf("create %.40q (%d bytes): %v, want %v", tc.name, len(tc.name), err, tc.want)
		}
		if tc.want == nil {
			want = append(want, tc.name)
			continue
		}
		if err := os.Mkdir(path, 0o777); !errors.Is(err, tc.want) {
			t.Errorf("mkdir %.40q: %v, want %v", tc.name, err, tc.want)
		}
		if err := os.Rename(dir+"/COM", path); err == nil {
			t.Errorf("rename to %.40q works", tc.name)
		} else if _, err := os.Stat(dir + "/COM"); err != nil && slices.Contains(want, "COM") {
			t.Errorf("a refused rename to %.40q lost the file: %v", tc.name, err)
		}
	}
	umount(t, dir)
	fsck(t, img)
	mountAt(t, img, dir, "ro")
	got := map[string]bool{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got[e.Name()] = true
		if content, err := os.ReadFile(filepath.Join(dir, e.Name())); err != nil || string(content) != e.Name() {
			t.Errorf("%.40q holds %.40q, %v", e.Name(), content, err)
		}
	}
	slices.Sort(want)
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("after a remount there are %.60q, want %.60q", names, want)
	}
}

// Images of other file systems: one line that says what is there, and exit code 32.
func TestForeignImages(t *testing.T) {
	needFUSE(t)
	for _, tc := range []struct {
		kind string
		make func(t *testing.T, img string)
	}{
		{"exFAT", func(t *testing.T, img string) { need(t, "mkfs.exfat"); run(t, "mkfs.exfat", img) }},
		{"ext4", func(t *testing.T, img string) { need(t, "mkfs.ext4"); run(t, "mkfs.ext4", "-q", "-F", img) }},
		{"NTFS", func(t *testing.T, img string) {
			boot := make([]byte, 512)
			copy(boot, "\xeb\x52\x90NTFS    \x00\x02\x08")
			boot[21] = 0xf8
			copy(boot[510:], "\x55\xaa")
			patch(t, img, 0, boot)
		}},
	} {
		t.Run(tc.kind, func(t *testing.T) {
			img := filepath.Join(t.TempDir(), "foreign.img")
			if err := os.WriteFile(img, nil, 0o666); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(img, 16<<20); err != nil {
				t.Fatal(err)
			}
			tc.make(t, img)
			dir := newDir(t)
			out, code := runCode(t, binary(t), "mount", img, dir)
			if code != 32 || strings.Count(out, "\n") != 1 || !strings.Contains(out, tc.kind) || !strings.Contains(out, img) {
				t.Errorf("exit code %d, says %q; want 32 and one line that names %s and %s", code, out, tc.kind, img)
			}
			if mountTable(t, dir) != "" {
				t.Error("mounted all the same")
			}
		})
	}
}

// Chains that lead nowhere: what is before the damage is served, the rest is EIO, other files are
// as they were, and nothing more is written.
func TestDamagedChains(t *testing.T) {
	// A cluster is a page: what the kernel caches is there as a whole or not at all.
	const clusters, size = 8, 4096
	for _, tc := range []struct {
		name  string
		entry func(first uint32) uint32 // of the fourth cluster of the file
		good  int                       // clusters before the damage: one that is marked free or bad does not belong to the file
		says  string
	}{
		{"loop", func(first uint32) uint32 { return first + 1 }, 4, "loops back to its cluster number 1 after 4 clusters"},
		{"itself", func(first uint32) uint32 { return first + 3 }, 4, "loops back to its cluster number 3 after 4 clusters"},
		{"free", func(uint32) uint32 { return 0 }, 3, "free"},
		{"reserved", func(uint32) uint32 { return 1 }, 4, "(0x1)"},
		{"bad", func(uint32) uint32 { return 0xfff7 }, 3, "bad"},
		{"out of range", func(uint32) uint32 { return 0xff00 }, 4, "(0xff00)"},
		{"too short", func(uint32) uint32 { return 0xffff }, 4, "ends after 4 clusters, expected 8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			need(t, "mkfs.fat")
			img := mkfsFAT(t, 32<<20, "-F", "16", "-s", "8")
			dir := mountImage(t, img)
			content := make([]byte, clusters*size)
			for i := range content {
				content[i] = byte(i/size*7 + i)
			}
			for _, name := range []string{"BAD.BIN", "GOOD.BIN"} {
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			umount(t, dir)
			report := checkImage(t, img)
			bad, v := report.Find("BAD.BIN"), report.Volume
			if len(bad.Extents) != 1 {
				t.Fatalf("the file is not in one piece: %+v", bad)
			}
			entry := tc.entry(bad.First)
			for i := range v.FATs {
				patch(t, img, v.FATStart+int64(i)*v.FATBytes+2*int64(bad.First+3), []byte{byte(entry), byte(entry >> 8)})
			}

			mountAt(t, img, dir)
			s := servers[dir]
			for _, flag := range []int{0, syscall.O_DIRECT} {
				f, err := os.OpenFile(filepath.Join(dir, "BAD.BIN"), os.O_RDONLY|flag, 0)
				if err != nil {
					t.Fatal(err)
				}
				got := make([]byte, tc.good*size)
				if n, err := unix.Pread(int(f.Fd()), got, 0); err != nil || !bytes.Equal(got, content[:tc.good*size]) {
					t.Errorf("flags %#x: before the damage: %d bytes, %v", flag, n, err)
				}
				for _, i := range []int{tc.good, clusters - 1} {
					if n, err := unix.Pread(int(f.Fd()), make([]byte, size), int64(i)*size); !errors.Is(err, syscall.EIO) {
						t.Errorf("flags %#x: cluster %d, behind the damage: %d bytes, %v", flag, i, n, err)
					}
				}
				f.Close()
			}
			if got, err := os.ReadFile(filepath.Join(dir, "GOOD.BIN")); err != nil || !bytes.Equal(got, content) {
				t.Errorf("another file: %d bytes, %v", len(got), err)
			}
			for what, err := range map[string]error{
				"create": os.WriteFile(filepath.Join(dir, "new"), nil, 0o666),
				"mkdir":  os.Mkdir(filepath.Join(dir, "dir"), 0o777),
				"unlink": os.Remove(filepath.Join(dir, "GOOD.BIN")),
				"rename": os.Rename(filepath.Join(dir, "GOOD.BIN"), filepath.Join(dir, "x")),
				"write":  os.Truncate(filepath.Join(dir, "GOOD.BIN"), 1),
			} {
				if !errors.Is(err, syscall.EROFS) {
					t.Errorf("%s on a damaged volume: %v, want EROFS", what, err)
				}
			}
			umount(t, dir)
			log := s.log.String()
			if strings.Count(log, `msg="volume is damaged"`) != 1 || strings.Count(log, "volume is read-only from now on") != 1 {
				t.Errorf("not one line for the damage and one for its consequence:\n%s", log)
			}
			for _, word := range []string{tc.says, "expected"} {
				if !strings.Contains(log, word) {
					t.Errorf("%q is not in the log:\n%s", word, log)
				}
			}
		})
	}
}

// What FAT cannot hold is refused as vfat refuses it, and nothing is left of the attempt.
func TestNotOnFAT(t *testing.T) {
	img := mkfsFAT(t, 4<<20)
	dir := mountImage(t, img, "umask=022")
	file, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		what string
		err  error
		want syscall.Errno
	}{
		{"hard link", os.Link(file, other), syscall.EPERM},
		{"symbolic link", os.Symlink("file", other), syscall.EPERM},
		{"named pipe", unix.Mkfifo(other, 0o666), syscall.EPERM},
		{"socket", unix.Mknod(other, unix.S_IFSOCK|0o666, 0), syscall.EPERM},
		{"character device", unix.Mknod(other, unix.S_IFCHR|0o666, 0x103), syscall.EPERM},
		{"block device", unix.Mknod(other, unix.S_IFBLK|0o666, 0x700), syscall.EPERM},
		{"set-uid bit", unix.Chmod(file, 0o4755), syscall.EPERM},
		{"access control list", unix.Setxattr(file, "system.posix_acl_access", make([]byte, 4), 0), syscall.EOPNOTSUPP},
		{"free attribute", unix.Setxattr(file, "user.comment", []byte("x"), 0), syscall.EOPNOTSUPP},
	} {
		if !errors.Is(tc.err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.what, tc.err, tc.want)
		}
		if _, err := os.Lstat(other); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("%s: refused, and there is something: %v", tc.what, err)
		}
	}
	if err := unix.Mknod(other, unix.S_IFREG|0o666, 0); err != nil {
		t.Errorf("mknod of a regular file: %v", err)
	}
	if info, err := os.Lstat(other); err != nil || !info.Mode().IsRegular() {
		t.Errorf("mknod of a regular file makes %v, %v", info, err)
	}
	umount(t, dir)
	fsck(t, img)
}
