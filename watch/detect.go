package watch

import (
	"context"
	"errors"
	"maps"
	"time"
)

// A Signal is what a detector has seen. Only the first two say that something is so; the others ask the
// Medium to look for itself, and cost nothing when it is not so.
type Signal uint8

const (
	// Removed: the device under the image is not there any more.
	Removed Signal = iota
	// Unmounted: the host was unmounted under us, lazily or by force; the device may still work.
	Unmounted
	// MaybeBack: something changed that may have brought the image back.
	MaybeBack
	// Suspect: something happened to the image, its host or its device.
	Suspect
)

func (s Signal) String() string {
	return [...]string{"removed", "unmounted", "maybe back", "suspect"}[s]
}

// A Report is a Signal with the words for the log.
type Report struct {
	Signal Signal
	Detail string
	// Generation is the one that Removed and Unmounted are news of: late news do no harm.
	Generation uint64
}

// A Detector watches for what calls of ours do not tell, or not in time.
type Detector interface {
	// Name is shown by status: "probe", "uevent", "mountinfo", "fsnotify".
	Name() string
	// Watch reports until ctx ends. An error says why it cannot work here, or not any more; the Medium
	// goes on without it.
	Watch(ctx context.Context, s *Scene) error
}

// A Scene is what a Detector sees of a Medium.
type Scene struct {
	m    *Medium
	name string
	hung chan struct{} // closed when the call ends that Ask gave up on; nil if there is none
}

// Place says where the image is, or was while the medium is not there. The channel is closed when that
// may have changed.
func (s *Scene) Place() (Place, <-chan struct{}) {
	v := s.m.cur.Load()
	return v.place, v.left
}

// Report tells the Medium something. It does not block.
func (s *Scene) Report(r Report) {
	m := s.m
	switch r.Signal {
	case Removed:
		m.transition(news{event: evRemoved, generation: r.Generation, reason: r.Detail})
	case Unmounted:
		select {
		case <-m.leave: // the newest is what counts
		default:
		}
		select {
		case m.leave <- r:
		default:
		}
	case MaybeBack:
		m.Look()
	case Suspect:
		m.Doubt()
	}
}

// Blind says why the detector sees nothing at present; "" says that it sees.
func (s *Scene) Blind(why string) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.mu.blind[s.name] = why
}

// Ask runs fn, which asks a host something that may take for ever, under the deadline. An error that is
// not fn's means that fn may still be running, with all that it uses. One such call is enough for a
// detector: until it ends, Ask waits for it, or for ctx.
func (s *Scene) Ask(ctx context.Context, op string, fn func() error) error {
	if s.hung != nil {
		select {
		case <-s.hung:
			s.hung = nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ended := make(chan struct{})
	err := s.m.aside(ctx, op, func() error {
		defer close(ended)
		return fn()
	}, nil)
	if errors.Is(err, errTooMany) {
		return err // fn was not called
	}
	select {
	case <-ended:
	default:
		s.hung = ended
	}
	return err
}

// detect runs a detector.
func (m *Medium) detect(ctx context.Context, d Detector) {
	s := &Scene{m: m, name: d.Name()}
	s.Blind("")
	err := d.Watch(ctx, s)
	if ctx.Err() != nil {
		return
	}
	why := "it ended"
	if err != nil {
		why = err.Error()
	}
	s.Blind(why)
	m.cfg.Log.Debug("a detector does not work here", "detector", d.Name(), "error", err)
}

// Detectors returns the detectors by name, each with why it sees nothing, or "" if it does.
func (m *Medium) Detectors() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.mu.blind)
}

// Prober is the detector that works everywhere: about once a second one uncached read of the medium.
type Prober struct {
	// Interval between two reads; 0 is one second.
	Interval time.Duration
}

// Name implements Detector.
func (Prober) Name() string { return "probe" }

// Watch implements Detector. While the medium is not there, it asks nobody for anything.
func (p Prober) Watch(ctx context.Context, s *Scene) error {
	interval := p.Interval
	if interval <= 0 {
		interval = time.Second
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		place, changed := s.Place()
		if place.Generation == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			}
			tick.Reset(interval)
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.Report(Report{Signal: Suspect})
		}
	}
}
