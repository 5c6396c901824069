package watch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fatvol/watch"
	"fatvol/watch/fakemedium"
)

const (
	imageSize = 64 << 10
	ioTimeout = 30 * time.Second
)

// A rig is a Medium over a slot, and what is seen of it.
type rig struct {
	*watch.Medium
	t       *testing.T
	slot    *fakemedium.Slot
	stick   *fakemedium.Stick
	handler *lines

	verifies, verifying, most atomic.Int64 // in all, now, at most at a time

	mu       sync.Mutex
	statuses []watch.Status
}

// newRig opens the image on a blank stick. change may change the configuration.
func newRig(t *testing.T, change func(r *rig, cfg *watch.Config)) *rig {
	t.Helper()
	stick := fakemedium.Blank(imageSize)
	r := &rig{t: t, slot: fakemedium.NewSlot(stick), stick: stick, handler: new(lines)}
	cfg := watch.Config{
		Path: "/stick/image", Open: r.slot.Open, Log: slog.New(r.handler),
		Verify: func(context.Context, *watch.Candidate) error { return nil },
		Changed: func(s watch.Status) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.statuses = append(r.statuses, s)
		},
	}
	if change != nil {
		change(r, &cfg)
	}
	verify := cfg.Verify
	cfg.Verify = func(ctx context.Context, dev *watch.Candidate) error {
		r.verifies.Add(1)
		if n := r.verifying.Add(1); n > r.most.Load() {
			r.most.Store(n)
		}
		defer r.verifying.Add(-1)
		return verify(ctx, dev)
	}
	host, err := cfg.Open()
	if err != nil {
		t.Fatal(err)
	}
	r.Medium = watch.New(host, cfg)
	return r
}

// close ends the medium, and checks what must be so at every end.
func (r *rig) close() {
	r.t.Helper()
	began := time.Now()
	if err := r.Close(); err != nil {
		r.t.Errorf("Close: %v", err)
	}
	if d := time.Since(began); d > ioTimeout+time.Second {
		r.t.Errorf("Close took %v", d)
	}
	if n := r.most.Load(); n > 1 {
		r.t.Errorf("%d verifications at a time", n)
	}
	if s := r.handler.with("bug"); len(s) > 0 {
		r.t.Errorf("log: %q", s)
	}
	if st := r.Status(); st.State != watch.Closed {
		r.t.Errorf("state %v after Close", st.State)
	}
	if err := r.Check(); !isGone(err) {
		r.t.Errorf("Check after Close: %v", err)
	}
}

// expect fails the test unless the medium is in a state, of a generation.
func (r *rig) expect(state watch.State, generation uint64) {
	r.t.Helper()
	synctest.Wait()
	if st := r.Status(); st.State != state || st.Generation != generation {
		r.t.Fatalf("%v, generation %d (%s), want %v, generation %d", st.State, st.Generation, st.Reason, state, generation)
	}
}

// pull takes the stick away, its host too, and has somebody notice.
func (r *rig) pull() {
	r.t.Helper()
	r.slot.Pull()
	r.slot.Unmount()
	r.Doubt()
	synctest.Wait()
	if st := r.Status(); st.State != watch.Gone {
		r.t.Fatalf("%v after the pull", st.State)
	}
}

// back puts a stick in, and waits until it has been looked at.
func (r *rig) back(s *fakemedium.Stick) {
	r.slot.Plug(s)
	r.Look()
	time.Sleep(2 * time.Second)
	synctest.Wait()
}

func (r *rig) write(off int64, b byte) error {
	_, err := r.WriteAt(bytes.Repeat([]byte{b}, fakemedium.Block), off)
	return err
}

func (r *rig) read(off int64) (byte, error) {
	p := make([]byte, fakemedium.Block)
	if _, err := r.ReadAt(p, off); err != nil {
		return 0, err
	}
	if !bytes.Equal(p, bytes.Repeat(p[:1], len(p))) {
		r.t.Errorf("block at %d is torn", off)
	}
	return p[0], nil
}

func isGone(err error) bool {
	_, ok := errors.AsType[*watch.GoneError](err)
	return ok
}

// seen returns the states that Changed was told of.
func (r *rig) seen() (list []watch.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.statuses {
		list = append(list, s.State)
	}
	return list
}

// lines is a log that is kept.
type lines struct {
	mu   sync.Mutex
	list []string
}

func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level > slog.LevelDebug }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *lines) WithGroup(string) slog.Handler                    { return l }

func (l *lines) Handle(_ context.Context, rec slog.Record) error {
	s := fmt.Sprintf("%v: %s", rec.Level, rec.Message)
	rec.Attrs(func(a slog.Attr) bool {
		s += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, s)
	return nil
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

func (l *lines) with(word string) []string {
	return slices.DeleteFunc(l.all(), func(s string) bool { return !strings.Contains(s, word) })
}

// A gate hangs the calls that a hook sends to it, until it is opened.
type gate chan struct{}

func (g gate) wait() { <-g }

// hook hangs what want says.
func (g gate) hook(want func(fakemedium.Call) bool) fakemedium.Hook {
	return func(c fakemedium.Call) error {
		if want(c) {
			g.wait()
		}
		return nil
	}
}

func op(name string) func(fakemedium.Call) bool {
	return func(c fakemedium.Call) bool { return c.Op == name }
}

// everything is a configuration with a detector, and a verification that reads, writes and syncs.
func everything(_ *rig, cfg *watch.Config) {
	cfg.Detectors = []watch.Detector{watch.Prober{}}
	cfg.Verify = func(_ context.Context, dev *watch.Candidate) error {
		p := make([]byte, 512)
		for i := range int64(3) {
			if _, err := dev.ReadAt(p, i*512); err != nil {
				return err
			}
			if _, err := dev.WriteAt(p, i*512); err != nil {
				return err
			}
		}
		return dev.Sync()
	}
}
