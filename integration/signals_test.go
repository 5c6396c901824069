package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// endServer waits for the end of a server whose mount has gone by other means than umount().
func endServer(t testing.TB, dir string) {
	t.Helper()
	mounts.Lock()
	s := servers[dir]
	delete(servers, dir)
	mounts.Unlock()
	s.wait(t, dir)
	forgetMount(dir)
}

func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			img := mkfsFAT(t, 4<<20)
			dir := mountImage(t, img)
			if err := os.WriteFile(filepath.Join(dir, "a"), bytes.Repeat([]byte("x"), 1<<20), 0o644); err != nil {
				t.Fatal(err)
			}
			servers[dir].cmd.Process.Signal(sig)
			endServer(t, dir)
			if mountTable(t, dir) != "" {
				t.Error("still mounted")
			}
			fsck(t, img)
		})
	}
}

func TestSignalsWhileBusy(t *testing.T) {
	img := mkfsFAT(t, 4<<20)
	dir := mountImage(t, img)
	s := servers[dir]
	f, err := os.Create(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("not lost"); err != nil {
		t.Fatal(err)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	// The refusal is followed by a sync, which shows on the host.
	awaitTrue(t, "the file on the host", func() bool {
		out, _ := runCode(t, "mtype", "-i", img, "::a")
		return out == "not lost"
	})
	if mountTable(t, dir) == "" {
		t.Error("a busy mount was taken away")
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	awaitTrue(t, "detached", func() bool { return mountTable(t, dir) == "" })
	if _, err := f.WriteString(" at all"); err != nil {
		t.Error(err)
	}
	f.Close()
	endServer(t, dir)
	fsck(t, img)
	if out := run(t, "mtype", "-i", img, "::a"); out != "not lost at all" {
		t.Errorf("%q", out)
	}
	if !strings.Contains(s.log.String(), fmt.Sprintf("PID %d", os.Getpid())) {
		t.Errorf("the log does not say who held the mount:\n%s", s.log)
	}
}

func TestHangUpInBackground(t *testing.T) {
	needFUSE(t)
	img, dir := mkfsFAT(t, 4<<20), newDir(t)
	run(t, binary(t), "mount", img, dir)
	pid := servedBy(t, dir)
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, err := os.ReadDir(dir); err != nil {
			t.Fatalf("after a hang-up: %v", err)
		}
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitDeath(t, pid)
	fsck(t, img)
}

func TestServerKilled(t *testing.T) {
	needFUSE(t)
	img, dir := mkfsFAT(t, 4<<20), newDir(t)
	run(t, binary(t), "mount", img, dir)
	pid := servedBy(t, dir)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitDeath(t, pid)
	if _, err := os.Stat(dir); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("stat of a dead mount: %v", err)
	}
	other := mkfsFAT(t, 4<<20)
	if out, code := runCode(t, binary(t), "mount", other, dir); code != 32 || !strings.Contains(out, "fatvol umount "+dir) {
		t.Errorf("mount over a dead mount: exit code %d, says %q", code, out)
	}
	out, code := runCode(t, binary(t), "umount", dir)
	if code != 32 || !strings.Contains(out, "died") || !strings.Contains(out, strconv.Itoa(pid)) || !strings.Contains(out, "fatvol check") {
		t.Errorf("exit code %d, says %q", code, out)
	}
	if mountTable(t, dir) != "" {
		t.Error("the dead mount is still there")
	}
	// The directory and the image are free again.
	run(t, binary(t), "mount", img, dir)
	run(t, binary(t), "umount", dir)
}
