package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// leakClusters marks the last ten clusters of a FAT16 volume as in use, in both FATs.
func leakClusters(t testing.TB, img string) {
	t.Helper()
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	boot := make([]byte, 512)
	if _, err := f.ReadAt(boot, 0); err != nil {
		t.Fatal(err)
	}
	start, size := (int64(boot[14])+int64(boot[15])<<8)*512, (int64(boot[22])+int64(boot[23])<<8)*512
	for k := int64(0); k < 2; k++ {
		if _, err := f.WriteAt([]byte(strings.Repeat("\xff\xff", 10)), start+k*size+2*4000); err != nil {
			t.Fatal(err)
		}
	}
}

// markDirty sets the mark of a FAT12 or FAT16 volume that is in use.
func markDirty(t testing.TB, img string) {
	t.Helper()
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{1}, 37); err != nil {
		t.Fatal(err)
	}
}

// TestCheckCommand has the exit codes of fsck(8), and says what is wrong.
func TestCheckCommand(t *testing.T) {
	need(t, "fsck.fat", "mcopy")
	img := mkfsFAT(t, 16<<20, "-F", "16", "-s", "4")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("contents"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "mcopy", "-i", img, file, "::A long name.txt")
	check := func(want int, words string, args ...string) {
		t.Helper()
		out, code := runCode(t, binary(t), append([]string{"check"}, args...)...)
		if code != want || !strings.Contains(out, words) {
			t.Errorf("check %v: exit code %d, want %d with %q:\n%s", args, code, want, words, out)
		}
	}
	check(0, "nothing is wrong", img)
	check(16, "IMAGE", "--repair")
	check(16, "unknown flag", "--mend", img)
	check(16, "--keep goes with --repair", "--keep", img)
	check(8, "no such image", img+".none")
	leakClusters(t, img)
	check(4, "volume: clusters that no file uses (10, cluster 4000): with --repair, they are freed", img)
	check(1, "they are freed", "--repair", img)
	check(0, "nothing is wrong", img)
	fsck(t, img)

	leakClusters(t, img)
	out, code := runCode(t, binary(t), "check", "--json", "--repair", "--keep", img)
	var report struct {
		Files, Fixed int
		Findings     []struct {
			Kind  string
			Fixed bool
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 1 || report.Fixed != 1 || len(report.Findings) != 1 || !report.Findings[0].Fixed {
		t.Errorf("%v, exit code %d: %s", err, code, out)
	}
	if names := run(t, "mdir", "-b", "-i", img); !strings.Contains(names, "FSCK0009.REC") || !strings.Contains(names, "A long name.txt") {
		t.Errorf("after a repair with --keep:\n%s", names)
	}
	fsck(t, img)

	dir := mountImage(t, img)
	check(8, "in use", img)
	check(8, "in use", "--repair", img)
	umount(t, dir)
	check(0, "nothing is wrong", img)
}

// TestRepairAtMount: what a cut left behind is repaired while the volume is in use.
func TestRepairAtMount(t *testing.T) {
	need(t, "fsck.fat")
	needFUSE(t)
	for _, option := range []string{"repair=yes", "repair=keep", "repair=no"} {
		img := mkfsFAT(t, 16<<20, "-F", "16", "-s", "4")
		leakClusters(t, img)
		markDirty(t, img)
		dir := mountImage(t, img, option)
		if err := os.WriteFile(filepath.Join(dir, "written meanwhile"), []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
		want := "done"
		if option == "repair=no" {
			want = ""
		}
		await(t, dir, "the repair is over", func(st mediumStatus) bool { return st.Repair == want })
		kept, _ := filepath.Glob(filepath.Join(dir, "FSCK*.REC"))
		umount(t, dir)
		if (len(kept) == 10) != (option == "repair=keep") {
			t.Errorf("%s: kept %q", option, kept)
		}
		if option == "repair=no" {
			if out, code := runCode(t, "fsck.fat", "-n", img); code == 0 || !strings.Contains(out, "Dirty bit is set") {
				t.Errorf("%s: something was repaired: %s", option, out)
			}
			continue
		}
		fsck(t, img)
	}
}
