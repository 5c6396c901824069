package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
)

// TestMain lets this program be the process whose records the tests look at: it makes one in the
// directory named by the variable, says so, and ends as its standard input tells it to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("TEST_RECORD_DIR"); dir != "" {
		os.Exit(recordProcess(dir))
	}
	os.Exit(m.Run())
}

func recordProcess(dir string) int {
	r, err := createRecordIn(dir, "/a.img", "/mnt")
	if err != nil {
		panic(err)
	}
	if err := r.mounted("0:99"); err != nil {
		panic(err)
	}
	os.Stdout.WriteString("ready\n")
	how, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	switch strings.TrimSpace(how) {
	case "finish":
		r.finish(recordEnd{Code: exitOK})
	case "fail":
		r.finish(recordEnd{Code: exitFailed, Error: "disk on fire"})
	case "panic":
		panic("lost my way")
	}
	return 0
}

// recordOwner starts a process that holds a record in dir; tell ends it.
func recordOwner(t *testing.T, dir string) (v *recordView, tell func(how string)) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TEST_RECORD_DIR="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("record process: %q, %v", line, err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "mount-*.json"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("records: %q, %v", paths, err)
	}
	v, err = openRecord(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.close)
	return v, func(how string) {
		if how == "kill" {
			cmd.Process.Signal(syscall.SIGKILL)
		}
		in.Write([]byte(how + "\n"))
		cmd.Wait()
	}
}

func TestRecord(t *testing.T) {
	for _, tc := range []struct {
		how  string
		ok   bool // it said how it ended
		code int
		says string
		left bool // the file is still there
	}{
		{"finish", true, exitOK, "", false},
		{"fail", true, exitFailed, "disk on fire", false},
		{"panic", false, 0, "panic: lost my way", true},
		{"return", false, 0, "", true},
		{"kill", false, 0, "", true},
	} {
		t.Run(tc.how, func(t *testing.T) {
			dir := t.TempDir()
			v, tell := recordOwner(t, dir)
			if v.Image != "/a.img" || v.Dir != "/mnt" || v.Device != "0:99" || v.PID == 0 || v.Started.IsZero() {
				t.Errorf("record: %+v %+v", v.recordStart, v.recordMounted)
			}
			if !v.alive() {
				t.Error("the process counts as dead while it lives")
			}
			removeStaleRecords(dir)
			if !linked(v.f) {
				t.Error("the record of a live process was removed")
			}
			ended := v.ended()
			tell(tc.how)
			<-ended
			end, lastWords, ok := v.end()
			if ok != tc.ok || end.Code != tc.code || end.Error+lastWords != tc.says {
				t.Errorf("end %+v, last words %q, ok %v; want %+v", end, lastWords, ok, tc)
			}
			if linked(v.f) != tc.left {
				t.Errorf("the file is still there: %v, want %v", linked(v.f), tc.left)
			}
			removeStaleRecords(dir)
			if linked(v.f) {
				t.Error("the record of a dead process was not removed")
			}
		})
	}
}

