package integration

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What a hang-up does to commands: they end in good order, however often it comes, as it does from both the kernel and
// the shell when a terminal goes; and those that were started to outlive it go on.

// underNohup is the command line that starts fatvol as nohup(1) does.
func underNohup(t testing.TB, args ...string) []string {
	t.Helper()
	return append([]string{"sh", "-c", `trap "" HUP; exec "$@"`, "sh", binary(t)}, args...)
}

func TestHangUpOfCommands(t *testing.T) {
	img, _ := piecemeal(t, "16M", "-F", "16")
	base, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	h := startHost(t, hostVariable, img)
	mnt, out := newDir(t), t.TempDir()
	for _, tc := range []struct {
		name string
		args []string
		says string
	}{
		{"create", []string{"create", filepath.Join(out, "new.img"), "--quiet", "--size", "32M", "--from", filepath.Dir(h.img)}, "interrupted: nothing is left of it"},
		{"cp", []string{"cp", "--quiet", h.img + ":/sub/A big file in pieces.bin", out}, "interrupted: what was done until then is whole"},
		{"defrag", []string{"defrag", "--quiet", "--pack", h.img}, "stopped; the volume is whole"},
		{"mount", []string{"mount", h.img, mnt}, "interrupted"},
	} {
		restore := func() {
			t.Helper()
			if mountTable(t, mnt) != "" {
				run(t, binary(t), "umount", mnt)
			}
			if err := os.WriteFile(img, base, 0o644); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(out)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if err := os.Remove(filepath.Join(out, e.Name())); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Run(tc.name, func(t *testing.T) {
			restore()
			said, code, held := signalled(t, h, 1, syscall.SIGHUP, exec.Command(binary(t), tc.args...))
			if !held || code != 8 || !strings.Contains(said, tc.says) || strings.Count(said, "\n") != 1 {
				t.Errorf("exit code %d, held %v, says %q", code, held, said)
			}
			if left, err := os.ReadDir(out); err != nil || len(left) > 0 || mountTable(t, mnt) != "" {
				t.Errorf("left behind: %v, %v, %q", left, err, mountTable(t, mnt))
			}
			restore()
			argv := underNohup(t, tc.args...)
			if said, code, held = signalled(t, h, 1, syscall.SIGHUP, exec.Command(argv[0], argv[1:]...)); !held || code != 0 {
				t.Errorf("under nohup: exit code %d, held %v, says %q", code, held, said)
			}
			restore()
		})
	}
}

// TestHangUpInForeground: a mount that was started to outlive it is there until another signal.
func TestHangUpInForeground(t *testing.T) {
	needFUSE(t)
	img, dir := mkfsFAT(t, 4<<20), newDir(t)
	argv := underNohup(t, "mount", "-fv", img, dir)
	cmd := exec.Command(argv[0], argv[1:]...)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	noteMount(dir, cmd.Process.Pid)
	defer forgetMount(dir)
	awaitTrue(t, "mounted", func() bool { return mountTable(t, dir) != "" })
	// The first of them that it heeds unmounts.
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil || strings.Contains(log.String(), "hangup") || !strings.Contains(log.String(), "terminated") {
		t.Errorf("%v\n%s", err, log.String())
	}
	fsck(t, img)
}

// TestHangUpWhileWatching: status --watch ends, or sees the next mount.
func TestHangUpWhileWatching(t *testing.T) {
	dir := mountImage(t, mkfsFAT(t, 4<<20))
	watching := newLines(t, binary(t), "status", "--watch")
	watching.expect(dir)
	watching.hangUp()
	if err := watching.cmd.Wait(); err != nil {
		t.Error(err)
	}
	argv := underNohup(t, "status", "--watch")
	watching = newLines(t, argv[0], argv[1:]...)
	watching.expect(dir)
	watching.hangUp()
	watching.expect(mountImage(t, mkfsFAT(t, 4<<20)))
}

func (l *lines) hangUp() {
	l.t.Helper()
	if err := l.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		l.t.Fatal(err)
	}
}

// TestHangUpWhileUnmounting: umount says that it has not waited until the image is complete.
func TestHangUpWhileUnmounting(t *testing.T) {
	h, dir := newHost(t), newDir(t)
	run(t, binary(t), "mount", h.img, dir)
	pid := servedBy(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.hang(1)
	said := newLines(t, "sh", "-c", `exec "$@" 2>&1`, "sh", binary(t), "umount", dir)
	said.expect("waiting for PID")
	said.hangUp()
	said.expect("interrupted: unmounted, but PID .* has not finished")
	_ = said.cmd.Wait() // its state has the exit code
	if code := said.cmd.ProcessState.ExitCode(); code != 8 {
		t.Errorf("exit code %d", code)
	}
	h.heal()
	awaitDeath(t, pid)
	fsck(t, h.backing)
}
