package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inDirectory runs the binary in a directory.
func inDirectory(t testing.TB, dir string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	cmd.Dir = dir
	return runCmd(t, cmd)
}

// files runs `fatvol ARGS` in a directory and fails the test unless it succeeds.
func files(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, code := inDirectory(t, dir, args...)
	if code != 0 {
		t.Fatalf("fatvol %q: exit code %d\n%s", args, code, out)
	}
	return out
}

// sourceTree makes files of all kinds that FAT can hold, with times of their own.
func sourceTree(t testing.TB, dir string) {
	t.Helper()
	for name, size := range map[string]int{
		"short.txt": 5, "empty": 0, "A long name with spaces.data": 1 << 20, "ünïcödé – 日本.txt": 77,
		"sub/x": 513, "sub/deeper/and deeper/y.bin": 70000, "sub/[brackets]": 3, ".dot": 9,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Repeat([]byte(name[:1]), size), 0o666); err != nil {
			t.Fatal(err)
		}
		stamp := time.Date(2001, 2, 3, 4, 5, 2*(size%30), 0, time.Local)
		if err := os.Chtimes(path, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "empty dir"), 0o777); err != nil {
		t.Fatal(err)
	}
}

// sameTimes compares the times of the files of two trees.
func sameTimes(t *testing.T, a, b string) {
	t.Helper()
	err := filepath.Walk(a, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(a, path)
		other, err := os.Stat(filepath.Join(b, rel))
		if err == nil && !other.ModTime().Equal(info.ModTime()) {
			t.Errorf("%s: %v, expected %v", rel, other.ModTime(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestFilesInAndOut copies a tree in with fatvol and out with mtools, and the other way.
func TestFilesInAndOut(t *testing.T) {
	need(t, "mcopy", "fsck.fat", "diff")
	for _, w := range widths {
		t.Run(w.name, func(t *testing.T) {
			img := mkfsFAT(t, w.size, w.args...)
			dir := filepath.Dir(img)
			src := filepath.Join(dir, "src")
			sourceTree(t, src)
			if out := files(t, dir, "cp", "-rv", "src", "volume.img:/"); strings.Count(out, "\n") != 13 {
				t.Errorf("cp -v:\n%s", out)
			}
			run(t, "fsck.fat", "-n", img)
			for _, d := range []string{"by-mtools", "by-fatvol"} {
				if err := os.Mkdir(filepath.Join(dir, d), 0o777); err != nil {
					t.Fatal(err)
				}
			}
			run(t, "mcopy", "-s", "-m", "-i", img, "::/src", filepath.Join(dir, "by-mtools"))
			run(t, "diff", "-r", src, filepath.Join(dir, "by-mtools", "src"))
			files(t, dir, "cp", "-r", "volume.img:/SRC/", "by-fatvol")
			run(t, "diff", "-r", src, filepath.Join(dir, "by-fatvol", "src"))
			sameTimes(t, src, filepath.Join(dir, "by-fatvol", "src"))

			// What mtools has made, moved to another image.
			other := mkfsFAT(t, w.size, w.args...)
			run(t, "mcopy", "-s", "-m", "-i", other, src, "::/")
			run(t, "mattrib", "+h", "+r", "-i", other, "::/src/short.txt")
			files(t, dir, "rm", "-rf", "volume.img:/src")
			files(t, dir, "cp", "-r", other+":/src", "volume.img:/copy")
			if out := files(t, dir, "attr", "volume.img:/copy/short.txt"); !strings.HasPrefix(out, "RH-A") {
				t.Errorf("attributes: %s", out)
			}
			files(t, dir, "cp", "-r", "volume.img:/copy", "out")
			run(t, "diff", "-r", src, filepath.Join(dir, "out"))
			sameTimes(t, src, filepath.Join(dir, "out"))
			run(t, "fsck.fat", "-n", img)
		})
	}
}

// TestFilesCommands is what the small ones do, and say.
func TestFilesCommands(t *testing.T) {
	need(t, "fsck.fat", "mkfs.fat")
	img := mkfsFAT(t, 16<<20, "-n", "FIRST")
	dir := filepath.Dir(img)
	if err := os.Symlink("nowhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	sourceTree(t, filepath.Join(dir, "src"))
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  string
		stdin string
		code  int
		want  string // in the output
	}{
		{"ls volume.img", "", 0, ""},
		{"cp - volume.img:/notes.txt", "some notes\n", 0, ""},
		{"cat volume.img:/NOTES.TXT", "", 0, "some notes\n"},
		{"cp volume.img:/notes.txt -", "", 0, "some notes\n"},
		{"cp volume.img:/notes.txt volume.img:/NOTES.TXT", "", 1, "fatvol: cp: volume.img:/NOTES.TXT: is the same file\n"},
		{"cp -n src/short.txt volume.img:/notes.txt", "", 0, ""},
		{"cat volume.img:/notes.txt", "", 0, "some notes\n"},
		{"mkdir volume.img:/a/b", "", 1, "fatvol: mkdir: volume.img:/a/b: file does not exist: -p makes the directories above it as well\n"},
		{"mkdir -pv volume.img:/a/b", "", 0, "made volume.img:/a\nmade volume.img:/a/b\n"},
		{"mkdir volume.img:/a", "", 1, "fatvol: mkdir: volume.img:/a: file already exists\n"},
		{"mv -v volume.img:/notes.txt volume.img:/a", "", 0, "volume.img:/notes.txt -> volume.img:/a/notes.txt\n"},
		{"mv volume.img:/a volume.img:/a/b", "", 1, "fatvol: mv: volume.img:/a: cannot be renamed to volume.img:/a/b/a: directory cannot be moved into itself\n"},
		{"cp -r volume.img:/a volume.img:/a/b", "", 1, "cannot be copied into itself"},
		{"cp src volume.img:/", "", 1, "fatvol: cp: src: is a directory: -r copies it with all that is in it\n"},
		{"cp nothing src/short.txt volume.img:/a", "", 1, "fatvol: cp: nothing: no such file or directory\n"},
		{"ls volume.img:/a", "", 0, "b/\nnotes.txt\nshort.txt\n"},
		{"cp src/short.txt src/empty volume.img:/new", "", 1, "not a directory"},
		{"cp src/short.txt volume.img:/new/", "", 1, "fatvol: cp: volume.img:/new: no such directory: 'fatvol mkdir' makes one in an image\n"},
		{"cp volume.img:/a/notes.txt new/", "", 1, "fatvol: cp: new/: no such directory\n"},
		{"cp src/short.txt volume.img:/a?b", "", 1, ""},
		{"cp src/short.txt elsewhere", "", 1, "nothing is in an image"},
		{"cp volume.img:/a/notes.txt link", "", 1, "fatvol: cp: link: is a symbolic link that leads nowhere\n"},
		{"cp src/short.txt missing.img:/", "", 1, "fatvol: cp: missing.img: there is no such image: 'fatvol create' makes one\n"},
		{"cp src/short.txt volume.img:x", "", 1, "did you mean volume.img:/x?"},
		{"ls volume.img:/a/*.TXT", "", 0, "volume.img:/a/notes.txt\nvolume.img:/a/short.txt\n"},
		{"ls volume.img:/a/*.exe", "", 1, "nothing matches"},
		{"ls volume.img:/*/B", "", 0, ""},
		{"attr +rh volume.img:/a/short.txt", "", 0, ""},
		{"attr volume.img:/a/short.txt", "", 0, "RH-A  volume.img:/a/short.txt\n"},
		{"attr -ha volume.img:/a/short.txt", "", 0, ""},
		{"attr volume.img:/a/*", "", 0, "----  volume.img:/a/b\n---A  volume.img:/a/notes.txt\nR---  volume.img:/a/short.txt\n"},
		{"attr +q volume.img:/a/short.txt", "", 1, "letters of rhsa"},
		{"cp src/empty volume.img:/a/short.txt", "", 1, "has the read-only attribute"},
		{"rm volume.img:/a/short.txt", "", 1, "has the read-only attribute: -f removes it all the same\n"},
		{"rm volume.img:/a", "", 1, "is a directory: -r"},
		{"rm volume.img:/nothing", "", 1, "fatvol: rm: volume.img:/nothing: file does not exist\n"},
		{"rm -f volume.img:/nothing", "", 0, ""},
		{"rm -r volume.img:/", "", 1, "the root of a volume cannot be removed"},
		{"rm -rfv volume.img:/a", "", 0, "removed volume.img:/a/notes.txt\n"},
		{"label volume.img", "", 0, "FIRST\n"},
		{"label volume.img second", "", 0, ""},
		{"label volume.img:/", "", 0, "SECOND\n"},
		{"label volume.img twelve-chars", "", 1, "too long"},
		{"mv fifo volume.img:/", "", 1, "fatvol: mv: fifo: neither a file nor a directory, and cannot be moved: 'fatvol cp' copies what is read from it\n"},
		{"cp -r src volume.img:/", "", 0, ""},
		{"mv volume.img:/src/sub moved", "", 0, ""},
		{"ls -a volume.img:/src", "", 0, ".dot\nA long name with spaces.data\nempty\nempty dir/\nshort.txt\nünïcödé – 日本.txt\n"},
		{"ls -d volume.img:/src", "", 0, "volume.img:/src\n"},
		{"cp -r . volume.img:/everything", "", 1, "link: a symbolic link, which FAT cannot hold: -L"},
		{"cp src/short.txt volume.img:/\xff", "", 1, "fatvol: cp: volume.img:/\\xff: the name is not valid UTF-8: invalid argument\n"},
		{"attr +r volume.img:/", "", 1, "fatvol: attr: volume.img:/: the root of a volume has no attributes\n"},
		{"ls missing.img", "", 1, "fatvol: ls: missing.img: there is no such image: IMAGE:/PATH or IMAGE:PART:/PATH is expected\n"},
		{"ls src", "", 1, "fatvol: ls: src: not in an image: IMAGE:/PATH or IMAGE:PART:/PATH is expected\n"},
		{"mkdir volume.img:/dot", "", 0, ""},
		{"cp -r src/sub/.. volume.img:/dot", "", 0, ""},
		{"cp -r src/sub/deeper/. volume.img:/dot", "", 0, ""},
		{"ls volume.img:/dot", "", 0, "A long name with spaces.data\nand deeper/\nempty\n"},
		{"mv src/sub/. volume.img:/dot", "", 1, "fatvol: mv: src/sub/.: a directory is moved by its name only\n"},
		{"mv src/sub/.. volume.img:/dot/new", "", 1, "fatvol: mv: src/sub/..: a directory is moved by its name only\n"},
		{"ls volume.img:2", "", 1, "no such partition"},
		{"cp src/short.txt src/short.txt/", "", 1, "nothing is in an image"},
	} {
		cmd := exec.Command(binary(t), strings.Split(c.args, " ")...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(c.stdin)
		out, code := runCmd(t, cmd)
		if code != c.code || !strings.Contains(out, c.want) || c.code == 0 && c.want == "" && out != "" && !strings.HasPrefix(c.args, "ls") {
			t.Errorf("fatvol %s: exit code %d, expected %d\n%sexpected %s", c.args, code, c.code, out, c.want)
		}
	}
	run(t, "fsck.fat", "-n", img)
	if got, err := os.ReadFile(filepath.Join(dir, "moved", "x")); err != nil || len(got) != 513 {
		t.Errorf("moved: %d bytes, %v", len(got), err)
	}
	var first struct {
		Path, Type, Attributes string
		Short                  string `json:"short_name"`
		Size                   int64
		Modified               time.Time
	}
	line, _, _ := strings.Cut(files(t, dir, "ls", "--json", "volume.img:/src/a*"), "\n")
	if err := json.Unmarshal([]byte(line), &first); err != nil || first.Path != "/src/A long name with spaces.data" ||
		first.Short != "ALONGN~1.DAT" || first.Size != 1<<20 || first.Type != "file" || first.Attributes != "A" || first.Modified.Year() != 2001 {
		t.Errorf("%s: %+v, %v", line, first, err)
	}
}

// TestFilesWarnings: what the engine has to warn of comes as a message, not as a line of a log.
func TestFilesWarnings(t *testing.T) {
	img := mkfsFAT(t, 64<<20, "-F", "32")
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{1}, 0x41); err != nil { // BS_Reserved1: dirty
		t.Fatal(err)
	}
	want := "fatvol: volume.img: WARNING: volume was not unmounted properly; some data may be damaged, 'fatvol check' tells\n"
	if out, code := inDirectory(t, filepath.Dir(img), "ls", "volume.img"); code != 0 || out != want {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// TestFilesTwoPartitions: one image, two volumes, one command; and a host file with colons in its name.
func TestFilesTwoPartitions(t *testing.T) {
	need(t, "sfdisk", "mkfs.fat", "fsck.fat")
	dir := t.TempDir()
	img := filepath.Join(dir, "odd:name.img")
	if err := os.WriteFile(img, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, 40<<20); err != nil {
		t.Fatal(err)
	}
	sfdisk := exec.Command("sfdisk", "-q", img)
	sfdisk.Stdin = strings.NewReader("label: dos\n1M,16M,0c\n18M,16M,0c\n")
	if out, code := runCmd(t, sfdisk); code != 0 {
		t.Fatal(out)
	}
	run(t, "mkfs.fat", "-n", "ONE", "--offset", "2048", img, "16384")
	run(t, "mkfs.fat", "-n", "TWO", "--offset", "36864", img, "16384")
	sourceTree(t, filepath.Join(dir, "src"))
	if out, code := inDirectory(t, dir, "ls", "odd:name.img"); code != 1 || !strings.Contains(out, "2 FAT volumes") {
		t.Errorf("without a choice: %d\n%s", code, out)
	}
	files(t, dir, "cp", "-r", "src", "odd:name.img:1:/")
	files(t, dir, "cp", "-r", "odd:name.img:1:/src", "odd:name.img:TWO:/copy")
	files(t, dir, "mv", "odd:name.img:2:/copy/sub", "odd:name.img:1:/sub")
	if out := files(t, dir, "ls", "odd:name.img:2"); out != "copy/\n" {
		t.Errorf("ls: %s", out)
	}
	files(t, dir, "cp", "-r", "odd:name.img:1:/src", "one")
	files(t, dir, "cp", "-r", "odd:name.img:2:/copy", "two")
	files(t, dir, "cp", "-r", "odd:name.img:1:/sub", "two")
	run(t, "diff", "-r", filepath.Join(dir, "src"), filepath.Join(dir, "one"))
	run(t, "diff", "-r", filepath.Join(dir, "src"), filepath.Join(dir, "two"))
}

// TestFilesFailedCopy: what does not fit leaves the old file whole, and the volume sound.
func TestFilesFailedCopy(t *testing.T) {
	need(t, "fsck.fat", "mkfs.fat")
	img := mkfsFAT(t, 4<<20)
	dir := filepath.Dir(img)
	big := bytes.Repeat([]byte("big"), 1<<20)
	if err := os.WriteFile(filepath.Join(dir, "big"), big, 0o666); err != nil {
		t.Fatal(err)
	}
	files(t, dir, "cp", "big", "volume.img:/big")
	big[0] = 'B'
	if err := os.WriteFile(filepath.Join(dir, "big"), big, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"cp", "big", "volume.img:/big"},          // its size is known
		{"cp", "/dev/zero", "volume.img:/big"},    // it is not
		{"cp", "volume.img:/big", "volume.img:/"}, // onto itself
	} {
		out, code := inDirectory(t, dir, args...)
		if code != 1 || !strings.Contains(out, "no space left") && !strings.Contains(out, "same file") {
			t.Errorf("%q: exit code %d\n%s", args, code, out)
		}
		run(t, "fsck.fat", "-n", img)
		if out := files(t, dir, "ls", "-a", "volume.img"); out != "big\n" {
			t.Errorf("%q: left are\n%s", args, out)
		}
	}
	if got := files(t, dir, "cat", "volume.img:/big"); len(got) != len(big) || got[0] != 'b' {
		t.Errorf("%d bytes beginning with %q", len(got), got[0])
	}
	// Out: a full host leaves what was there. /dev/full is one.
	if out, code := inDirectory(t, dir, "cp", "volume.img:/big", "/dev/full"); code != 1 || !strings.Contains(out, "no space left on device") {
		t.Errorf("to a full host: %d\n%s", code, out)
	}
	if said, code := toFull(t, binary(t), "cat", img+":/big"); code != 1 || said != "fatvol: cat: write /dev/stdout: no space left on device\n" {
		t.Errorf("printed to a full host: %d\n%s", code, said)
	}
}

// TestFilesInterrupt: an interrupted copy leaves a sound volume with the old file, and says so.
func TestFilesInterrupt(t *testing.T) {
	need(t, "fsck.fat", "mkfs.fat")
	img := mkfsFAT(t, 64<<20)
	dir := filepath.Dir(img)
	files(t, dir, "cp", binary(t), "volume.img:/target")
	cmd := exec.Command(binary(t), "cp", "-", "volume.img:/target")
	cmd.Dir = dir
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var words bytes.Buffer
	cmd.Stderr = &words
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Once it has taken more than a pipe holds, it is at work.
	if _, err := stdin.Write(make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(syscall.SIGINT)
	cmd.Wait()
	if cmd.ProcessState.ExitCode() != 8 || !strings.Contains(words.String(), "fatvol: cp: interrupted") {
		t.Errorf("%v\n%s", cmd.ProcessState, words.String())
	}
	run(t, "fsck.fat", "-n", img)
	if out := files(t, dir, "ls", "-a", "volume.img"); out != "target\n" {
		t.Errorf("left are\n%s", out)
	}
	files(t, dir, "cp", "volume.img:/target", "target")
	run(t, "cmp", binary(t), filepath.Join(dir, "target"))
}

// TestFilesWhileMounted: what is mounted is reached through the mount, and other volumes of the image, and
// mounts of others, are named.
func TestFilesWhileMounted(t *testing.T) {
	needFUSE(t)
	need(t, "fsck.fat", "mkfs.fat", "diff")
	img := mkfsFAT(t, 64<<20, "-n", "MOUNTED")
	dir := filepath.Dir(img)
	src := filepath.Join(dir, "src")
	sourceTree(t, src)
	mnt := t.TempDir()
	files(t, dir, "mount", "volume.img", mnt)
	noteMount(mnt, 0)
	files(t, dir, "cp", "-r", "src", "volume.img:/")
	run(t, "diff", "-r", src, filepath.Join(mnt, "src"))
	sameTimes(t, src, filepath.Join(mnt, "src"))
	files(t, dir, "attr", "+hr", "volume.img:/src/short.txt")
	if out := files(t, dir, "attr", "volume.img:/src/s*.txt"); out != "RH-A  volume.img:/src/short.txt\n" {
		t.Errorf("attr: %s", out)
	}
	files(t, dir, "attr", "-r", "volume.img:/src/short.txt")
	files(t, dir, "cp", "src/empty", "volume.img:/src/short.txt")
	if out := files(t, dir, "ls", "-al", "volume.img:/src/SHORT.TXT"); !strings.HasPrefix(out, "-H-A  0  2001") {
		t.Errorf("a file that is replaced keeps its attributes: %s", out)
	}
	var names []string
	for line := range strings.Lines(files(t, dir, "ls", "--json", "-aR", "volume.img")) {
		var f struct {
			Path  string
			Short string `json:"short_name"`
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		names = append(names, f.Path+" "+f.Short)
	}
	if !slices.Contains(names, "/src/sub/deeper/and deeper/y.bin Y.BIN") || len(names) != 13 {
		t.Errorf("ls --json: %q", names)
	}
	files(t, dir, "label", "volume.img", "renamed")
	if out := files(t, dir, "label", "volume.img"); out != "RENAMED\n" {
		t.Errorf("label: %s", out)
	}
	files(t, dir, "mv", "volume.img:/src/sub", "volume.img:/")
	files(t, dir, "rm", "-rf", "volume.img:/src")
	files(t, dir, "umount", mnt)
	forgetMount(mnt)
	run(t, "fsck.fat", "-n", img)
	if out := files(t, dir, "ls", "volume.img"); out != "sub/\n" {
		t.Errorf("after the unmount: %s", out)
	}

	files(t, dir, "mount", "-o", "ro", "volume.img", mnt)
	noteMount(mnt, 0)
	if out, code := inDirectory(t, dir, "cp", "src/empty", "volume.img:/new"); code != 1 || !strings.Contains(out, "read-only file system") {
		t.Errorf("mounted read-only: %d\n%s", code, out)
	}
	if os.Geteuid() == 0 {
		// Somebody else has neither the record nor the right to write.
		if err := os.Chmod(img, 0o666); err != nil {
			t.Fatal(err)
		}
		for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
			os.Chmod(d, 0o755)
		}
		out, code := runCode(t, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary(t), "rm", "-r", img+":/sub")
		if code != 1 || !strings.Contains(out, "mounted on "+mnt+" by root") {
			t.Errorf("somebody else: %d\n%s", code, out)
		}
	}
	files(t, dir, "umount", mnt)
	forgetMount(mnt)
}

// TestFilesThereTwice: a volume that is mounted is reached by two paths. What is moved from one to the other is not lost,
// and a directory is not copied into itself without end.
func TestFilesThereTwice(t *testing.T) {
	needFUSE(t)
	img := mkfsFAT(t, 16<<20)
	dir := filepath.Dir(img)
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o777); err != nil {
		t.Fatal(err)
	}
	files(t, dir, "mkdir", "-p", "volume.img:/dir/sub")
	files(t, dir, "cp", "/dev/null", "volume.img:/file")
	files(t, dir, "cp", "/dev/null", "volume.img:/dir/file")
	files(t, dir, "mount", "volume.img", mnt)
	noteMount(mnt, 0)
	if err := os.Symlink(filepath.Join("mnt", "dir"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	before := run(t, "find", mnt)
	for _, c := range []struct{ args, want string }{
		{"cp mnt/file volume.img:/", "is the same file"},
		{"cp mnt/FILE volume.img:/file", "is the same file"},
		{"cp volume.img:/file mnt", "is the same file"},
		{"mv mnt/file volume.img:/", "is the same file"},
		{"mv volume.img:/file mnt/file", "is the same file"},
		{"mv volume.img:/dir/file link/", "is the same file"},
		{"mv mnt/dir volume.img:/", "cannot be copied into itself"},
		{"mv volume.img:/dir mnt", "cannot be copied into itself"},
		{"cp -r mnt/dir volume.img:/dir/sub", "cannot be copied into itself"},
		{"cp -r mnt volume.img:/dir/sub/new", "cannot be copied into itself"},
		{"cp -r volume.img:/ mnt/DIR/sub", "cannot be copied into itself"},
		{"cp -r volume.img:/dir link/sub/new", "cannot be copied into itself"},
	} {
		out, code := inDirectory(t, dir, strings.Split(c.args, " ")...)
		if code != 1 || !strings.Contains(out, c.want) || strings.Count(out, "\n") != 1 {
			t.Errorf("%s: exit code %d\n%s", c.args, code, out)
		}
		if after := run(t, "find", mnt); after != before {
			t.Fatalf("%s left\n%s", c.args, after)
		}
	}
	files(t, dir, "cp", "-r", "mnt/dir/sub", "volume.img:/other")
	files(t, dir, "mv", "mnt/file", "volume.img:/other/file")
	files(t, dir, "umount", mnt)
	forgetMount(mnt)
	if out := files(t, dir, "ls", "-R", "volume.img"); !strings.Contains(out, "volume.img:/other:\nfile\n") {
		t.Error(out)
	}
}
