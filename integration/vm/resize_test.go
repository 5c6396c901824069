//go:build linux

package vm

import (
	"strings"
	"testing"
)

// TestResize: the kernel reads from volumes that `fatvol resize` and `fatvol defrag` changed what it read before,
// and goes on writing to them.
func TestResize(t *testing.T) {
	v := shared(t)
	const image, dir = "/tmp/volume.img", "/mnt/volume"
	for _, c := range []struct {
		name      string
		megabytes int
		mkfs      []string
		steps     []string
	}{
		{"FAT12", 4, []string{"-F", "12", "-s", "4"}, []string{"resize -q IMAGE 7M", "resize -q IMAGE min", "defrag -q --pack IMAGE"}},
		{"FAT16", 16, []string{"-F", "16", "-s", "1"}, []string{"defrag -q IMAGE", "resize -q IMAGE 30M", "resize -q IMAGE 5M"}},
		{"FAT32", 40, []string{"-F", "32", "-s", "1"}, []string{"resize -q IMAGE 100M", "resize -q IMAGE min", "defrag -q --pack IMAGE"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := v.in(t)
			v.format(image, c.megabytes, c.mkfs...)
			v.mount(kernel, image, dir, sameOptions)
			v.WriteTree(dir, interopTree())
			v.Shell("cd " + dir + "\n" + inPieces)
			before := v.ReadTree(dir)
			v.unmount(kernel, dir)
			for _, step := range c.steps {
				digest := v.Run("sha256sum", image)
				v.Shell("fatvol " + strings.Replace(step, "IMAGE", image, 1))
				if v.Run("sha256sum", image) == digest {
					t.Errorf("fatvol %s changed nothing", step)
				}
				v.fsck(image)
				v.mount(kernel, image, dir, sameOptions)
				compareTrees(t, "after fatvol "+step, before, v.ReadTree(dir))
				v.unmount(kernel, dir)
			}
			v.mount(kernel, image, dir, sameOptions)
			v.Shell("cd " + dir + "; rm 'pieces of b'; cp size-2049 'another file'; mkdir 'a new directory'")
			after := v.ReadTree(dir)
			v.unmount(kernel, dir)
			v.fsck(image)
			if len(after) != len(before)+1 {
				t.Errorf("the kernel leaves %d entries, want %d", len(after), len(before)+1)
			}
		})
	}
}

// inPieces makes files whose clusters lie between each other's, and holes between them.
const inPieces = `for i in 1 2 3 4 5 6 7 8; do
	for f in a b c; do dd if=size-100000 bs=5000 skip=$i count=1 >> "pieces of $f" 2>/dev/null; done
	mkdir -p "many/directory $i"; echo $i > "many/directory $i/file"
done
sync; rm 'pieces of c' size-65536`
