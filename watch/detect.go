package watch

import (
	"context"
	"time"
)

// A Signal is what a detector has seen.
type Signal uint8

const (
	// Removed: the device under the image, or the image itself, is not there any more.
	Removed Signal = iota
	// Unmounted: the host was unmounted under us, lazily or by force; the device may still work.
	Unmounted
	// MaybeBack: something changed that may have brought the image back.
	MaybeBack
	// Suspect: something happened that a look at the medium will explain: one uncached read.
	Suspect
	// Moved: the image was renamed on its host. It is there, under another name.
	Moved
	// HostReadOnly and HostWritable: the host was remounted.
	HostReadOnly
	HostWritable
)

// A Report is a Signal with the words for the log.
type Report struct {
	Signal Signal
	Detail string
	// Generation is the one that the detector was watching, so that late news do no harm.
	Generation uint64
}

// A Detector watches for what calls of ours do not tell, or not in time.
type Detector interface {
	// Name is shown by status: "probe", "uevent", "mountinfo", "fsnotify".
	Name() string
	// Watch reports until ctx ends. It returns an error when it cannot work here; the Medium goes on
	// without it. It is never called twice at the same time.
	Watch(ctx context.Context, m *Medium, report func(Report)) error
}

// detect runs a detector, and acts on what it reports.
func (m *Medium) detect(ctx context.Context, d Detector) {
	m.setActive(d.Name(), "")
	err := d.Watch(ctx, m, m.handle)
	if ctx.Err() == nil && err != nil {
		m.setActive(d.Name(), err.Error())
		m.cfg.Log.Debug("detector does not work here", "detector", d.Name(), "error", err)
	}
}

// handle acts on a report.
func (m *Medium) handle(r Report) {
	v := m.cur.Load()
	switch r.Signal {
	case Removed:
		m.transition(evRemoved, r.Generation, r.Detail, nil)
	case Unmounted:
		if v.State == Present && v.Generation == r.Generation {
			// What was written can still reach the device: then the stick is whole.
			m.outcome(v, v.conn.sync())
			m.transition(evRemoved, r.Generation, r.Detail, nil)
		}
	case MaybeBack:
		if v.State != Present {
			m.Look()
		}
	case Suspect:
		if v.State == Present {
			m.outcome(v, v.conn.probe())
		}
	case Moved:
		if v.State == Present && v.Generation == r.Generation {
			m.cfg.Log.Warn("the image was moved; it is served on from where it is", "image", m.cfg.Path, "detail", r.Detail)
		}
	case HostReadOnly:
		m.setReadOnly(r.Generation, true)
	case HostWritable:
		m.setReadOnly(r.Generation, false)
	}
}

// Prober is the detector that works everywhere: about once a second one uncached read of the medium.
type Prober struct {
	// Interval between two reads; 0 is one second.
	Interval time.Duration
}

// Name implements Detector.
func (Prober) Name() string { return "probe" }

// Watch implements Detector. While the medium is not Present it asks the host for nothing.
func (p Prober) Watch(ctx context.Context, m *Medium, report func(Report)) error {
	interval := p.Interval
	if interval <= 0 {
		interval = time.Second
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			report(Report{Signal: Suspect})
		}
	}
}
