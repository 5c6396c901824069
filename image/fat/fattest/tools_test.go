package fattest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fatvol/image/device"
)

// need skips the test unless the programs are installed.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s, which is not installed", p)
		}
	}
}

// toFile stores the device for tools that want a file.
func toFile(t testing.TB, m *device.Mem) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "volume.img")
	if err := m.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// fsck runs fsck.fat without repairs.
func fsck(t testing.TB, img string) (out string, code int) {
	t.Helper()
	cmd := exec.Command("fsck.fat", "-n", img)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// mtool runs one of the mtools on an image.
func mtool(t testing.TB, img, tool string, args ...string) {
	t.Helper()
	cmd := exec.Command(tool, append([]string{"-i", img}, args...)...)
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1", "MTOOLSRC=/dev/null", "LC_ALL=C.UTF-8", "TZ=UTC")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", tool, args, err, out)
	}
}

func check(t testing.TB, src Source) *Report {
	t.Helper()
	r, err := Check(src)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
