package fat_test

import (
	"fmt"
	"testing"

	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestLabelCut: the label of a volume of FAT32 is changed, which is in the boot sector and in its backup. A cut in between leaves a
// volume that is marked dirty, and a repair leaves both with one label.
func TestLabelCut(t *testing.T) {
	for _, label := range []string{"AFTERWARDS", ""} {
		c, base := recordScene(t, cutLayouts[2], func(c *scene) {
			if err := c.v.SetLabel(label); err != nil {
				t.Fatal(err)
			}
		})
		err := faultdev.EachCut(base, c.rec.Log(), func(x *faultdev.Cut) error {
			m := x.InOrder()
			if before := fattest.NewEditor(t, m).Report(); before.Count(fattest.StaleBackup) > 0 && !before.Dirty {
				return fmt.Errorf("cut after %d of %d: the volume is marked clean: %v", x.At, c.rec.Len(), before.Err())
			}
			if _, err := repaired(m, fat.Options{}); err != nil {
				return err
			}
			if err := fattest.NewEditor(t, m).Report().Err(); err != nil {
				return fmt.Errorf("cut after %d of %d, repaired: %w", x.At, c.rec.Len(), err)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%q: %v", label, err)
		}
	}
}

// TestMovedRootCut: the root directory of FAT32 was moved, and the backup of the boot sector does not have that yet.
func TestMovedRootCut(t *testing.T) {
	m := fattest.Formatted(t, cutLayouts[2])
	e := fattest.NewEditor(t, m)
	const backup, root = 6 * 512, 44
	e.Write([]byte{77}, backup+root)
	e.MarkDirty()
	if e.Report().Count(fattest.StaleBackup) == 0 {
		t.Fatal("there is no backup")
	}
	if _, err := repaired(m, fat.Options{}); err != nil {
		t.Fatal(err)
	}
	check(t, m)
}
