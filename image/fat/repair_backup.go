package fat

import (
	"bytes"
	"fmt"
)

// backup gives the backup of the boot sector the label and the root directory that the boot sector has, where a cut has left it others:
// these are written to the boot sector first.
func (r *repair) backup() error {
	v := r.v
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	at := v.geo.LabelOffset
	if v.geo.BackupBoot == 0 || at <= 0 || at+len(v.geo.Label) > len(v.boot) {
		return nil
	}
	old := make([]byte, atom)
	if _, err := v.dev.ReadAt(old, v.geo.BackupBoot); err != nil {
		return fmt.Errorf("read backup of the boot sector: %w", err)
	}
	if g, err := ParseGeometry(old, v.dev.Size(), v.opt.Geometry); err != nil || g.Width != v.geo.Width || g.LabelOffset != at {
		return nil // there is none, or something else
	}
	backup := bytes.Clone(old)
	copy(backup[at:at+len(v.geo.Label)], v.boot[at:])
	putBootRoot(backup, Cluster(v.geo.RootCluster))
	if bytes.Equal(backup, old) {
		return nil
	}
	if err := v.write(backup, v.geo.BackupBoot); err != nil {
		return err
	}
	if err := v.syncDevice(); err != nil {
		return err
	}
	r.log.info("repair: the backup of the boot sector has the label and the root directory of that again")
	return nil
}
