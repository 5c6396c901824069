//go:build linux

package vm

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"fatvol/integration/vm/guestapi"
)

// scratch is a directory of this run, with a short path.
var scratch string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "fatvol-vm-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	scratch = dir
	defer os.RemoveAll(dir)
	defer func() {
		if the.machine != nil {
			the.machine.end()
		}
	}()
	return m.Run()
}

// the is the machine that the tests share, one after the other.
var the struct{ machine *machine }

// shared returns the machine that the tests share, freshly cleaned up. A test that uses it must not
// be parallel to another one.
func shared(t *testing.T) *VM {
	t.Helper()
	if the.machine != nil && the.machine.wreck.Load() != nil {
		the.machine.end()
		the.machine = nil
	}
	if the.machine == nil {
		the.machine = bootFor(t)
	}
	the.machine.killer.Reset(lifetime)
	v := &VM{machine: the.machine, t: t}
	t.Cleanup(func() {
		v.tell()
		v.cleanUp()
	})
	return v
}

// cleanUp leaves the machine as it was after the boot: no workers, no mounts, no sticks. A machine
// where that does not work is a wreck.
func (v *VM) cleanUp() {
	if v.wreck.Load() != nil {
		return
	}
	err := v.call("KillWork", guestapi.None{}, &guestapi.None{})
	var dirs []string
	if err == nil {
		err = v.call("Mounts", guestapi.None{}, &dirs)
	}
	for _, dir := range dirs {
		if err == nil {
			err = v.call("Detach", dir, &guestapi.None{})
		}
	}
	for _, s := range slices.Clone(v.sticks) {
		if err == nil {
			_, _, err = v.detach(s)
		}
	}
	var exit guestapi.Exit
	if err == nil {
		err = v.call("Run", guestapi.Command{Args: []string{"sh", "-c", "killall -q fatvol nfsserver; losetup -D; rm -rf /tmp/* /mnt/* /media/* /var/lib/fatvol"}}, &exit)
	}
	if err != nil {
		v.t.Errorf("the virtual machine could not be cleaned up, the next test boots another: %v", err)
		_ = v.wrecked(err)
	}
}

// builds are the binaries for the guest, which have to be static.
var builds struct {
	sync.Mutex
	paths map[string]string
}

// goBinary builds a program for the guest.
func goBinary(t testing.TB, pkg string) (path string) {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	if path, ok := builds.paths[pkg]; ok {
		return path
	}
	path = filepath.Join(scratch, filepath.Base(pkg))
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	if builds.paths == nil {
		builds.paths = map[string]string{}
	}
	builds.paths[pkg] = path
	return path
}
