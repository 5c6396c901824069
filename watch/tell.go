package watch

// A notice is something to tell the user and cfg.Changed of.
type notice struct {
	from, to Status
	bad      error // a call that failed on a medium that is there; from and to are equal then
}

// maxNotices bounds those that wait: whoever listens is far behind then, and the newest matter.
const maxNotices = 256

// noticeLocked hands a notice to the goroutine that tells. The caller holds m.mu: that keeps the order.
func (m *Medium) noticeLocked(n notice) {
	if m.mu.closed {
		return
	}
	if len(m.mu.told) >= maxNotices {
		m.mu.told = m.mu.told[1:]
	}
	m.mu.told = append(m.mu.told, n)
	m.wakeTell()
}

func (m *Medium) wakeTell() {
	select {
	case m.tellC <- struct{}{}:
	default:
	}
}

// tell calls cfg.Changed and writes the log, in this order: until cfg.Changed has had the kernel forget what it holds,
// that goes on to answer for the medium, and a log can be slow. It has a goroutine of its own, so that neither a slow log
// nor a slow listener holds up an operation; it ends when everything up to Closed has been told.
func (m *Medium) tell() {
	defer close(m.toldC)
	for range m.tellC {
		m.mu.Lock()
		list, closed := m.mu.told, m.mu.closed
		m.mu.told = nil
		m.mu.Unlock()
		for _, n := range list {
			if n.bad == nil && m.cfg.Changed != nil {
				m.cfg.Changed(n.to)
			}
			m.log(n)
		}
		if closed {
			return
		}
	}
}

// log writes the line that belongs to a notice, if one does.
func (m *Medium) log(n notice) {
	log := m.cfg.Log.With("image", m.cfg.Path)
	from, to := n.from, n.to
	switch {
	case n.bad != nil:
		log.Warn("the medium is there, but a part of it fails; this is said once until it was gone", "error", n.bad)
	case from.State == Present && to.State == Gone:
		log.Error("medium is gone: every operation fails until it is back", "reason", to.Reason)
	case from.State == Verifying && to.State == Gone && to.Reason != from.Reason:
		log.Warn("what is at the image's path now is not taken", "reason", to.Reason)
	case to.State != Present:
	case from.State != Present:
		log.Info("medium is back", "generation", to.Generation, "read_only", to.ReadOnly)
	case to.ReadOnly && !from.ReadOnly:
		log.Warn("the host is read-only: writes fail until it is not")
	case from.ReadOnly && !to.ReadOnly:
		log.Info("the host takes writes again")
	case to.Moved == "" && from.Moved != "":
		log.Info("the image is where it was opened again")
	case to.Moved != from.Moved:
		log.Warn("the image was moved; it is served on from where it is", "to", to.Moved)
	}
}
