package device

// ForgetCachestat makes h do without cachestat(2), as on Linux before 6.5.
func ForgetCachestat(h *Host) { h.probe.noCachestat.Store(true) }
