package watch

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultIOTimeout is how long a call of the host may take where nothing else is asked.
const DefaultIOTimeout = 30 * time.Second

// Config is what a Medium needs to know and to call.
type Config struct {
	// Path is the image's. It names the medium in the log, and detectors watch for its return.
	Path string
	// IOTimeout bounds every call of the host; 0 is DefaultIOTimeout.
	IOTimeout time.Duration
	// Open opens the image anew, locks included. It runs under the deadline.
	Open func() (Host, error)
	// Verify looks whether dev, whose calls have deadlines, is the volume that was left, and writes
	// what it lacks. Only when it returns nil does the Medium become Present. Its error says in words
	// for the user what is wrong, or is one of dev's. All of dev's calls fail once ctx has ended.
	Verify func(ctx context.Context, dev *Candidate) error
	// Leaving writes what is held back, and syncs, when the host is being unmounted under an image
	// that is still there; then the image is let go. Calls go through meanwhile. nil: Medium.Sync.
	Leaving func(ctx context.Context) error
	// Never: once gone, stay gone (return=never).
	Never bool
	// Changed is called after every change of the Status, in their order, from one goroutine. It
	// should return soon; if it does not, it may miss changes which later ones have overtaken.
	Changed func(Status)
	// Detectors tell what calls of ours do not.
	Detectors []Detector
	// Log receives one line for each time the medium goes, and one when it is back.
	Log *slog.Logger
}

// Medium guards a host that can vanish. It is a device: ReadAt, WriteAt, Sync, Size and their like.
type Medium struct {
	cfg      Config
	size     int64
	writable bool // the image was opened for writing
	meter    meter
	cur      atomic.Pointer[view]
	left     atomic.Pointer[conn] // that of the generation before; nil in the first

	mu struct {
		sync.Mutex                   // one transition at a time
		told       []notice          // what nobody was told of yet
		closed     bool              // nothing is added to told any more
		last       *conn             // that of the view which Close ended
		blind      map[string]string // detectors, and why they do not work
		history    history
	}

	tellC   chan struct{}  // there is something in mu.told, or mu.closed
	toldC   chan struct{}  // closed when everything has been told
	seen    chan struct{}  // something may be at the path
	doubt   chan struct{}  // a look at the medium is wanted
	leave   chan Report    // the host is being unmounted
	opening atomic.Int64   // calls of cfg.Open under way, those that hang included
	stop    func()         // ends all goroutines but that of tell
	work    sync.WaitGroup // these goroutines
}

// New guards host, which cfg.Open gave. Close ends it.
func New(host Host, cfg Config) *Medium {
	if cfg.IOTimeout <= 0 {
		cfg.IOTimeout = DefaultIOTimeout
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	m := &Medium{
		cfg: cfg, size: host.Size(),
		tellC: make(chan struct{}, 1), toldC: make(chan struct{}),
		seen: make(chan struct{}, 1), doubt: make(chan struct{}, 1), leave: make(chan Report, 1),
	}
	m.mu.blind = make(map[string]string)
	c := newConn(host, cfg.IOTimeout, &m.meter)
	m.writable = c.writable()
	v := &view{
		Status: Status{State: Present, Since: time.Now(), Generation: 1},
		conn:   c, left: make(chan struct{}),
	}
	v.place = c.locate(Place{Generation: 1, Asked: absolute(cfg.Path)})
	v.opened = v.place.Path
	m.cur.Store(v)
	m.mu.history.add(Change{At: v.Since, Status: v.Status})

	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	go m.tell()
	m.work.Go(func() { m.returns(ctx) })
	m.work.Go(func() { m.doubts(ctx) })
	m.work.Go(func() { m.leaves(ctx) })
	for _, d := range cfg.Detectors {
		m.work.Go(func() { m.detect(ctx, d) })
	}
	return m
}

// Status returns the state.
func (m *Medium) Status() Status { return m.cur.Load().Status }

// Check returns nil while calls go through, and otherwise a *GoneError.
func (m *Medium) Check() error { return m.cur.Load().err }

// Size is the image's length in bytes.
func (m *Medium) Size() int64 { return m.size }

// Counters are totals over the life of a Medium.
type Counters struct {
	Calls  int64 // of the open image that were handed to the host; reads from its cache are not counted
	Errors int64 // calls that failed
	Looks  int64 // attempts to open the image again
	Losses int64 // times that the medium went
	Stuck  int64 // calls given up on that have not ended yet
}

// Counters returns the totals.
func (m *Medium) Counters() Counters {
	return Counters{
		Calls: m.meter.calls.Load(), Errors: m.meter.errors.Load(), Looks: m.meter.looks.Load(),
		Losses: m.meter.losses.Load(), Stuck: m.meter.stuck.Load(),
	}
}

// transition is the only way from one state to another. It reports whether the state changed.
func (m *Medium) transition(n news) bool {
	m.mu.Lock()
	v := m.cur.Load()
	w, bug := v.after(n, time.Now())
	if w == nil {
		m.mu.Unlock()
		if bug != nil {
			m.cfg.Log.Error("bug in the medium's state machine", "error", bug)
		}
		return false
	}
	if v.conn != nil && w.conn != v.conn {
		m.left.Store(v.conn)
	}
	m.replaceLocked(v, w)
	if v.State == Present && w.State == Gone {
		m.meter.losses.Add(1)
	}
	if w.State == Closed {
		m.mu.last, m.mu.closed = v.conn, true
	}
	m.mu.Unlock()
	// What follows from the transition, and what takes no lock.
	if v.conn != nil && w.conn != v.conn {
		v.conn.close()
	}
	return true
}

// amend changes what is known of the generation of v, if it is still that one's time.
func (m *Medium) amend(v *view, change func(w *view)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.cur.Load()
	if now.State != Present || now.Generation != v.Generation {
		return
	}
	w := *now
	change(&w)
	if w.Status == now.Status && w.place == now.place && w.hostReadOnly == now.hostReadOnly && w.refused == now.refused {
		return
	}
	w.left = make(chan struct{})
	m.replaceLocked(now, &w)
}

// replaceLocked puts w in the place of v.
func (m *Medium) replaceLocked(v, w *view) {
	m.cur.Store(w)
	close(v.left)
	if w.Status != v.Status {
		m.mu.history.add(Change{At: time.Now(), Status: w.Status})
		m.noticeLocked(notice{from: v.Status, to: w.Status})
	}
}

// Close ends everything, and releases the image. It syncs nothing, and waits no longer than IOTimeout
// for a host that does not answer.
func (m *Medium) Close() error {
	m.transition(news{event: evClose, reason: "unmounted"})
	m.stop()
	m.mu.Lock()
	last := m.mu.last
	m.mu.Unlock()
	m.wakeTell()

	done := make(chan struct{})
	go func() {
		m.work.Wait()
		<-m.toldC
		if last != nil {
			<-last.closed
		}
		close(done)
	}()
	timer := time.NewTimer(m.cfg.IOTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return fmt.Errorf("the image is not released after %v: %w", m.cfg.IOTimeout, errDeadline)
	}
}
