package fat

import (
	"bytes"
	"fmt"
	"strings"
)

// Label returns the volume's label: that of the root directory, or else of the boot sector. It is
// empty when there is none.
func (v *Volume) Label() (string, error) {
	if err := v.enter(); err != nil {
		return "", fmt.Errorf("label: %w", err)
	}
	defer v.leave()
	if err := v.pin(v.root); err != nil {
		return "", fmt.Errorf("label: %w", err)
	}
	defer v.unpin(v.root)
	v.meta.RLock()
	defer v.meta.RUnlock()
	d := v.root.dir
	if d.label >= 0 {
		return v.names.labelText(shortOf(d.slot(d.label))), nil
	}
	return v.names.labelText(v.geo.Label), nil
}

// noName is what the boot sector holds for a volume without a label.
const noName = "NO NAME    "

// labelText is the text of 11 label bytes.
func (n *Names) labelText(raw [11]byte) string {
	if raw == [11]byte{} || string(raw[:]) == noName {
		return ""
	}
	if raw[0] == slotKanji {
		raw[0] = slotDeleted
	}
	units := n.appendShort(nil, raw[:], false)
	return strings.TrimRight(n.ShowLong(units), " ")
}

// EncodeLabel makes the 11 bytes of a label: upper case, in the volume's code page; "NO NAME" for an
// empty one. ErrName and ErrNameTooLong for what the bytes cannot hold.
func (n *Names) EncodeLabel(label string) ([11]byte, error) {
	raw := [11]byte([]byte(noName))
	if label == "" {
		return raw, nil
	}
	out := make([]byte, 0, len(raw))
	for _, r := range label {
		var c shortCase
		fits := true
		b := []byte{byte(r)}
		if r != ' ' {
			if r > 0xffff || r < ' ' || strings.ContainsRune(`"*/:<>?\|+,.;=[]`, r) {
				return raw, fmt.Errorf("label %q: character %q: %w", label, r, ErrName)
			}
			if b = n.shortBytes(uint16(r), &c, &fits); !fits {
				return raw, fmt.Errorf("label %q: character %q: %w", label, r, ErrName)
			}
		}
		out = append(out, b...)
	}
	if len(out) > len(raw) {
		return raw, fmt.Errorf("label %q: %w: at most %d bytes", label, ErrNameTooLong, len(raw))
	}
	if out[0] == ' ' {
		return raw, fmt.Errorf("label %q: leading space: %w", label, ErrName)
	}
	copy(raw[:], bytes.Repeat([]byte{' '}, len(raw)))
	copy(raw[:], out)
	if raw[0] == slotDeleted {
		raw[0] = slotKanji
	}
	return raw, nil
}

// SetLabel sets the label in the root directory and in the boot sector; an empty one removes it.
// ErrName and ErrNameTooLong for what 11 bytes of the code page cannot hold.
func (v *Volume) SetLabel(label string) error {
	if err := v.enterWrite(); err != nil {
		return fmt.Errorf("set label: %w", err)
	}
	defer v.leave()
	raw, err := v.names.EncodeLabel(label)
	if err != nil {
		return fmt.Errorf("set label: %w", err)
	}
	if err := v.storeLabel(raw, label == ""); err != nil {
		return fmt.Errorf("set label: %w", err)
	}
	if err := v.sync(); err != nil {
		return fmt.Errorf("set label: %w", err)
	}
	return nil
}

// storeLabel writes a label into the root directory and the boot sector, or removes it.
func (v *Volume) storeLabel(raw [11]byte, remove bool) error {
	err := v.edit(v.root, func() error {
		d := v.root.dir
		var s [slotSize]byte
		if remove {
			if d.label >= 0 {
				copy(s[:], d.slot(d.label))
				s[0] = slotDeleted
				v.set(v.root, d.label, s[:], phaseAdd)
				d.freed[d.label] = 1
				d.label = -1
			}
			return nil
		}
		if d.label < 0 {
			i, err := v.alloc(v.root, 1)
			if err != nil {
				return err
			}
			d.label = i
		}
		now := v.stamp()
		e := dirent{attr: AttrVolumeID, modifyDate: now.date, modifyTime: now.time}
		copy(s[:], raw[:])
		e.encode(s[:], v.geo.Width)
		v.set(v.root, d.label, s[:], phaseAdd)
		return nil
	})
	if err == nil {
		err = v.bootLabel(raw)
	}
	v.wake() // the volume is to be marked clean
	return err
}

// bootLabel writes the label into the boot sector and its backup.
func (v *Volume) bootLabel(raw [11]byte) error {
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	at := v.geo.LabelOffset
	if at <= 0 || at+len(raw) > len(v.boot) {
		return nil
	}
	if v.plan != nil {
		// Of a commit that failed. It may write the boot sector as that was.
		if err := v.commit(); err != nil {
			return err
		}
	}
	boot := append([]byte(nil), v.boot...)
	if v.geo.BackupBoot != 0 && !v.flagged && !v.keepDirty && v.geo.StateOffset > 0 && v.geo.StateOffset < len(boot) {
		// Whoever finds the volume after a cut knows that the backup may have another label.
		boot[v.geo.StateOffset] |= stateDirty
		if err := v.write(boot, 0); err != nil {
			return err
		}
		if err := v.syncUpTo(v.dataSeq.Load()); err != nil {
			return err
		}
		copy(v.boot, boot)
		v.flagged, v.unmarked = true, false
	}
	copy(boot[at:], raw[:])
	if err := v.write(boot, 0); err != nil {
		return err
	}
	if v.geo.BackupBoot != 0 {
		// The backup differs from the boot sector in more than the label on some volumes.
		if err := v.write(raw[:], v.geo.BackupBoot+int64(at)); err != nil {
			return err
		}
	}
	copy(v.boot, boot)
	v.meta.Lock()
	v.geo.Label = raw
	v.meta.Unlock()
	return nil
}
