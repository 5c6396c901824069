package watch

// Detectors returns one of each kind that there is on this system.
func Detectors() []Detector { return []Detector{Prober{}, Uevents{}, Mounts{}, Files{}} }
