package integration

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// logPath is where the system's logger listens, or a file where it would.
func logPath(t *testing.T) string {
	t.Helper()
	const path = "/dev/log"
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
	return path
}

// A mount in the background logs to the system's logger, which this test stands in for, in a name space
// of its own.
func TestSyslog(t *testing.T) {
	needFUSE(t)
	needRoot(t)
	need(t, "unshare")
	tmp, err := os.MkdirTemp(scratch, "log") // the path of a socket is limited to some hundred bytes
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(tmp, "s")
	logger, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer logger.Close()

	img, dir := mkfsFAT(t, 4<<20), newDir(t)
	const script = `mount --bind "$1" "$2" && "$3" mount -v "$4" "$5" && "$3" umount "$5"`
	if out, code := runCode(t, "unshare", "--mount", "sh", "-c", script, "sh", socket, logPath(t), binary(t), img, dir); code != 0 || out != "" {
		t.Fatalf("exit code %d, says %q", code, out)
	}

	var lines []string
	logger.SetReadDeadline(time.Now().Add(patience))
	for buf := make([]byte, 4096); len(lines) == 0 || !strings.Contains(lines[len(lines)-1], "msg=unmounted"); {
		n, err := logger.Read(buf)
		if err != nil {
			t.Fatalf("%v; so far the logger was told %q", err, lines)
		}
		lines = append(lines, string(buf[:n]))
	}
	// Facility daemon (3), level info (6).
	if first := lines[0]; !strings.HasPrefix(first, "<30>") || !strings.Contains(first, "fatvol[") ||
		!strings.Contains(first, "msg=mounted image="+img+" dir="+dir) {
		t.Errorf("the logger was told %q", first)
	}
}
