//go:build !linux

package watch

// Detectors returns one of each kind that there is on this system.
func Detectors() []Detector { return []Detector{Prober{}, Mounts{}, Files{}} }
