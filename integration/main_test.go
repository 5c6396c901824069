package integration

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// scratch is a directory of this run; the binary and the runtime records of its mounts are in it.
var scratch string

func TestMain(m *testing.M) {
	if os.Getenv(hostVariable) != "" {
		os.Exit(serveHost())
	}
	if os.Getenv(losingVariable) != "" {
		os.Exit(serveLosing())
	}
	if os.Getenv(recordingVariable) != "" {
		os.Exit(serveRecording())
	}
	flag.Parse()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "fatvol-integration-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	scratch = dir
	// Tests that mount as another user run the binary from here.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	heedSignals()

	stop := startWatchdog()
	code := m.Run()
	stop()
	if left := freeMounts(); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "integration: tests left these mounts behind: %s\n", strings.Join(left, ", "))
		code = max(code, 1)
	}
	return code
}

// heedSignals has commands that are tested begin with no signal ignored, as this process may: where a script runs it in
// the background, interrupts, and under nohup, hang-ups. What a process catches, its children do not ignore.
func heedSignals() {
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGHUP} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
}

var buildOnce struct {
	sync.Once
	path string
	err  error
}

// binary returns the path of the fatvol binary, which the first call builds. Where the tests run
// under the race detector, so does the binary.
func binary(t testing.TB) string {
	t.Helper()
	b := &buildOnce
	b.Do(func() {
		b.path = filepath.Join(scratch, "fatvol")
		args := []string{"build", "-o", b.path}
		if raceEnabled {
			args = append(args, "-race")
		}
		out, err := exec.Command("go", append(args, "fatvol/cmd/fatvol")...).CombinedOutput()
		if err != nil {
			b.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

// mounts are the mounts that are there now: the directory, and the process that serves it (0 where
// a test mounts in the background). The watchdog and the end of the run free what is left.
var mounts struct {
	sync.Mutex
	byDir map[string]int
}

func noteMount(dir string, pid int) {
	mounts.Lock()
	defer mounts.Unlock()
	if mounts.byDir == nil {
		mounts.byDir = map[string]int{}
	}
	mounts.byDir[dir] = pid
}

func forgetMount(dir string) {
	mounts.Lock()
	defer mounts.Unlock()
	delete(mounts.byDir, dir)
}

// freeMounts aborts and detaches every mount that is noted and says which those were. Ending the
// serving process fails all requests that wait for it, so that nobody stays in the D state.
func freeMounts() []string {
	mounts.Lock()
	defer mounts.Unlock()
	var dirs []string
	for dir, pid := range mounts.byDir {
		dirs = append(dirs, dir)
		abortConnection(dir)
		if pid > 0 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if exec.Command("umount", "-l", dir).Run() != nil {
			exec.Command("fusermount3", "-uz", dir).Run()
		}
		delete(mounts.byDir, dir)
	}
	return dirs
}

// startWatchdog frees all mounts shortly before go test's own timeout would end this process with
// the mounts still there. It prints every goroutine, so that the test that hangs can be seen.
func startWatchdog() (stop func()) {
	f := flag.Lookup("test.timeout")
	if f == nil {
		return func() {}
	}
	limit, err := time.ParseDuration(f.Value.String())
	if err != nil || limit == 0 {
		return func() {}
	}
	timer := time.AfterFunc(limit-min(limit/10, 20*time.Second), func() {
		stacks := make([]byte, 4<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		fmt.Fprintf(os.Stderr, "integration: close to the timeout of %v; freeing the mounts %s\n%s\n",
			limit, strings.Join(freeMounts(), ", "), stacks)
		os.RemoveAll(scratch)
		os.Exit(1)
	})
	return func() { timer.Stop() }
}
