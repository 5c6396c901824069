package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestProgressBar draws on a terminal of its own.
func TestProgressBar(t *testing.T) {
	master, terminal := newTerminal(t)
	p := startProgress(terminal, "create disk.img", 100<<20)
	p.add(25 << 20)
	seen := ""
	buf := make([]byte, 4096)
	for !strings.Contains(seen, "25%") || !strings.Contains(seen, "MiB/s") {
		n, err := master.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
		seen += string(buf[:n])
	}
	p.close()
	if !strings.Contains(seen, "create disk.img") || !strings.Contains(seen, "100 MiB") {
		t.Errorf("%q", seen)
	}
}

// newTerminal is a pseudo-terminal of 100 columns; what is written to it can be read from its master.
func newTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	t.Setenv("TERM", "xterm")
	terminal, err = openPeer(master)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100}); err != nil {
		t.Fatal(err)
	}
	return master, terminal
}

// openPeer opens the terminal that belongs to the master of a pseudo-terminal.
func openPeer(master *os.File) (*os.File, error) {
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	n, err := unix.IoctlGetUint32(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, err
	}
	return os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
}
