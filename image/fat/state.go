package fat

// WasDirty reports whether the volume was marked as not cleanly unmounted when it was opened. It stays
// so until a checker has looked at it.
func (v *Volume) WasDirty() bool {
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	return v.keepDirty
}
