//go:build linux

package main

import (
	"os"
	"os/exec"
	"time"
)

// A system is a file system, or what stands for one, that takes part.
type system struct {
	name  string
	title string
	image bool // its store is an image with a FAT volume, not a directory
	// start serves a store on a directory. nil: the store itself is used.
	start func(b *bench, store, dir string) (*server, error)
	// peer: somebody else's, and slow. It runs once, for as long as -patience says.
	peer bool
	// needs are programs without which it cannot take part.
	needs []string
	// onDemand: only when it is named.
	onDemand bool
}

const (
	fatvolName = "fatvol"
	npName     = "np"
	vfatName   = "vfat"
)

var systems = []*system{
	{name: fatvolName, title: "fatvol", image: true, start: fatvol()},
	{name: "writeback", title: "fatvol -o writeback", image: true, start: fatvol("writeback")},
	{name: "normal", title: "fatvol -o wakeup=normal", image: true, start: fatvol("wakeup=normal"), onDemand: true},
	{name: npName, title: "loopback np", start: loopback},
	{name: "direct", title: "plain directory"},
	{name: "fusefat", title: "fusefat", image: true, peer: true, start: fusefat, needs: []string{"fusefat"}},
	{name: "mtools", title: "mtools", image: true, peer: true, needs: []string{"mcopy", "mdir", "mdel"}},
	{name: vfatName, title: "the kernel's vfat on a loop device", image: true, start: vfat, onDemand: true},
	{name: "guestmount", title: "guestmount", image: true, peer: true, start: guestmount, needs: []string{"guestmount"}, onDemand: true},
}

// lacks returns a program that the system needs and that is not installed, or "".
func (s *system) lacks() string {
	for _, p := range s.needs {
		if _, err := exec.LookPath(p); err != nil {
			return p
		}
	}
	return ""
}

// fatvol serves with the program under test, with the given mount options.
func fatvol(options ...string) func(b *bench, store, dir string) (*server, error) {
	return func(b *bench, store, dir string) (*server, error) {
		args := []string{"mount", "-f"}
		for _, o := range options {
			args = append(args, "-o", o)
		}
		cmd := exec.Command(b.fatvol, append(args, store, dir)...)
		return startNotifying(b, cmd, dir)
	}
}

func loopback(b *bench, store, dir string) (*server, error) {
	return startSaying(exec.Command(b.loopback, store, dir), "mounted\n", dir)
}

func fusefat(b *bench, store, dir string) (*server, error) {
	return startMounting(exec.Command("fusefat", "-f", "-o", "rw+", store, dir), dir)
}

// vfat has the kernel itself serve: there is no process.
func vfat(_ *bench, store, dir string) (*server, error) {
	began := time.Now()
	if err := runQuiet(exec.Command("mount", "-t", "vfat", "-o", "loop", store, dir)); err != nil {
		return nil, err
	}
	return &server{dir: dir, ready: time.Since(began)}, nil
}

func guestmount(b *bench, store, dir string) (*server, error) {
	cmd := exec.Command("guestmount", "-a", store, "-m", "/dev/sda", "--rw", "--no-fork", dir)
	cmd.Env = append(os.Environ(), "LIBGUESTFS_BACKEND=direct")
	return startMounting(cmd, dir)
}
