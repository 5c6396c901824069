package fattest

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// containedTime is more than enough for what Contained runs, and for what it has started to end.
const containedTime = time.Minute

// Contained runs what uses something that nobody vouches for. It fails the test if that allocates more than so
// many bytes in all, leaves goroutines or file descriptors behind, or does not end. Nothing else may run meanwhile.
func Contained(t testing.TB, memory uint64, fn func()) {
	t.Helper()
	stuck := time.AfterFunc(containedTime, func() { panic("what a test runs does not end:\n" + stacks()) })
	defer stuck.Stop()
	startPoller(t)
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > memory {
		t.Errorf("%d MiB allocated", n>>20)
	}
	for end := time.Now().Add(containedTime / 2); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines before, %d after:\n%s", goroutines, runtime.NumGoroutine(), stacks())
		}
	}
	if left := descriptors(t); len(left) > len(files) {
		for fd, file := range files {
			if left[fd] == file {
				delete(left, fd)
			}
		}
		t.Errorf("files that are still open, by descriptor: %v", left)
	}
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// startPoller has the runtime open what it keeps open from the first pipe on.
func startPoller(t testing.TB) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
}

// descriptors are this process's, with the files that they lead to where the system says so.
func descriptors(t testing.TB) map[string]string {
	t.Helper()
	dir, err := os.Open("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	names, err := dir.Readdirnames(-1)
	own := fmt.Sprint(dir.Fd())
	dir.Close()
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]string{}
	for _, name := range names {
		if name != own {
			open[name], _ = os.Readlink("/dev/fd/" + name)
		}
	}
	return open
}
