package fattest

import (
	"testing"

	"fatvol/image/device"
)

// Formatted returns a device in memory with an empty volume.
func Formatted(t testing.TB, l Layout) *device.Mem {
	t.Helper()
	size, err := VolumeSize(l)
	if err != nil {
		t.Fatal(err)
	}
	mem := device.NewMem(size)
	if err := Format(mem, l); err != nil {
		t.Fatal(err)
	}
	return mem
}
