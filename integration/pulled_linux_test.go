package integration

import (
	"os/exec"
	"testing"
)

// TestPulledAtOnce: a medium that goes at the moment that the volume is mounted comes back as any other: the process has not
// given up yet what it does not need, and knows where its medium was.
func TestPulledAtOnce(t *testing.T) {
	s, img := newLoopStick(t)
	for range 5 {
		dir := newDir(t)
		cmd := exec.Command(binary(t), "mount", img, dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { freeMount(dir) })
		awaitTrue(t, "mounted", func() bool { return mountTable(t, dir) != "" })
		s.unplug()
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		await(t, dir, "gone", isGone)
		s.plug()
		await(t, dir, "back", isPresent)
		umount(t, dir)
	}
}
