package integration

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// A mount in the background logs to the system's logger, which this test stands in for.
func TestSyslog(t *testing.T) {
	needFUSE(t)
	needRoot(t)
	const path = "/dev/log"
	if _, err := os.Lstat(path); err == nil {
		t.Skipf("needs a machine without a logger: %s is there", path)
	}
	logger, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	defer logger.Close()

	img, dir := mkfsFAT(t, 4<<20), newDir(t)
	if out, code := runCode(t, binary(t), "mount", "-v", img, dir); code != 0 || out != "" {
		t.Fatalf("exit code %d, says %q", code, out)
	}
	run(t, binary(t), "umount", dir)

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
