package integration

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// foreignLine is what is logged when something else writes to a mounted image.
const foreignLine = "the mount is read-only from now on"

// TestOtherWriter: mtools, which asks for no lock, writes to an image that is mounted. That is noticed, one
// line says so, and nothing more is written: the volume is what was synced, and what mtools made of it.
func TestOtherWriter(t *testing.T) {
	need(t, "mcopy", "mtype", "fsck.fat")
	t.Setenv("MTOOLS_SKIP_CHECK", "1") // otherwise it refuses a FAT whose second entry says that it is in use
	for _, busy := range []bool{false, true} {
		img := mkfsFAT(t, 16<<20, "-F", "16", "-s", "4")
		dir := filepath.Join(t.TempDir(), "mnt")
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		mountAt(t, img, dir)
		mounts.Lock()
		s := servers[dir]
		mounts.Unlock()
		ours, theirs := filepath.Join(dir, "ours.txt"), filepath.Join(t.TempDir(), "theirs.txt")
		for path, text := range map[string]string{ours: "written by us", theirs: "written by mtools"} {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		await(t, dir, "synced", func(st mediumStatus) bool { return st.Unsynced == 0 && !st.Names })
		run(t, "mcopy", "-i", img, theirs, "::THEIRS.TXT")
		if busy {
			// Whether the next change notices it, or a look before that.
			for i := 0; ; i++ {
				f, err := os.Create(filepath.Join(dir, "later.txt"))
				if err == nil {
					err = f.Sync()
					f.Close()
				}
				if err != nil {
					break
				}
				if i > 1000 {
					t.Fatal("changes go on and on")
				}
			}
		}
		await(t, dir, "read-only", func(st mediumStatus) bool { return st.ReadOnly })
		if err := os.WriteFile(filepath.Join(dir, "no more.txt"), nil, 0o644); !errors.Is(err, syscall.EROFS) {
			t.Errorf("a change after that: %v", err)
		}
		if text, err := os.ReadFile(ours); err != nil || string(text) != "written by us" {
			t.Errorf("reading: %q, %v", text, err)
		}
		mounts.Lock()
		delete(servers, dir)
		mounts.Unlock()
		out, code := runCode(t, binary(t), "umount", dir)
		removeKept(out)
		<-s.done
		forgetMount(dir)
		if n := logLines(s, foreignLine); n != 1 {
			t.Errorf("%d lines say that something else has written:\n%s", n, s.log)
		}
		if !busy && code != 0 {
			t.Errorf("umount: exit code %d: %s", code, out)
		}
		for name, want := range map[string]string{"::ours.txt": "written by us", "::THEIRS.TXT": "written by mtools"} {
			if got := run(t, "mtype", "-i", img, name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if out, _ := runCode(t, "fsck.fat", "-n", img); strings.Contains(out, "FATs differ") || strings.Contains(out, "cluster chain") || strings.Contains(out, "share clusters") {
			t.Errorf("a mixed volume: %s", out)
		}
	}
}
