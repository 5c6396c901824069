package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCopiedBackSlowly: an image is copied back by a program that gives the file its whole length first. It is taken up
// when that is done, whether or not something was unsynced: before that, it may look like what it will be.
func TestCopiedBackSlowly(t *testing.T) {
	need(t, "mcopy", "fsck.fat")
	for name, unsynced := range map[string]bool{"nothing unsynced": false, "something unsynced": true} {
		t.Run(name, func(t *testing.T) {
			st := fileStage(t, deleted)
			dir, s := mountStage(t, st)
			writeSynced(t, filepath.Join(dir, "OLD"), "old\n")
			await(t, dir, "synced", func(st mediumStatus) bool { return st.Unsynced == 0 && !st.Names })
			copied := filepath.Join(t.TempDir(), "copy.img")
			if unsynced {
				const late = "late words\n"
				vanish(t, dir, int64(len(late)), func() { copyFile(t, st.img, copied) }, func() {
					if err := os.WriteFile(filepath.Join(dir, "LATE"), []byte(late), 0o666); err != nil {
						t.Fatal(err)
					}
				}, func() { deleted(t, st.img) })
			} else {
				copyFile(t, st.img, copied)
				deleted(t, st.img)
				other := filepath.Join(t.TempDir(), "other")
				if err := os.WriteFile(other, []byte("from elsewhere\n"), 0o666); err != nil {
					t.Fatal(err)
				}
				run(t, "mcopy", "-i", copied, other, "::OTHER")
			}
			await(t, dir, "gone", isGone)
			content, err := os.ReadFile(copied)
			if err != nil {
				t.Fatal(err)
			}
			// Everything but the last of what the volume has: what is compared is there already.
			const begin = 1 << 10
			f, err := os.Create(st.img)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.Truncate(int64(len(content))); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(content[:begin], 0); err != nil {
				t.Fatal(err)
			}
			await(t, dir, "seen, and not taken", func(st mediumStatus) bool {
				if isPresent(st) {
					t.Fatal("a file is taken up that is not complete")
				}
				return strings.Contains(st.Reason, "is being written to")
			})
			if _, err := f.WriteAt(content[begin:], begin); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			await(t, dir, "back", isPresent)
			if got, err := os.ReadFile(filepath.Join(dir, "OLD")); err != nil || string(got) != "old\n" {
				t.Errorf("OLD: %q, %v", got, err)
			}
			want := map[bool][2]string{false: {"OTHER", "from elsewhere\n"}, true: {"LATE", "late words\n"}}[unsynced]
			if got, err := os.ReadFile(filepath.Join(dir, want[0])); err != nil || string(got) != want[1] {
				t.Errorf("%s: %q, %v", want[0], got, err)
			}
			if n := logLines(s, goneLine); n != 1 {
				t.Errorf("%d lines that it is gone:\n%s", n, s.log)
			}
			umount(t, dir)
			run(t, "fsck.fat", "-n", st.img) // mcopy leaves free clusters uncounted, which it mentions
		})
	}
}
