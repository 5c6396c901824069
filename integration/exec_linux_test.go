package integration

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// execImage is an image that everybody may write to, in a directory that everybody may enter.
func execImage(t *testing.T) string {
	t.Helper()
	needFUSE(t)
	img := mkfsFAT(t, 16<<20, "-n", "EXEC")
	if err := os.Chmod(img, 0o666); err != nil {
		t.Fatal(err)
	}
	for d := filepath.Dir(img); d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

// withoutRights is a command line as an ordinary user without any capability.
func withoutRights(t *testing.T, args ...string) []string {
	t.Helper()
	needRoot(t)
	need(t, "setpriv")
	return append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--"}, args...)
}

// containerRoot is a command line as root with these capabilities only.
func containerRoot(capabilities string) []string {
	return []string{"setpriv", "--inh-caps=-all", "--bounding-set=-all," + capabilities, "--"}
}

// TestExecCommand: where it works, what the command sees, and what is returned.
func TestExecCommand(t *testing.T) {
	img := execImage(t)
	prog := binary(t)
	places := filepath.Join(filepath.Dir(img), "tmp")
	if err := os.Mkdir(places, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(places, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", places)
	plain := filepath.Join(filepath.Dir(img), "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	as := map[string][]string{"whoever runs the tests": nil}
	if os.Geteuid() == 0 {
		need(t, "setpriv", "unshare")
		as["an ordinary user"] = withoutRights(t)
		as["root of a user name space"] = []string{"unshare", "--user", "--map-root-user", "--"}
		as["root of a user and mount name space"] = []string{"unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "--"}
		as["root of a container"] = containerRoot("+setfcap,+dac_override,+setuid,+setgid")
	}
	for who, prefix := range as {
		t.Run(who, func(t *testing.T) {
			for _, c := range []struct {
				command []string
				code    int
				want    string
			}{
				{[]string{"sh", "-c", `test "$FATVOL_MNT" = {} && id > {}/id && cat /proc/self/mounts`}, 0, "fuse.fatvol"},
				{[]string{"grep", "CapAmb", "/proc/self/status"}, 0, "CapAmb:\t0000000000000000"},
				{[]string{"cp", "/bin/true", "{}/true"}, 0, ""},
				{[]string{"{}/true"}, 0, ""},
				{[]string{"false"}, 1, ""},
				{[]string{"sh", "-c", "exit 42"}, 42, ""},
				{[]string{"sh", "-c", "kill -KILL $$"}, 137, ""},
				{[]string{"no-such-command"}, 127, "fatvol: exec: no-such-command: command not found\n"},
				{[]string{"{}/nothing"}, 127, "no such command"},
				{[]string{plain}, 126, "fatvol: exec: " + plain + ": cannot be run: permission denied\n"},
				{[]string{"rm", "{}/true", "{}/id"}, 0, ""},
			} {
				args := append(append(append([]string{}, prefix...), prog, "exec", img, "--"), c.command...)
				out, code := runCode(t, args[0], args[1:]...)
				if code != c.code || !strings.Contains(out, c.want) {
					t.Errorf("%q: exit code %d, expected %d\n%sexpected %s", c.command, code, c.code, out, c.want)
				}
			}
			run(t, "fsck.fat", "-n", img)
		})
	}
	if left, _ := filepath.Glob(filepath.Join(places, "fatvol-exec-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestExecRefusals: each says what is missing, and runs nothing.
func TestExecRefusals(t *testing.T) {
	img := execImage(t)
	needRoot(t)
	need(t, "unshare", "setpriv", "mount")
	prog := binary(t)
	// Each in name spaces of its own, in which something is taken away. $1 is the image.
	apart := []string{"unshare", "--mount", "--propagation", "private"}
	inUserNS := append(apart, "--user", "--map-root-user")
	nobody := strings.Join(withoutRights(t), " ")
	for what, c := range map[string]struct {
		in            []string
		prepare, user string
		want          string
	}{
		"no image":                    {apart, "set -- $1.none", nobody, "no such image"},
		"no /dev/fuse":                {apart, "mount -t tmpfs none /dev", nobody, "there is no /dev/fuse: load the module (modprobe fuse), or start the container with --device /dev/fuse"},
		"a closed /dev/fuse":          {apart, "mount -t tmpfs none /dev; mknod -m 600 /dev/fuse c 10 229", nobody, "you may not open /dev/fuse"},
		"no name spaces":              {inUserNS, "echo 0 > /proc/sys/user/max_user_namespaces", "setpriv --inh-caps=-all --bounding-set=-all --", "user name spaces are switched off: sysctl user.max_user_namespaces=10000"},
		"a chroot":                    {apart, "mount --rbind / /mnt", "chroot --userspec=65534:65534 /mnt", "a user name space is not permitted here, as in a chroot"},
		"another mount":               {apart, prog + " mount $1 /mnt", nobody, "in use by"},
		"root without any capability": {apart, ":", "setpriv --inh-caps=-all --bounding-set=-all --", "root without the capability CAP_SETFCAP can have no user name space of its own"},
	} {
		t.Run(what, func(t *testing.T) {
			script := c.prepare + "\n" + c.user + " " + prog + " exec $1 -- touch {}/never; code=$?\n" +
				prog + " umount /mnt 2> /dev/null; exit $code"
			out, code := runCode(t, c.in[0], append(c.in[1:], "sh", "-c", script, "sh", img)...)
			if code != 125 || !strings.Contains(out, c.want) || strings.Count(out, "fatvol: exec") != 1 {
				t.Errorf("exit code %d\n%sexpected %s", code, out, c.want)
			}
		})
	}
	if out, code := runCode(t, prog, "ls", img); code != 0 || out != "" {
		t.Errorf("a command was run: %d\n%s", code, out)
	}
}

// TestExecSignals: they reach the command once, and when the caller is killed, the volume is complete.
func TestExecSignals(t *testing.T) {
	img := execImage(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd := exec.Command(binary(t), "exec", img, "--", "sh", "-c",
				`trap 'echo caught; kill $!; exit 3' TERM INT USR1; sleep 100 & echo text > {}/file; echo ready; wait`)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // there is no terminal
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			overdue := time.AfterFunc(patience, func() { cmd.Process.Kill() })
			defer overdue.Stop()
			ready := make([]byte, len("ready\n"))
			if n, err := stdout.Read(ready); err != nil || string(ready[:n]) != "ready\n" {
				t.Fatalf("%q, %v\n%s", ready, err, stderr.String())
			}
			cmd.Process.Signal(sig)
			// The pipe ends when the command and the server do.
			var rest bytes.Buffer
			rest.ReadFrom(stdout)
			cmd.Wait()
			if rest.String() != "caught\n" {
				t.Errorf("the command said %q", rest.String())
			}
			if code := cmd.ProcessState.ExitCode(); sig != syscall.SIGKILL && code != 3 {
				t.Errorf("exit code %d\n%s", code, stderr.String())
			}
			run(t, "fsck.fat", "-n", img)
			if out, code := runCode(t, binary(t), "cat", img+":/file"); code != 0 || out != "text\n" {
				t.Errorf("%d, %q", code, out)
			}
		})
	}
}

// TestExecLeftBehind: what a command leaves behind loses the volume, which is whole, and is told of.
func TestExecLeftBehind(t *testing.T) {
	img := execImage(t)
	out, code := runCode(t, binary(t), "exec", img, "--", "sh", "-c", "cd {}; echo text > file; sleep 30 > /dev/null 2>&1 & exit 0")
	if code != 125 || !strings.Contains(out, "the command left behind what uses the volume") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	run(t, "fsck.fat", "-n", img)
}

// TestExecMediumGone: that the image goes while the command runs is never silent.
func TestExecMediumGone(t *testing.T) {
	img := execImage(t)
	cmd := exec.Command(binary(t), "exec", img, "--", "sh", "-c", "echo text > {}/file; rm "+img+"; echo more > {}/file; sync {}/file; exit 0")
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir())
	out, code := runCmd(t, cmd)
	removeKept(out)
	if code != 125 || !strings.Contains(out, "fatvol: exec "+img+": ") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
