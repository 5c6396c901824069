package integration

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestNotifyOddNames: paths with ends of lines in them tell the service manager nothing but the status.
func TestNotifyOddNames(t *testing.T) {
	needFUSE(t)
	img := mkfsFAT(t, 4<<20)
	odd := filepath.Join(filepath.Dir(img), "a\nMAINPID=1\xff.img")
	dir := filepath.Join(newDir(t), "b\nERRNO=5")
	if err := os.Rename(img, odd); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	place, err := os.MkdirTemp(scratch, "notify") // the path of a socket is limited to some hundred bytes
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(place, "s")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	cmd := exec.Command(binary(t), "mount", "-f", odd, dir)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	noteMount(dir, cmd.Process.Pid)
	defer freeMount(dir)
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	if err := manager.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, 4096)
	n, err := manager.Read(message)
	if err != nil {
		t.Fatal(err)
	}
	want := "READY=1\nSTATUS=" + `"` + filepath.Dir(odd) + `/a\nMAINPID=1\xff.img" on "` + filepath.Dir(dir) + `/b\nERRNO=5"`
	if got := string(message[:n]); got != want {
		t.Errorf("told the manager %q, expected %q", got, want)
	}
}
