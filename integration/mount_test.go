package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for the program under test.
const patience = 60 * time.Second

// lacks skips the test, as something is missing that it needs; in CI, where everything is there, it fails.
func lacks(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// need skips the test unless all the programs are installed.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			lacks(t, "needs %s, which is not installed (.ci/install-deps installs it)", p)
		}
	}
}

// loopDevice is the path of a loop device of the file, until the test ends.
func loopDevice(t testing.TB, path string) string {
	t.Helper()
	need(t, "losetup")
	out, err := exec.Command("losetup", "--find", "--show", path).Output()
	if err != nil {
		lacks(t, "needs a loop device: %v", err)
	}
	loop := strings.TrimSpace(string(out))
	t.Cleanup(func() { run(t, "losetup", "-d", loop) })
	return loop
}

// needFUSE skips the test where nothing can be mounted.
func needFUSE(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		lacks(t, "needs /dev/fuse: %v", err)
	}
	f.Close()
	if os.Geteuid() != 0 {
		need(t, "fusermount3")
	}
}

// needRoot skips the test unless it runs as root.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		lacks(t, "needs root")
	}
}

// run runs a program and returns what it prints on both streams. An exit code other than 0 is fatal.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, code := runCode(t, name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s", name, strings.Join(args, " "), code, out)
	}
	return out
}

// runCode runs a program and returns what it prints on both streams, and its exit code.
func runCode(t testing.TB, name string, args ...string) (out string, code int) {
	t.Helper()
	return runCmd(t, exec.Command(name, args...))
}

func runCmd(t testing.TB, cmd *exec.Cmd) (out string, code int) {
	t.Helper()
	var buf bytes.Buffer
	cmd.Stdout, cmd.Stderr = &buf, &buf
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	overdue := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !overdue.Stop() {
		t.Fatalf("%s: not done after %v\n%s", strings.Join(cmd.Args, " "), patience, buf.Bytes())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", strings.Join(cmd.Args, " "), err)
	}
	return buf.String(), cmd.ProcessState.ExitCode()
}

// mkfsFAT makes an image of size bytes in a directory of its own and formats it with mkfs.fat.
// The arguments are mkfs.fat's: mkfsFAT(t, 64<<20, "-F", "32", "-S", "4096").
func mkfsFAT(t testing.TB, size int64, args ...string) (img string) {
	t.Helper()
	need(t, "mkfs.fat")
	img = filepath.Join(t.TempDir(), "volume.img")
	if err := os.WriteFile(img, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, size); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.fat", append(args, img)...)
	return img
}

// widths are volumes of each FAT width, in mkfs.fat's terms. The roots that cannot grow hold 1024
// slots: 110 files with long names are too many for the usual 512.
var widths = []struct {
	name string
	size int64
	args []string
}{
	{"FAT12", 16 << 20, []string{"-F", "12", "-s", "16", "-r", "1024"}},
	{"FAT16", 64 << 20, []string{"-F", "16", "-s", "4", "-r", "1024"}},
	{"FAT32", 64 << 20, []string{"-F", "32", "-s", "1"}},
}

// server is a fatvol process in the foreground and the mount that it serves.
type server struct {
	cmd  *exec.Cmd
	log  *bytes.Buffer // standard error; to be read once done is closed
	done chan struct{} // closed when the process has ended
	race string        // prefix of the race detector's reports
}

var servers = map[string]*server{} // by mount point; guarded by mounts.Mutex

// mountImage mounts img with fatvol on a directory of its own and returns that. Each of opts is a
// mount option as after -o: mountImage(t, img, "ro", "umask=022"). The test's end unmounts, waits
// for the serving process, and fails the test if that had anything to complain about.
func mountImage(t testing.TB, img string, opts ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "mnt")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	mountAt(t, img, dir, opts...)
	return dir
}

// mountAt is mountImage on a directory that exists.
func mountAt(t testing.TB, img, dir string, opts ...string) {
	t.Helper()
	s, err := startServer(t, img, dir, opts...)
	if err != nil {
		t.Fatal(err)
	}
	mounts.Lock()
	servers[dir] = s
	mounts.Unlock()
	t.Cleanup(func() {
		mounts.Lock()
		_, mounted := servers[dir]
		mounts.Unlock()
		if mounted {
			umount(t, dir)
		}
		if t.Failed() && s.log.Len() > 0 {
			t.Logf("log of the mount on %s:\n%s", dir, s.log)
		}
	})
}

// startServer starts `fatvol mount -f` and returns once it has said that the mount is ready, or
// with the error that it printed.
func startServer(t testing.TB, img, dir string, opts ...string) (*server, error) {
	t.Helper()
	needFUSE(t)
	// The path of a Unix socket is limited to some hundred bytes, so it cannot be in t.TempDir.
	tmp, err := os.MkdirTemp(scratch, "notify")
	if err != nil {
		return nil, err
	}
	addr := &net.UnixAddr{Name: filepath.Join(tmp, "s"), Net: "unixgram"}
	notify, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		return nil, err
	}
	defer notify.Close()

	args := []string{"mount", "-f"}
	if len(opts) > 0 {
		args = append(args, "-o", strings.Join(opts, ","))
	}
	s := &server{log: &bytes.Buffer{}, done: make(chan struct{}), race: filepath.Join(tmp, "race")}
	s.cmd = exec.Command(binary(t), append(args, img, dir)...)
	s.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+addr.Name, "GORACE=log_path="+s.race)
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	noteMount(dir, s.cmd.Process.Pid)
	go func() {
		s.cmd.Wait()
		notify.SetReadDeadline(time.Unix(1, 0))
		close(s.done)
	}()
	notify.SetReadDeadline(time.Now().Add(patience))
	for buf := make([]byte, 4096); ; {
		n, err := notify.Read(buf)
		if err != nil {
			s.cmd.Process.Kill()
			<-s.done
			freeMount(dir)
			return nil, fmt.Errorf("fatvol %s: %w before the mount was ready (%v): %s",
				strings.Join(s.cmd.Args[1:], " "), err, s.cmd.ProcessState, s.log)
		}
		if strings.Contains("\n"+string(buf[:n])+"\n", "\nREADY=1\n") {
			return s, nil
		}
	}
}

