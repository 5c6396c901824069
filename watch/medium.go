package watch

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// DefaultIOTimeout is how long a call of the host may take where nothing else is asked.
const DefaultIOTimeout = 30 * time.Second

// Config is what a Medium needs to know and to call.
type Config struct {
	// Path names the medium in the log.
	Path string
	// IOTimeout bounds every call of the host; 0 is DefaultIOTimeout.
	IOTimeout time.Duration
	// Open opens the image anew, locks included. It runs under the deadline.
	Open func() (Host, error)
	// Verify looks whether dev, whose calls have deadlines, is the volume that was left, and writes
	// what it lacks. Only when it returns nil does the Medium become Present. Its error says in words
	// for the user what is wrong.
	Verify func(ctx context.Context, dev *Candidate) error
	// Never: once gone, stay gone (return=never).
	Never bool
	// Changed is called after every transition, in their order, from one goroutine.
	Changed func(Status)
	// Detectors tell what calls of ours do not.
	Detectors []Detector
	// Log receives one line for each time the medium goes, and one when it is back.
	Log *slog.Logger
}

// view is what an operation looks at: one atomic load, and everything it needs is there.
type view struct {
	Status
	conn    *conn  // while Present
	attempt uint64 // number of the verification, while Verifying
	err     error  // what calls return while not Present
}

// Medium guards a host that can vanish. It is a device: ReadAt, WriteAt, Sync, Size and their like.
type Medium struct {
	cfg   Config
	size  int64
	slots chan struct{}
	stuck atomic.Int64
	calls atomic.Int64
	fails atomic.Int64
	cur   atomic.Pointer[view]

	mu      sync.Mutex        // one transition at a time
	attempt uint64            // guarded by mu
	broken  map[string]string // detectors, and why they do not work; guarded by mu

	changes chan Status   // transitions, for the goroutine that tells of them
	seen    chan struct{} // something may be at the path
	stop    context.CancelFunc
	work    sync.WaitGroup
}

// New guards host, which cfg.Open gave.
func New(host Host, cfg Config) *Medium {
	if cfg.IOTimeout <= 0 {
		cfg.IOTimeout = DefaultIOTimeout
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	m := &Medium{
		cfg: cfg, size: host.Size(),
		slots:   make(chan struct{}, maxCalls),
		changes: make(chan Status, 16),
		seen:    make(chan struct{}, 1),
		broken:  make(map[string]string),
	}
	m.cur.Store(&view{Status: Status{State: Present, Since: time.Now(), Generation: 1}, conn: m.newConn(host)})
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.work.Go(func() { m.tell(ctx) })
	m.work.Go(func() { m.returns(ctx) })
	for _, d := range cfg.Detectors {
		m.work.Go(func() { m.detect(ctx, d) })
	}
	return m
}

// Status returns the state.
func (m *Medium) Status() Status { return m.cur.Load().Status }

// Detectors returns the detectors by name, each with why it does not work here, or "" if it does.
func (m *Medium) Detectors() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.broken)
}

func (m *Medium) setActive(name, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken[name] = why
}

// Counters are totals over the life of a Medium.
type Counters struct {
	Calls  int64 // of the host
	Errors int64 // calls that failed
	Stuck  int64 // calls given up on that have not ended yet
}

// Counters returns the totals.
func (m *Medium) Counters() Counters {
	return Counters{m.calls.Load(), m.fails.Load(), m.stuck.Load()}
}

// Check returns nil while calls go through, and otherwise a *GoneError.
func (m *Medium) Check() error { return m.cur.Load().err }

// Size is the image's length in bytes.
func (m *Medium) Size() int64 { return m.size }