func TestRecordBelongsTo(t *testing.T) {
	dead := &recordView{recordStart: recordStart{Dir: "/mnt"}, recordMounted: recordMounted{"0:40"}}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dead.f = f
	unknown := &recordView{recordStart: recordStart{Dir: "/mnt"}, f: f}
	for _, tc := range []struct {
		name string
		v    *recordView
		m    mountinfo.Info
		want bool
	}{
		{"same", dead, mountinfo.Info{Minor: 40, Mountpoint: "/mnt", FSType: fuseType}, true},
		{"other device", dead, mountinfo.Info{Minor: 41, Mountpoint: "/mnt", FSType: fuseType}, false},
		{"device used again elsewhere", dead, mountinfo.Info{Minor: 40, Mountpoint: "/other", FSType: fuseType}, false},
		{"device not noted", unknown, mountinfo.Info{Minor: 40, Mountpoint: "/mnt", FSType: fuseType}, true},
		{"device not noted, other type", unknown, mountinfo.Info{Minor: 40, Mountpoint: "/mnt", FSType: "ext4"}, false},
	} {
		if got := tc.v.belongsTo(&tc.m); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// Of several records with the device number of a mount, its own is the one of its directory, and for a mount that
// was moved the one that began last: the number was somebody else's before.
func TestRecordFits(t *testing.T) {
	at := func(dir string, second int64) *recordView {
		return &recordView{recordStart: recordStart{Dir: dir, Started: time.Unix(second, 0)}}
	}
	m := &mountinfo.Info{Mountpoint: "/mnt"}
	for _, tc := range []struct {
		name     string
		v, other *recordView
	}{
		{"the directory, begun later", at("/mnt", 2), at("/other", 1)},
		{"the directory, begun earlier", at("/mnt", 1), at("/other", 2)},
		{"both elsewhere", at("/other", 2), at("/third", 1)},
		{"both there", at("/mnt", 2), at("/mnt", 1)},
	} {
		if !tc.v.fits(m, tc.other) || tc.other.fits(m, tc.v) {
			t.Errorf("%s: it is not preferred", tc.name)
		}
	}
}

// Whatever lies in the directory, no record comes of it, and what is nobody's goes.
func TestHostileRecords(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, text := range map[string]string{
		"mount-empty.json": "", "mount-text.json": "hello\n", "mount-half.json": `{"pid":`, "mount-zeros.json": strings.Repeat("\x00", 5000),
	} {
		if _, err := openRecord(write(name, text)); err == nil {
			t.Errorf("%s is taken for a record", name)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "mount-fifo.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := write("other.json", "not ours")
	if err := os.Symlink(other, filepath.Join(dir, "mount-link.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := openRecord(filepath.Join(dir, "mount-link.json")); err == nil {
		t.Error("a symbolic link is followed")
	}
	removeStaleRecords(dir)
	if _, err := os.Stat(other); err != nil {
		t.Error("a file that is not ours was removed")
	}
	if _, err := os.Stat(filepath.Join(dir, "mount-text.json")); err == nil {
		t.Error("a record that is none was left")
	}
}

func TestRuntimeDirs(t *testing.T) {
	t.Setenv("TMPDIR", "/tmp")
	got := strings.Join(runtimeDirs(1000, "/run/user/1000"), " ")
	if !strings.HasPrefix(got, "/run/user/1000/fatvol ") || !strings.HasSuffix(got, " /tmp/fatvol-1000") {
		t.Errorf("a user's: %s", got)
	}
	if got := strings.Join(runtimeDirs(1000, "relative"), " "); strings.Contains(got, "relative") {
		t.Errorf("a relative XDG_RUNTIME_DIR counts: %s", got)
	}
	if got := runtimeDirs(0, "/run/user/1000")[0]; !strings.HasSuffix(got, "/run/fatvol") {
		t.Errorf("root's: %s", got)
	}
}

func TestOuterID(t *testing.T) {
	const whole, one, some = "         0          0 4294967295\n", "         0       1000          1\n", "0 1000 1\n1 100000 65536\n"
	for _, tc := range []struct {
		uidMap    string
		uid, want int
	}{{whole, 0, 0}, {whole, 1000, 1000}, {one, 0, 1000}, {one, 5, 5}, {some, 1, 100000}, {some, 65536, 165535}, {"", 7, 7}, {"x y z", 7, 7}} {
		if got := outerID(tc.uidMap, tc.uid); got != tc.want {
			t.Errorf("%q: %d is %d, want %d", tc.uidMap, tc.uid, got, tc.want)
		}
	}
}

func TestCheckOwner(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := checkOwner(dir, os.Getuid()); err != nil {
		t.Error(err)
	}
	if checkOwner(dir, os.Getuid()+1) == nil {
		t.Error("another user's directory is trusted")
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if checkOwner(dir, os.Getuid()) == nil {
		t.Error("a directory that everybody may write to is trusted")
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if checkOwner(link, os.Getuid()) == nil {
		t.Error("a symbolic link is trusted")
	}
}