// freeMount detaches whatever is left on dir.
func freeMount(dir string) {
	forgetMount(dir)
	if exec.Command("umount", "-l", dir).Run() != nil {
		exec.Command("fusermount3", "-uz", dir).Run()
	}
}

// umount unmounts dir with `fatvol umount` and waits for the process that served it. Both must
// succeed.
func umount(t testing.TB, dir string) {
	t.Helper()
	mounts.Lock()
	s := servers[dir]
	delete(servers, dir)
	mounts.Unlock()
	if s != nil {
		// Where the unmount hangs, the reason is in the goroutines of who serves the mount.
		stuck := time.AfterFunc(patience-patience/6, func() {
			s.cmd.Process.Signal(syscall.SIGQUIT)
			<-s.done
			fmt.Fprintf(os.Stderr, "integration: the unmount of %s hangs; the process that serves it:\n%s\n", dir, s.log)
		})
		defer stuck.Stop()
	}
	out, code := runCode(t, binary(t), "umount", dir)
	if code != 0 {
		t.Errorf("fatvol umount %s: exit code %d: %s", dir, code, out)
		abortConnection(dir)
		freeMount(dir)
	}
	forgetMount(dir)
	if s != nil {
		s.wait(t, dir)
	}
}

// wait waits for the end of a serving process whose mount is gone.
func (s *server) wait(t testing.TB, dir string) {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		s.cmd.Process.Signal(syscall.SIGQUIT) // prints its goroutines
		<-s.done
		t.Errorf("the process that served %s did not end %v after the unmount:\n%s", dir, patience, s.log)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the process that served %s ended with exit code %d:\n%s", dir, code, s.log)
	}
	reports, _ := filepath.Glob(s.race + ".*")
	for _, name := range reports {
		report, _ := os.ReadFile(name)
		t.Errorf("data race in the process that served %s:\n%s", dir, report)
	}
}

// abortConnection makes every request that waits on the mount at dir fail, where that is allowed.
// It does not touch the mount itself, which may hang.
func abortConnection(dir string) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(info)) {
		f := strings.Fields(line)
		if len(f) < 5 || f[4] != dir {
			continue
		}
		if _, minor, ok := strings.Cut(f[2], ":"); ok {
			os.WriteFile("/sys/fs/fuse/connections/"+minor+"/abort", []byte("1"), 0)
		}
	}
}

var fsckSummary = regexp.MustCompile(`: \d+ files, \d+/\d+ clusters$`)

// fsck checks the volume at the byte offset (0 unless given) of img with fsck.fat -n. Anything
// that fsck.fat says beyond its version and its summary is fatal.
func fsck(t testing.TB, img string, offset ...int64) {
	t.Helper()
	if out := fsckOutput(t, img, offset...); out != "" {
		t.Fatalf("fsck.fat -n %s:\n%s", img, out)
	}
}

// fsckOutput is fsck for tests that expect findings: it returns what fsck.fat says, and "" when
// the volume is clean.
func fsckOutput(t testing.TB, img string, offset ...int64) string {
	t.Helper()
	need(t, "fsck.fat")
	if len(offset) > 0 && offset[0] != 0 {
		img = extract(t, img, offset[0])
	}
	out, code := runCode(t, "fsck.fat", "-n", img)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code == 0 && len(lines) == 2 && strings.HasPrefix(lines[0], "fsck.fat ") && fsckSummary.MatchString(lines[1]) {
		return ""
	}
	return fmt.Sprintf("exit code %d\n%s", code, out)
}

// extract copies img from the offset on into a sparse file of its own.
func extract(t testing.TB, img string, offset int64) string {
	t.Helper()
	src, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	size, err := src.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	dst, err := os.Create(filepath.Join(t.TempDir(), "part-"+strconv.FormatInt(offset, 10)+".img"))
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	if err := dst.Truncate(size - offset); err != nil {
		t.Fatal(err)
	}
	if err := copySparse(dst, src, offset, size); err != nil {
		t.Fatal(err)
	}
	return dst.Name()
}

// copySparse copies src from the offset to size to the start of dst, leaving out holes.
func copySparse(dst io.WriterAt, src *os.File, offset, size int64) error {
	const seekData, seekHole = 3, 4
	for at := offset; at < size; {
		start, err := src.Seek(at, seekData)
		if errors.Is(err, syscall.ENXIO) {
			return nil // only a hole is left
		}
		if err != nil {
			return err
		}
		end, err := src.Seek(start, seekHole)
		if err != nil {
			return err
		}
		at = end
		if _, err := io.Copy(io.NewOffsetWriter(dst, start-offset), io.NewSectionReader(src, start, end-start)); err != nil {
			return err
		}
	}
	return nil
}
