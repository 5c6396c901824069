package integration

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestFio has fio write blocks that carry their own checksum and place, in random order, and look
// for every one of them while it writes, when it is done, and again after a remount.
func TestFio(t *testing.T) {
	needFUSE(t)
	need(t, "fio", "mkfs.fat", "fsck.fat")
	binary(t)
	for _, mode := range []struct {
		name string
		args []string
	}{
		{"buffered", []string{"--ioengine=psync"}},
		{"direct", []string{"--ioengine=psync", "--direct=1"}},
		{"mmap", []string{"--ioengine=mmap"}},
	} {
		for _, pattern := range []string{"randwrite", "randrw"} {
			for _, jobs := range []int{1, 4} {
				t.Run(fmt.Sprintf("%s/%s/jobs=%d", mode.name, pattern, jobs), func(t *testing.T) {
					t.Parallel()
					w := widths[(jobs+len(pattern))%len(widths)] // each mode meets more than one width
					img := mkfsFAT(t, w.size, w.args...)
					dir := mountImage(t, img)
					// Each job has a file of its own; block sizes from less than a sector to many clusters.
					args := append([]string{"--name=verify", "--directory=" + dir, "--rw=" + pattern, "--bsrange=512-64k", "--bs_unaligned=0",
						fmt.Sprintf("--size=%dk", 12<<10/jobs), fmt.Sprintf("--numjobs=%d", jobs), "--verify=crc32c", "--verify_fatal=1",
						"--verify_state_save=0", "--randseed=2", "--allrandrepeat=1", "--minimal"}, mode.args...)
					fio := func(more ...string) {
						t.Helper()
						cmd := exec.Command("fio", append(args, more...)...)
						cmd.Dir = filepath.Dir(img) // it leaves files where it runs
						if out, code := runCmd(t, cmd); code != 0 {
							t.Fatalf("%s: exit code %d\n%s", cmd, code, out)
						}
					}
					first := []string{"--fallocate=none", "--end_fsync=1"}
					if pattern == "randwrite" { // with mixed reads, fio does not know afterwards what it wrote
						first = append(first, "--verify_backlog=64")
					}
					fio(first...)
					umount(t, dir)
					fsck(t, img)
					mountAt(t, img, dir)
					fio("--verify_only") // with verify_backlog it would find nothing, whatever is there
					umount(t, dir)
				})
			}
		}
	}
}
