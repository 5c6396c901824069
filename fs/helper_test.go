package fs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fatvol/image/device"
)

// newDevice makes a formatted device in memory. The arguments are mkfs.fat's.
func newDevice(t testing.TB, size int64, args ...string) *device.Mem {
	t.Helper()
	bin, err := exec.LookPath("mkfs.fat")
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/mkfs.fat"); err != nil {
			t.Skip("needs mkfs.fat (dosfstools)")
		}
	}
	img := filepath.Join(t.TempDir(), "volume.img")
	if err := os.WriteFile(img, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, size); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(bin, append(args, img)...).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.fat %v: %v\n%s", args, err, out)
	}
	dev, err := device.ReadMem(img)
	must(t, err)
	return dev
}

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
