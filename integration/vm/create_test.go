//go:build linux

package vm

import (
	"fmt"
	"testing"

	"fatvol/integration/vm/guestapi"
)

// TestCreate: the kernel reads from images that `fatvol create` makes what was put into them, and goes on
// writing to them.
func TestCreate(t *testing.T) {
	v := shared(t)
	const tree, image, dir = "/tmp/tree", "/tmp/volume.img", "/mnt/volume"
	files := createTree()
	for _, c := range []struct{ name, args string }{
		{"FAT12", "--size 16M --fat 12"},
		{"FAT16 of 4096 byte sectors", "--size 64M --fat 16 --sector 4096"},
		{"FAT32, fitted", "--fit --spare 1M --fat 32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := v.in(t)
			v.Run("mkdir", "-p", tree)
			v.WriteTree(tree, files)
			v.Shell(fmt.Sprintf("rm -f %s; fatvol create %s %s --label CREATED --from %s -o tz=UTC", image, image, c.args, tree))
			v.fsck(image)
			v.mount(kernel, image, dir, sameOptions)
			compareContent(t, files, v.ReadTree(dir))
			v.Shell("cd " + dir + "; rm 'twenty-six characters name'; cp size-100000 'another file with a long name'; mkdir 'a new directory'")
			v.unmount(kernel, dir)
			v.fsck(image)
		})
	}
}

// createTree is interopTree without the times that are there for what a mount makes of them.
func createTree() (files []guestapi.TreeFile) {
	for _, f := range interopTree() {
		if f.Accessed.IsZero() {
			files = append(files, f)
		}
	}
	return files
}