// ReadAt reads from the host.
func (m *Medium) ReadAt(p []byte, off int64) (n int, err error) {
	v := m.cur.Load()
	if v.err != nil {
		return 0, v.err
	}
	if err := m.outcome(v, v.conn.read(p, off)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteAt writes to the host. p must not change after a call that failed: one that was given up on may
// go on reading it.
func (m *Medium) WriteAt(p []byte, off int64) (n int, err error) {
	v := m.cur.Load()
	if v.err != nil {
		return 0, v.err
	}
	if err := m.outcome(v, v.conn.write(p, off)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Sync makes what was written durable.
func (m *Medium) Sync() error {
	v := m.cur.Load()
	if v.err != nil {
		return v.err
	}
	return m.outcome(v, v.conn.sync())
}

// ZeroAt makes a range read as zeros.
func (m *Medium) ZeroAt(off, n int64) error {
	v := m.cur.Load()
	if v.err != nil {
		return v.err
	}
	return m.outcome(v, v.conn.zero(off, n))
}

// DiscardAt gives back the storage of a range.
func (m *Medium) DiscardAt(off, n int64) error {
	v := m.cur.Load()
	if v.err != nil {
		return v.err
	}
	return m.outcome(v, v.conn.discard(off, n))
}

// outcome reports a failure that means the medium is gone, and returns what the caller gets.
func (m *Medium) outcome(v *view, err error) error {
	if err == nil {
		return nil
	}
	m.fails.Add(1)
	switch {
	case errors.Is(err, errDeadline):
		m.transition(evDeadline, v.Generation, err.Error(), nil)
	case meansLost(err):
		m.transition(evFailed, v.Generation, err.Error(), nil)
	case errors.Is(err, syscall.EROFS):
		m.suspectReadOnly(v)
	}
	if now := m.cur.Load(); now.err != nil {
		return now.err
	}
	return err
}

// suspectReadOnly finds out whether a host that takes no writes is read-only or gone: hosts turn
// read-only when the device under them vanishes. It makes one uncached read.
func (m *Medium) suspectReadOnly(v *view) {
	if err := v.conn.probe(); err != nil {
		m.transition(evFailed, v.Generation, err.Error(), nil)
		return
	}
	m.setReadOnly(v.Generation, true)
}

// setReadOnly notes whether the host takes writes.
func (m *Medium) setReadOnly(generation uint64, ro bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.cur.Load()
	if v.State != Present || v.Generation != generation || v.ReadOnly == ro {
		return
	}
	w := *v
	w.ReadOnly = ro
	m.cur.Store(&w)
	m.publish(w.Status)
}

// transition is the only way from one state to another. generation is that of the state which the
// event is news of; for evSame and evRefused it is the number of the verification. It reports whether
// the state changed.
func (m *Medium) transition(e event, generation uint64, reason string, c *conn) bool {
	m.mu.Lock()
	v := m.cur.Load()
	stale := false
	switch e {
	case evFailed, evRemoved, evDeadline:
		stale = v.State == Present && v.Generation != generation
	case evSame, evRefused:
		stale = v.State != Verifying || v.attempt != generation
	}
	to, ignore, err := step(v.State, e)
	if stale || ignore {
		m.mu.Unlock()
		if err != nil && !stale {
			m.cfg.Log.Error("bug in the medium's state machine", "error", err)
		}
		return false
	}
	w := &view{Status: Status{State: to, Reason: reason, Since: time.Now(), Generation: v.Generation}}
	switch to {
	case Present:
		w.Generation++
		w.Reason, w.conn = "", c
	case Verifying:
		m.attempt++
		w.attempt = m.attempt
		w.Reason, w.Since = v.Reason, v.Since
	case Gone:
		if v.State == Verifying && reason == "" {
			w.Reason, w.Since = v.Reason, v.Since
		}
	}
	if to != Present {
		w.err = &GoneError{to, w.Reason}
	}
	m.cur.Store(w)
	m.publish(w.Status)
	m.mu.Unlock()
	// What follows from the transition.
	if v.conn != nil {
		v.conn.close()
	}
	if to == Gone && v.State == Present {
		m.cfg.Log.Error("medium is gone: every operation fails until it is back", "image", m.cfg.Path, "reason", w.Reason)
	}
	return true
}

// publish hands a new state to the goroutine that tells of it. The caller holds m.mu: that is what
// keeps the order.
func (m *Medium) publish(s Status) {
	select {
	case m.changes <- s:
	default:
		// Whoever listens is far behind; the newest state is what matters.
		select {
		case <-m.changes:
		default:
		}
		select {
		case m.changes <- s:
		default:
		}
	}
}

// tell calls cfg.Changed.
func (m *Medium) tell(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-m.changes:
			if m.cfg.Changed != nil {
				m.cfg.Changed(s)
			}
		}
	}
}

// Close ends everything. It does not wait for calls that the host does not answer, nor sync.
func (m *Medium) Close() error {
	m.transition(evClose, 0, "unmounted", nil)
	m.stop()
	m.work.Wait()
	return nil
}
